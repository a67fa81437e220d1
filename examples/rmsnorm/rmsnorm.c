// RMSNorm: a scalar parameter, a one-shot launch, and what a refused launch says.
//
//   tilec examples/rmsnorm.tile -o rmsnorm.tla && rmsnorm rmsnorm.tla sim:sm_90a
#include "runtime/tile.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { M = 7, N = 300 };

static void check(tile_status status) {
  if (status == TILE_OK)
    return;
  fprintf(stderr, "rmsnorm: %s: %s\n", tile_status_name(status), tile_last_error());
  exit(1);
}

static tile_arg tensor(void *address, int ndim, const int64_t *shape) {
  return (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = {address, shape, NULL, ndim, TILE_F32}};
}

int main(int argc, char **argv) {
  static float x[M][N], w[N], y[M][N];
  const double eps = 1e-5;
  for (int i = 0; i < M * N; i++)
    x[i / N][i % N] = (float)(i * 7919 % 1000) / 100 - 5;
  for (int i = 0; i < N; i++)
    w[i] = 1 + (float)(i % 5) * 0.25f;
  if (argc < 2) {
    fprintf(stderr, "usage: rmsnorm FILE.tla [DEVICE]\n");
    return 2;
  }

  tile_ctx *ctx;
  tile_device *device;
  tile_module *module;
  tile_kernel *kernel;
  check(tile_ctx_create(TILE_ABI, &ctx));
  check(tile_device_open(ctx, argc > 2 ? argv[2] : "cuda:0", &device));
  check(tile_module_load_file(ctx, argv[1], &module));
  check(tile_kernel_get(module, "rmsnorm", &kernel));

  void *dx, *dw, *dy;
  check(tile_buffer_create(device, sizeof x, "x", &dx));
  check(tile_buffer_create(device, sizeof w, "w", &dw));
  check(tile_buffer_create(device, sizeof y, "y", &dy));
  check(tile_buffer_write(device, dx, x, sizeof x));
  check(tile_buffer_write(device, dw, w, sizeof w));

  const int64_t shape[] = {M, N}, weights[] = {N}, too_few[] = {N - 1};
  tile_arg args[] = {tensor(dx, 2, shape),
                     tensor(dw, 1, too_few),
                     tensor(dy, 2, shape),
                     {.kind = TILE_ARG_FLOAT, .f = eps}};
  tile_status refused = tile_launch(kernel, device, args, 4, NULL);
  printf("rmsnorm refuses: %s: %s\n", tile_status_name(refused), tile_last_error());
  args[1] = tensor(dw, 1, weights);
  check(tile_launch(kernel, device, args, 4, NULL));
  check(tile_buffer_read(device, dy, y, sizeof y));

  double worst = 0;
  for (int row = 0; row < M; row++) {
    double squares = 0;
    for (int i = 0; i < N; i++)
      squares += (double)x[row][i] * x[row][i];
    for (int i = 0; i < N; i++)
      worst = fmax(worst, fabs(x[row][i] / sqrt(squares / N + eps) * w[i] - y[row][i]));
  }
  printf("rmsnorm on %s: largest error %.2g\n", tile_device_name(device), worst);

  check(tile_buffer_destroy(device, dx));
  check(tile_buffer_destroy(device, dw));
  check(tile_buffer_destroy(device, dy));
  tile_module_destroy(module);
  tile_ctx_destroy(ctx);
  return !(worst < 1e-5) || refused != TILE_E_SHAPE;
}
