// What the typed launchers share. Private to kernels/*.c.
#ifndef KERNELS_LAUNCH_H
#define KERNELS_LAUNCH_H
#include "kernels/gemm.h"
#include <stdbool.h>

enum { LAUNCH_MAX_ARGS = 10 };

typedef struct launch {
  const tile_target *target;
  const char *kernel;
  tile_arg args[LAUNCH_MAX_ARGS];
  int nargs;
} launch;

launch launch_of(const tile_target *target, const char *kernel);
void launch_tensor(launch *l, const tile_tensor *tensor);
void launch_int(launch *l, long long value);
tile_status launch_run(const launch *l);
#endif
