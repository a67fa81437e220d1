// Modules and kernels as the public API shows them.
#include "lang/base/str.h"
#include "runtime/artifact.h"
#include "runtime/status.h"
#include <stdio.h>
#include <string.h>

tile_status tile_module_load_file(tile_ctx *ctx, const char *path, tile_module **out) {
  if (!ctx || !path || !out)
    return tile_fail(TILE_E_INVALID, "tile_module_load_file: an argument is NULL");
  return tile_artifact_open(path, out);
}

tile_status tile_module_load_bytes(tile_ctx *ctx, const void *bytes, size_t len,
                                   tile_module **out) {
  if (!ctx || !bytes || !out)
    return tile_fail(TILE_E_INVALID, "tile_module_load_bytes: an argument is NULL");
  return tile_artifact_open_bytes(bytes, len, "<memory>", out);
}

void tile_module_destroy(tile_module *module) { tile_artifact_close(module); }

static tile_status no_kernel(const tile_module *module, const char *name) {
  const char *names[64];
  int count = tile_artifact_kernel_count(module);
  tl_buf buf = {0};
  tl_buf_printf(&buf, "%s has no kernel '%s'", tile_artifact_label(module), name);
  for (int i = 0; i < count && i < 64; i++)
    names[i] = tile_artifact_kernel((tile_module *)module, i)->name;
  const char *nearest = tl_nearest(name, names, (size_t)(count < 64 ? count : 64));
  if (nearest)
    tl_buf_printf(&buf, "; did you mean '%s'?", nearest);
  else
    for (int i = 0; i < count && i < 64; i++)
      tl_buf_printf(&buf, "%s%s", i ? ", " : "; there are: ", names[i]);
  tile_status status = tile_fail(TILE_E_INVALID, "%s", buf.data);
  tl_buf_free(&buf);
  return status;
}

int tile_module_kernel_count(const tile_module *module) {
  return module ? tile_artifact_kernel_count(module) : 0;
}

const char *tile_module_kernel_name(const tile_module *module, int index) {
  if (index < 0 || index >= tile_module_kernel_count(module))
    return NULL;
  return tile_artifact_kernel(module, index)->name;
}

tile_status tile_kernel_get(tile_module *module, const char *name, tile_kernel **out) {
  if (!module || !name || !out)
    return tile_fail(TILE_E_INVALID, "tile_kernel_get: an argument is NULL");
  for (int i = 0; i < tile_artifact_kernel_count(module); i++) {
    tile_kernel *kernel = tile_artifact_kernel(module, i);
    if (strcmp(kernel->name, name) == 0 || strcmp(kernel->export_name, name) == 0) {
      *out = kernel;
      return TILE_OK;
    }
  }
  return no_kernel(module, name);
}

int tile_kernel_param_count(const tile_kernel *kernel) { return kernel ? kernel->nparams : 0; }

tile_status tile_kernel_param(const tile_kernel *kernel, int index, tile_param_info *out) {
  if (!kernel || !out || index < 0 || index >= kernel->nparams)
    return tile_fail(TILE_E_INVALID, "tile_kernel_param: no parameter %d", index);
  const tile_param *param = &kernel->params[index];
  *out = (tile_param_info){
      .name = param->name,
      .is_tensor = param->is_tensor,
      .is_out = param->is_tensor && param->dir != TILE_IN,
      .dtype = (int32_t)param->dtype,
      .ndim = param->ndim,
  };
  return TILE_OK;
}
