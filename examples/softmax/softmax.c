// Row softmax: one plan, run over several batches of the same shape by giving other addresses.
//
//   tilec examples/softmax.tile -o softmax.tla && softmax softmax.tla sim:sm_90a
#include "runtime/tile.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCHES = 3, M = 5, N = 200 };

static void check(tile_status status) {
  if (status == TILE_OK)
    return;
  fprintf(stderr, "softmax: %s: %s\n", tile_status_name(status), tile_last_error());
  exit(1);
}

// The largest difference from a softmax in double precision.
static double worst_error(const float *x, const float *y) {
  double worst = 0;
  for (int row = 0; row < M; row++) {
    const float *in = x + row * N, *out = y + row * N;
    double top = in[0], sum = 0;
    for (int i = 1; i < N; i++)
      top = in[i] > top ? in[i] : top;
    for (int i = 0; i < N; i++)
      sum += exp(in[i] - top);
    for (int i = 0; i < N; i++)
      worst = fmax(worst, fabs(exp(in[i] - top) / sum - out[i]));
  }
  return worst;
}

int main(int argc, char **argv) {
  static float x[BATCHES][M * N], y[M * N];
  for (int i = 0; i < BATCHES * M * N; i++)
    x[i / (M * N)][i % (M * N)] = (float)(i * 7919 % 1000) / 100 - 5;
  if (argc < 2) {
    fprintf(stderr, "usage: softmax FILE.tla [DEVICE]\n");
    return 2;
  }

  tile_ctx *ctx;
  tile_device *device;
  tile_module *module;
  tile_kernel *kernel;
  check(tile_ctx_create(TILE_ABI, &ctx));
  check(tile_device_open(ctx, argc > 2 ? argv[2] : "cuda:0", &device));
  check(tile_module_load_file(ctx, argv[1], &module));
  check(tile_kernel_get(module, "softmax_rows", &kernel));

  void *in[BATCHES], *out;
  for (int i = 0; i < BATCHES; i++) {
    check(tile_buffer_create(device, sizeof x[i], "x", &in[i]));
    check(tile_buffer_write(device, in[i], x[i], sizeof x[i]));
  }
  check(tile_buffer_create(device, sizeof y, "y", &out));

  // No addresses yet: a plan for shapes only.
  const int64_t shape[] = {M, N};
  tile_tensor matrix = {NULL, shape, NULL, 2, TILE_F32};
  tile_arg args[] = {{.kind = TILE_ARG_TENSOR, .tensor = matrix},
                     {.kind = TILE_ARG_TENSOR, .tensor = matrix}};
  tile_plan *plan;
  check(tile_plan_create(kernel, device, args, 2, NULL, &plan));

  double worst = 0;
  for (int i = 0; i < BATCHES; i++) {
    void *addresses[] = {in[i], out};
    check(tile_plan_run(plan, addresses, NULL, 0, NULL));
    check(tile_buffer_read(device, out, y, sizeof y));
    worst = fmax(worst, worst_error(x[i], y));
  }
  printf("softmax on %s: largest error %.2g\n", tile_device_name(device), worst);

  tile_plan_destroy(plan);
  for (int i = 0; i < BATCHES; i++)
    check(tile_buffer_destroy(device, in[i]));
  check(tile_buffer_destroy(device, out));
  tile_module_destroy(module);
  tile_ctx_destroy(ctx);
  return !(worst < 1e-6);
}
