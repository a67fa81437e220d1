// Reads tuning records into the artifact.
//
// A record names a variant as `tilec --list` would: of another tune space, or for another
// architecture, it means nothing and is left out.
#include "codegen/records.h"
#include <stdlib.h>

bool cg_records_add(cg_artifact *artifact, int kernel, const char *kernel_name,
                    const char *source_path, tl_arena *arena, const char **out_error) {
  const char *slash = strrchr(source_path, '/');
  const char *path =
      tl_sprintf(arena, "%.*stune/%s.jsonl", slash ? (int)(slash - source_path) + 1 : 0,
                 source_path, kernel_name);
  size_t len;
  char *text = tl_read_file(path, &len), *next;
  int number = 0;
  bool good = true;
  for (char *line = text; line && good; line = next) {
    if ((next = strchr(line, '\n')))
      *next++ = 0;
    number++;
    good = !line[strspn(line, " \t\r")] || cg_artifact_record(artifact, kernel, kernel_name, line);
  }
  free(text);
  if (!good)
    *out_error = tl_sprintf(
        arena, "%s:%d: a record needs kernel, device, shape, variant and ns > 0", path, number);
  return good;
}
