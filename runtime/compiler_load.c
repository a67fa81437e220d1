// The one arrow from the runtime to the compiler is a dlopen: no LLVM, no compiler code here.
#include "runtime/compiler_load.h"
#include "lang/base/str.h"
#include "runtime/artifact.h"
#include "runtime/counters.h"
#include "runtime/status.h"
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static const tilec_api *loaded; // never unloaded: LLVM does not survive it

static tile_status load_from(const char *path, const tilec_api **out) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return tile_fail(TILE_E_IO, "cannot load the compiler: %s", dlerror());
  tilec_get_api_fn get;
  *(void **)&get = dlsym(handle, TILEC_GET_API);
  const tilec_api *api = get ? get() : NULL;
  if (!api || api->abi != TILEC_ABI) {
    dlclose(handle);
    return tile_fail(TILE_E_FORMAT, "%s: %s", path,
                     api ? "a compiler of another ABI" : "not a tile compiler: no " TILEC_GET_API);
  }
  *out = api;
  return TILE_OK;
}

// The folder of the program (which = 0) or of the object that holds this code (which = 1).
static bool own_folder(int which, char *out, size_t size) {
  if (which == 0) {
    ssize_t len = readlink("/proc/self/exe", out, size - 1);
    if (len <= 0)
      return false;
    out[len] = 0;
  } else {
    Dl_info info;
    if (!dladdr((void *)&load_lock, &info) || !info.dli_fname)
      return false;
    snprintf(out, size, "%s", info.dli_fname);
  }
  char *slash = strrchr(out, '/');
  if (!slash)
    return false;
  *slash = 0;
  return true;
}

static tile_status find_and_load(const tilec_api **out) {
  const char *forced = getenv("TILE_COMPILER");
  if (forced && *forced)
    return load_from(forced, out);
  char folder[PATH_MAX], path[PATH_MAX + 32];
  for (int which = 0; which < 2; which++)
    for (int i = 0; i < 2; i++) {
      if (!own_folder(which, folder, sizeof folder))
        continue;
      snprintf(path, sizeof path, i == 0 ? "%s/libtilec.so" : "%s/../lib/libtilec.so", folder);
      if (access(path, R_OK) == 0)
        return load_from(path, out);
    }
  return tile_fail(TILE_E_IO,
                   "the compiler library libtilec.so was not found beside this program; set "
                   "TILE_COMPILER to its path, or use a compiled .tla");
}

tile_status tile_compiler_get(const tilec_api **out) {
  pthread_mutex_lock(&load_lock);
  tile_status status = loaded ? TILE_OK : find_and_load(&loaded);
  *out = loaded;
  pthread_mutex_unlock(&load_lock);
  return status;
}

tile_status tile_module_compile(tile_ctx *ctx, const char *path, const char *source, size_t len,
                                const char *const *flags, int nflags, tile_module **out) {
  if (!ctx || !path || !out || nflags < 0 || (nflags && !flags))
    return tile_fail(TILE_E_INVALID, "tile_module_compile: an argument is NULL");
  const tilec_api *api;
  TILE_TRY(tile_compiler_get(&api));
  char *text = NULL;
  if (!source && !(source = text = tl_read_file(path, &len)))
    return tile_fail(TILE_E_IO, "%s: %s", path, strerror(errno));
  tile_count(TILE_COUNT_COMPILES);
  void *bytes = NULL;
  size_t nbytes = 0;
  char *said = NULL;
  tile_status status;
  if (api->compile(path, source, len, flags, nflags, &bytes, &nbytes, &said))
    status = tile_artifact_open_bytes(bytes, nbytes, path, out);
  else
    status = tile_fail(TILE_E_INVALID, "%s",
                       said && *said ? said : "the compiler failed without a word");
  free(bytes);
  free(said);
  free(text);
  return status;
}
