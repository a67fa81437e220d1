// RMSNorm in bf16: a scalar parameter, a one-shot launch, and what a refused launch says.
//
//   tilec examples/rmsnorm.tile -o rmsnorm.tla && rmsnorm rmsnorm.tla sim:sm_90a
#include "runtime/tile.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 7, N = 300 };

static void check(tile_status status) {
  if (status == TILE_OK)
    return;
  fprintf(stderr, "rmsnorm: %s: %s\n", tile_status_name(status), tile_last_error());
  exit(1);
}

// bf16 is the upper half of f32. The inputs below are exact in it.
static uint16_t to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return (uint16_t)(bits >> 16);
}
static float from_bf16(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static tile_arg tensor(void *address, int ndim, const int64_t *shape) {
  return (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = {address, shape, NULL, ndim, TILE_BF16}};
}

int main(int argc, char **argv) {
  static uint16_t x[M][N], w[N], y[M][N];
  const double eps = 1e-5;
  for (int i = 0; i < M * N; i++)
    x[i / N][i % N] = to_bf16((float)(i * 7919 % 41 - 20) * 0.25f);
  for (int i = 0; i < N; i++)
    w[i] = to_bf16(1 + (float)(i % 5) * 0.25f);
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
  tile_arg eps_arg = {.kind = TILE_ARG_FLOAT, .f = eps};
  tile_arg args[] = {tensor(dx, 2, shape), tensor(dw, 1, too_few), tensor(dy, 2, shape), eps_arg};
  tile_status refused = tile_launch(kernel, device, args, 4, NULL);
  printf("rmsnorm refuses: %s: %s\n", tile_status_name(refused), tile_last_error());
  args[1] = tensor(dw, 1, weights);
  check(tile_launch(kernel, device, args, 4, NULL));
  check(tile_buffer_read(device, dy, y, sizeof y));

  double worst = 0; // relative: half a unit in the last of 8 bits is up to 2^-8
  for (int row = 0; row < M; row++) {
    double squares = 0;
    for (int i = 0; i < N; i++)
      squares += pow(from_bf16(x[row][i]), 2);
    for (int i = 0; i < N; i++) {
      double want = from_bf16(x[row][i]) / sqrt(squares / N + eps) * from_bf16(w[i]);
      worst = fmax(worst, fabs(from_bf16(y[row][i]) - want) / fmax(fabs(want), 1e-3));
    }
  }
  printf("rmsnorm on %s: largest relative error %.2g\n", tile_device_name(device), worst);

  check(tile_buffer_destroy(device, dx));
  check(tile_buffer_destroy(device, dw));
  check(tile_buffer_destroy(device, dy));
  tile_module_destroy(module);
  tile_ctx_destroy(ctx);
  return !(worst < 1.01 / 256) || refused != TILE_E_SHAPE;
}
