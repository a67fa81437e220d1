// Arguments in the kernel's order, then one tile_launch. libtile says what is wrong with them.
#include "kernels/launch.h"
#include <stddef.h>

launch launch_of(const tile_target *target, const char *kernel) {
  return (launch){.target = target, .kernel = kernel};
}

// A tensor that was not given has no type: libtile refuses it by name.
void launch_tensor(launch *l, const tile_tensor *tensor) {
  l->args[l->nargs++] =
      (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = tensor ? *tensor : (tile_tensor){0}};
}

void launch_int(launch *l, long long value) {
  l->args[l->nargs++] = (tile_arg){.kind = TILE_ARG_INT, .i = value};
}

tile_status launch_run(const launch *l) {
  if (!l->target || !l->target->module || !l->target->device)
    return TILE_E_INVALID;
  tile_kernel *kernel = NULL;
  tile_status status = tile_kernel_get(l->target->module, l->kernel, &kernel);
  if (status != TILE_OK)
    return status;
  return tile_launch(kernel, l->target->device, l->args, l->nargs, l->target->stream);
}
