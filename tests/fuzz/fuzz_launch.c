// Any bytes as a launch file of ptxsim: refused with one line, or read; its parameters are then
// packed for an entry that takes as many as it gives, and once more for one that takes them in
// other sizes.
#include "runtime/sim/launch_file.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const sim_launch_file *file, bool ok) {
  if (!ok && (!file->error.len || strchr(file->error.data, '\n')))
    abort(); // refused without a word, or with too many
}

static void pack(sim_launch_file *file, uint32_t bytes) {
  enum { MOST = 64 };
  uint32_t offsets[MOST], sizes[MOST];
  uint8_t *params = NULL;
  size_t len, count = json_array_size(json_object_get(file->root, "params"));
  if (count > MOST)
    count = MOST; // refused: the number differs
  for (uint32_t i = 0; i < count; i++)
    offsets[i] = i * bytes, sizes[i] = bytes;
  check(file, sim_launch_params(file, (int)count, offsets, sizes, &params, &len));
  free(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sim_launch_file file;
  bool ok = sim_launch_parse(&file, "fuzz.json", (const char *)data, size);
  check(&file, ok);
  // Files are not opened, and a machine would refuse sizes that a host cannot hold either.
  if (ok && size <= 16384) {
    ok = sim_launch_read_buffers(&file, false);
    check(&file, ok);
  }
  for (uint32_t bytes = 1; ok && bytes <= 128; bytes *= 2)
    pack(&file, bytes);
  sim_launch_close(&file);
  return 0;
}
