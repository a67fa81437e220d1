// The three largest of each row through the typed launcher of kernels/topk.h, and what refused
// arguments say.
//
//   launch_topk topk.tla sim:sm_90a
#include "kernels/topk.h"
#include <stdio.h>
#include <stdlib.h>

enum { M = 2, N = 9, K = 3 };

static tile_device *device;

static void check(tile_status status) {
  if (status == TILE_OK)
    return;
  fprintf(stderr, "%s: %s\n", tile_status_name(status), tile_last_error());
  exit(1);
}

static void *on_device(const void *host, size_t bytes, const char *name) {
  void *address;
  check(tile_buffer_create(device, bytes, name, &address));
  check(tile_buffer_write(device, address, host, bytes));
  return address;
}

static void refused(const char *what, tile_kernel *kernel, const tile_topk_rows_args *args) {
  tile_status status = tile_topk_rows(kernel, device, args, NULL);
  printf("%s: %s: %s\n", what, tile_status_name(status), tile_last_error());
}

int main(int argc, char **argv) {
  static const float logits[M][N] = {{1, 5, -2, 5, 0, 7, 7, 7, 9}, {3, 1, 2, 8, 8, 8, 8, 8, 8}};
  static const int32_t start[M] = {0, 0}, end[M] = {8, 2};
  static const int64_t rows[] = {M}, wide[] = {M, N}, out[] = {M, K}, packed[] = {1, M},
                       more[] = {M + 1};
  int32_t found[M][K];
  tile_ctx *ctx;
  tile_module *module;
  tile_kernel *kernel;
  if (argc != 3)
    return 2;
  check(tile_ctx_create(TILE_ABI, &ctx));
  check(tile_device_open(ctx, argv[2], &device));
  check(tile_module_load_file(ctx, argv[1], &module));
  check(tile_kernel_get(module, "topk_rows", &kernel));
  tile_topk_rows_args args = {
      .LOGITS = {on_device(logits, sizeof logits, "logits"), wide, NULL, 2, TILE_F32},
      .START = {on_device(start, sizeof start, "start"), rows, NULL, 1, TILE_I32},
      .END = {on_device(end, sizeof end, "end"), rows, NULL, 1, TILE_I32},
      .OUT = {on_device(found, sizeof found, "out"), out, NULL, 2, TILE_I32},
  };
  check(tile_topk_rows(kernel, device, &args, NULL));
  check(tile_device_sync(device));
  check(tile_buffer_read(device, args.OUT.data, found, sizeof found));
  for (int i = 0; i < M; i++)
    printf("row %d: %d %d %d\n", i, found[i][0], found[i][1], found[i][2]);
  tile_topk_rows_args bad = args;
  bad.START.dtype = TILE_I64;
  refused("wrong type", kernel, &bad);
  bad = args;
  bad.END.shape = more;
  refused("wrong extent", kernel, &bad);
  bad = args;
  bad.LOGITS.data = (char *)args.LOGITS.data + 2;
  refused("misaligned", kernel, &bad);
  bad = args;
  bad.LOGITS.stride = packed;
  refused("wrong stride", kernel, &bad);
  tile_ctx_destroy(ctx);
  return 0;
}
