// Vector addition: load a compiled kernel, plan once, run, read back.
//
//   tilec examples/vadd.tile -o vadd.tla && vadd vadd.tla sim:sm_90a
#include "runtime/tile.h"
#include <stdio.h>
#include <stdlib.h>

static void check(tile_status status) {
  if (status == TILE_OK)
    return;
  fprintf(stderr, "vadd: %s: %s\n", tile_status_name(status), tile_last_error());
  exit(1);
}

static tile_arg vector(void *address, const int64_t *length) {
  return (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = {address, length, NULL, 1, TILE_F32}};
}

int main(int argc, char **argv) {
  enum { N = 10007 }; // no multiple of anything: the kernel clips its last tile
  static float a[N], b[N], c[N];
  for (int i = 0; i < N; i++) {
    a[i] = (float)i;
    b[i] = (float)(N - i) * 0.5f;
  }
  if (argc < 2) {
    fprintf(stderr, "usage: vadd FILE.tla [DEVICE]\n");
    return 2;
  }

  tile_ctx *ctx;
  tile_device *device;
  tile_module *module;
  tile_kernel *kernel;
  check(tile_ctx_create(TILE_ABI, &ctx));
  check(tile_device_open(ctx, argc > 2 ? argv[2] : "cuda:0", &device));
  check(tile_module_load_file(ctx, argv[1], &module));
  check(tile_kernel_get(module, "vadd", &kernel));

  void *da, *db, *dc;
  check(tile_buffer_create(device, sizeof a, "a", &da));
  check(tile_buffer_create(device, sizeof b, "b", &db));
  check(tile_buffer_create(device, sizeof c, "c", &dc));
  check(tile_buffer_write(device, da, a, sizeof a));
  check(tile_buffer_write(device, db, b, sizeof b));

  // The plan holds everything that does not change: the chosen variant, the checks, the parameters.
  const int64_t length[] = {N};
  tile_arg args[] = {vector(da, length), vector(db, length), vector(dc, length)};
  tile_plan *plan;
  check(tile_plan_create(kernel, device, args, 3, NULL, &plan));
  check(
      tile_plan_run(plan, NULL, NULL, 0, NULL)); // NULL: the addresses given above, default stream
  check(tile_buffer_read(device, dc, c, sizeof c));

  int wrong = 0;
  for (int i = 0; i < N; i++)
    wrong += c[i] != a[i] + b[i];
  printf("vadd on %s: %d elements, %d wrong\n", tile_device_name(device), N, wrong);

  tile_plan_destroy(plan);
  check(tile_buffer_destroy(device, da));
  check(tile_buffer_destroy(device, db));
  check(tile_buffer_destroy(device, dc));
  tile_module_destroy(module);
  tile_ctx_destroy(ctx);
  return wrong != 0;
}
