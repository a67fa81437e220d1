// Arguments in the kernel's order, then one tile_launch.
#include "kernels/launch.h"
#include "runtime/status.h"

launch launch_of(const tile_target *target, const char *kernel) {
  return (launch){.target = target, .kernel = kernel};
}

void launch_tensor(launch *l, const char *name, const tile_tensor *tensor) {
  if (!tensor && !l->missing)
    l->missing = name;
  if (tensor)
    l->args[l->nargs++] = (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = *tensor};
}

void launch_int(launch *l, long long value) {
  l->args[l->nargs++] = (tile_arg){.kind = TILE_ARG_INT, .i = value};
}

tile_status launch_run(const launch *l) {
  if (!l->target || !l->target->module || !l->target->device)
    return tile_fail(TILE_E_INVALID, "%s: no module or no device",
                     l->kernel ? l->kernel : "launch");
  if (!l->kernel)
    return tile_fail(TILE_E_UNSUPPORTED, "there is no kernel for operands that lie like this");
  if (l->missing)
    return tile_fail(TILE_E_INVALID, "%s: '%s' is NULL", l->kernel, l->missing);
  tile_kernel *kernel = NULL;
  tile_status status = tile_kernel_get(l->target->module, l->kernel, &kernel);
  if (status != TILE_OK)
    return status;
  return tile_launch(kernel, l->target->device, l->args, l->nargs, l->target->stream);
}
