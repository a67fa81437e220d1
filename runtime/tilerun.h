// tilerun's parts: the command line, the tensors it makes, the runs it does.
#ifndef RUNTIME_TILERUN_H
#define RUNTIME_TILERUN_H
#include "runtime/args.h"
#include "runtime/check.h"
#include <stdio.h>

enum { RUN_OK = 0, RUN_BAD_INPUT = 1, RUN_USAGE = 2, RUN_CHECK_FAILED = 3, RUN_INTERNAL = 70 };
enum { RUN_MAX_FLAGS = 64, RUN_MAX_VALUES = 128 };

typedef struct run_pair { // NAME=VALUE
  const char *name, *value;
} run_pair;

typedef struct run_options {
  const char *file, *kernel, *device, *variant, *source;
  const char *flops, *bytes;        // expressions over dims
  const char *flags[RUN_MAX_FLAGS]; // for the compiler: "--set", "BM=64", "-fno-pipeline"
  int nflags;
  run_pair sets[RUN_MAX_FLAGS / 2];
  int nsets;
  run_pair values[RUN_MAX_VALUES];
  int nvalues;
  run_pair outs[RUN_MAX_VALUES];
  int nouts;
  bool check_ref, print_help, print_version;
  uint64_t seed, step_limit;
  int schedules, schedule, async, bench; // 0: not asked for; schedule, async: tile_sim_opts
} run_options;

// False after a usage error, which is printed. Names point into argv or the arena.
bool run_parse_options(tl_arena *arena, int argc, char **argv, run_options *out);
extern const char run_help[];
enum { RUN_ASYNC_ALL = 3 };
extern const char *const run_schedule_names[], *const run_async_names[];

// --- tensors -----------------------------------------------------------------------------------

typedef enum run_fill { RUN_ZEROS, RUN_RANDN, RUN_POISON, RUN_FILE } run_fill;

typedef struct run_tensor {
  const tile_param *param;
  bool given;
  run_fill fill;
  const char *path;            // RUN_FILE
  const char *extents, *steps; // what stands in [EXTENTS ; STEPS]; NULL: not written
  int64_t shape[TILE_MAX_RANK], stride[TILE_MAX_RANK];
  size_t bytes;
  unsigned char *host;   // contents before the run
  unsigned char *result; // after it
  unsigned char *reference;
  unsigned char *written; // by byte of the result: 1 or 0; NULL: nobody asked
  void *address; // on the device
} run_tensor;

typedef struct run_case { // one call: every argument with its value
  tile_kernel *kernel;
  tl_arena arena;
  uint64_t seed;
  tile_bound bound; // dims and integer scalars, for expressions
  run_tensor tensors[TILE_MAX_PARAMS];
  double floats[TILE_MAX_PARAMS]; // floating-point scalars
} run_case;

// Reads, makes and lays out every argument. The values' names must be known: RUN_USAGE otherwise.
int run_make_case(const run_options *options, tile_kernel *kernel, run_case *out);
void run_free_case(run_case *call);
// The tensor's logical contents as an .npy in C order.
tile_status run_write_npy(const char *path, const run_tensor *tensor, const unsigned char *bytes);
check_array run_array(const run_tensor *tensor, const unsigned char *bytes,
                      const unsigned char *written);

// --- fills -------------------------------------------------------------------------------------

// Writes element `offset` (in elements) of a tensor's memory.
void run_put_bits(tl_dtype dtype, unsigned char *bytes, int64_t offset, uint64_t bits);
void run_fill_random(run_tensor *tensor, uint64_t seed);
// The same kind of numbers, one after another.
void run_random_elements(const tile_param *param, uint64_t seed, unsigned char *bytes, int64_t count);

// --- runs --------------------------------------------------------------------------------------

// Everything after the options are read; the exit code.
int run_all(const run_options *options);
// Prints tile_last_error and turns a status into an exit code.
int run_report(tile_status status);
#endif
