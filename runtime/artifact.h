// A loaded .tla: kernels, their parameter contracts, variants and images. Immutable once loaded,
// so every thread may read it; only the code cache behind it changes, under the module's lock.
//
// The columns are explained in lang/artifact.h. Loading checks them once: everything after may rely
// on known element types, ranks, names that resolve and parameter lists that fit a launch.
#ifndef RUNTIME_ARTIFACT_H
#define RUNTIME_ARTIFACT_H
#include "lang/base/arena.h"
#include "lang/dtype.h"
#include "runtime/device.h"
#include "runtime/plan_cache.h"

enum {
  TILE_MAX_RANK = 8,
  TILE_MAX_PARAMS = 64,
  TILE_MAX_DIMS = 64 // free names of one kernel
};

typedef enum tile_dir { TILE_IN, TILE_OUT, TILE_INOUT } tile_dir;

typedef struct tile_param {
  const char *name;
  bool is_tensor;
  tile_dir dir;
  tl_dtype dtype;
  int ndim;
  int tensor; // ordinal among the tensors, the index into tile_plan_run's ptrs; -1 for scalars
  const char *dims[TILE_MAX_RANK];    // expressions
  const char *strides[TILE_MAX_RANK]; // expressions; "" = given at run time
  int dim_exprs[TILE_MAX_RANK];       // into the kernel's exprs
} tile_param;

typedef struct tile_require {
  const char *expr, *text;
  int expr_id; // into the kernel's exprs
} tile_require;

typedef enum tile_work_kind { TILE_WORK_DOT, TILE_WORK_LOAD, TILE_WORK_STORE, TILE_WORK_SPLIT } tile_work_kind;

typedef struct tile_work { // see `work` in lang/artifact.h
  tile_work_kind kind;
  tl_dtype dtype; // DOT
  int m, n, k;
  int times; // into the kernel's exprs
} tile_work;

typedef struct tile_key { // what records are keyed by
  const char *name;
  int64_t *buckets; // ascending
  int nbuckets;
} tile_key;

typedef struct tile_record { // one measurement
  const char *device, *shape, *variant, *how;
  double ns;
} tile_record;

typedef enum tile_abi_kind {
  TILE_ABI_PTR,
  TILE_ABI_SCALAR,
  TILE_ABI_DIM,
  TILE_ABI_STRIDE,
  TILE_ABI_TMAP // a TMA descriptor of 128 bytes, encoded for each launch's address
} tile_abi_kind;

typedef struct tile_abi_item { // one launch parameter
  tile_abi_kind kind;
  int index; // parameter; TILE_ABI_DIM: free name
  int axis;  // TILE_ABI_STRIDE
  tl_dtype dtype;
  int64_t box[TILE_MAX_RANK]; // TILE_ABI_TMAP: extents of one copy, in the tensor's dim order
  int swizzle;                // TILE_ABI_TMAP: bytes
} tile_abi_item;

typedef struct tile_loaded { // one variant's code on one device
  struct tile_loaded *next;
  tile_device *device;
  tile_code *code;
} tile_loaded;

typedef struct tile_variant {
  int64_t id;
  tile_kernel *kernel;
  const char *arch, *name, *settings, *symbol;
  const char *grid[3];
  int align, rank;
  bool is_default;
  uint32_t threads, smem_bytes;
  int ctas_per_sm, regs, spill_bytes, stages, sum_bits;
  int grid_expr[3]; // into the kernel's exprs: blocks of work along an axis; -1: one
  tile_work *work;
  int nwork; // 0: not known
  tile_require *requires;
  int nrequires;
  tile_abi_item *abi;
  int nabi;
  uint32_t *offsets, *sizes; // of each launch parameter in the packed block
  uint32_t param_bytes;
  tile_loaded *loaded; // under the module's lock
} tile_variant;

struct tile_kernel {
  tile_module *module;
  int64_t id;
  const char *name, *export_name, *source;
  int line;
  tile_param *params;
  int nparams, ntensors;
  const char **dims; // free names, in order of first plain occurrence
  int ndims;
  tile_variant *variants; // by rank, then name: the order of selection
  int nvariants;
  const char **exprs; // texts, each once
  int nexprs;
  tile_key *keys;
  int nkeys;
  tile_record *records; // by device, shape, time
  int nrecords;
  tile_plan_cache *cache; // tile_launch's
};

tile_status tile_artifact_open(const char *path, tile_module **out);
// `bytes` is copied.
tile_status tile_artifact_open_bytes(const void *bytes, size_t len, const char *label,
                                     tile_module **out);
void tile_artifact_close(tile_module *module);

const char *tile_artifact_label(const tile_module *module);                 // path or "<memory>"
const char *tile_artifact_meta(const tile_module *module, const char *key); // NULL: not there
int tile_artifact_kernel_count(const tile_module *module);
tile_kernel *tile_artifact_kernel(const tile_module *module, int index);

// The variant's code on `device`, loaded the first time anyone asks; lives as long as the module.
tile_status tile_variant_load(const tile_variant *variant, tile_device *device, tile_code **out);
bool tile_variant_is_loaded(const tile_variant *variant, const tile_device *device);
#endif
