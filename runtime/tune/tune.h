// tiletune's parts: the command line, the jobs, the children that run them, the store of records.
//
// The parent never touches a device: it forks children that do, reads their results from a pipe,
// and kills one that takes too long. A candidate that hangs or faults costs itself and a restart,
// no more.
#ifndef RUNTIME_TUNE_TUNE_H
#define RUNTIME_TUNE_TUNE_H
#include "lang/base/vec.h"
#include "runtime/select.h"
#include "runtime/tilerun.h"

enum { TUNE_MAX_VALUES = 64, TUNE_TEXT = 320 };

typedef struct tune_options {
  const char *command; // "tune", "cover", "list", "show", "merge", "import", "export"
  const char *file, *kernel, *device, *out, *report, *log;
  const char *files[TUNE_MAX_VALUES]; // merge, import: after OUT
  int nfiles;
  run_pair values[TUNE_MAX_VALUES]; // NAME=LIST
  int nvalues;
  const char *shapes; // a file of such lines
  double budget_s, timeout_s;
  int shard, shards, runs, top;
} tune_options;

// An exit code after --help and usage errors, else -1.
int tune_parse_options(tl_arena *arena, int argc, char **argv, tune_options *out);

typedef struct tune_shape {
  int64_t values[TILE_MAX_DIMS + TILE_MAX_PARAMS]; // of the names, in their order
  char text[TUNE_TEXT];                            // the record's shape
  double elapsed_s;
} tune_shape;

typedef enum tune_state {
  TUNE_WAITING,
  TUNE_DONE,
  TUNE_WRONG,
  TUNE_FAILED,
  TUNE_TIMEOUT
} tune_state;
const char *tune_state_name(tune_state state);

typedef struct tune_job { // one candidate for one shape
  int shape;
  const tile_variant *variant;
  double expected_ns; // 0: not known
  tune_state state;
  double ns, least_ns;
  char why[200];
} tune_job;

typedef struct tune_device { // as a child saw it
  char arch[16], name[128];
  int sms;
  bool is_simulated;
} tune_device;

typedef struct tuning {
  const tune_options *options;
  tl_arena arena;
  tile_ctx *ctx;
  tile_module *module;
  tile_kernel *kernel;
  tune_device device;
  const char *names[TILE_MAX_DIMS + TILE_MAX_PARAMS]; // dims, then scalars that have a value
  int nnames;
  TL_VEC(tune_shape) shapes;
  TL_VEC(tune_job) jobs; // by shape, the most promising first
  int left_out;          // candidates that the model ruled out
} tuning;

// --- jobs.c: which shapes, which candidates -----------------------------------------------------
tile_status tune_list_shapes(tuning *t);
tile_status tune_list_jobs(tuning *t);
// The variant whose results others are held against: the plainest one that fits the shape.
const tile_variant *tune_witness(const tuning *t, const tune_shape *shape);
// The arguments of a shape, inputs still zero.
int tune_make_case(const tuning *t, const tune_shape *shape, run_case *out);
void tune_fill(run_tensor *tensor);                                        // random numbers
void tune_bind(const tuning *t, const tune_shape *shape, tile_bound *out); // dims and scalars only

// --- child.c: the process that has the device ---------------------------------------------------
typedef struct tune_result { // what comes through the pipe, whole
  int job;
  tune_state state;
  double ns, least_ns;
  bool is_last; // the device does not answer any more: the child ends here
  char why[200];
} tune_result;
// Runs jobs [first, ..) and writes a result for each; never returns.
__attribute__((noreturn)) void tune_child(tuning *t, int first, int pipe_fd);
// Asks a child what the device is.
tile_status tune_probe(const char *device, tune_device *out);

// --- parent.c -----------------------------------------------------------------------------------
tile_status tune_run(tuning *t);

// --- store.c: records in .tla files and in text -------------------------------------------------
typedef struct tune_record {
  const char *kernel, *device, *shape, *variant, *how; // how: a JSON object
  double ns;
} tune_record;
typedef TL_VEC(tune_record) tune_records;

// Writes `from` with the records added as `to`, atomically: the file is whole or as it was. Records
// of kernels or variants that it does not have are counted in *out_unknown.
tile_status tune_store(const char *from, const char *to, const tune_records *records,
                       int *out_stored, int *out_unknown);
// Of every kernel, or of one.
void tune_records_of(tl_arena *arena, const tile_module *module, const char *kernel,
                     tune_records *out);
void tune_print_records(FILE *out, const tune_records *records); // JSON lines
tile_status tune_read_records(tl_arena *arena, const char *path, tune_records *out);

// --- report.c -----------------------------------------------------------------------------------
void tune_print_table(const tuning *t, FILE *out);
tile_status tune_write_html(const tuning *t, const char *path);
// The records of a finished run.
void tune_collect(tuning *t, tune_records *out);
#endif
