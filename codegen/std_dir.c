// Where the library in .tile lies: beside the program or the shared library.
#include "codegen/compile.h"
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static bool look_above(const char *file, char *found, size_t size) {
  static const char *const places[] = {"../share/tile/std", "../../lang/std"};
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s", file);
  const char *folder = dirname(path);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (snprintf(found, size, "%s/%s", folder, places[i]) < (int)size && access(found, R_OK) == 0)
      return true;
  return false;
}

const char *cg_std_dir(void) {
  static _Thread_local char found[PATH_MAX];
  const char *named = getenv("TILE_STD");
  if (named)
    return named;
  Dl_info library;
  if (dladdr((const void *)cg_std_dir, &library) && library.dli_fname &&
      look_above(library.dli_fname, found, sizeof found))
    return found;
  char self[PATH_MAX];
  ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
  if (len <= 0)
    return NULL;
  self[len] = 0;
  return look_above(self, found, sizeof found) ? found : NULL;
}
