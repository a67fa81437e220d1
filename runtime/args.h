// The arguments of one call, checked against the kernel's contract: types, ranks, dims bound to
// their names, strides. What depends on the variant (requirements, alignment) is select's.
#ifndef RUNTIME_ARGS_H
#define RUNTIME_ARGS_H
#include "runtime/artifact.h"

typedef struct tile_bound {
  const tile_kernel *kernel;
  int64_t dims[TILE_MAX_DIMS]; // of kernel->dims
  bool has_dim[TILE_MAX_DIMS];
  int bound_by[TILE_MAX_DIMS];    // parameter that bound the name; -1: none, or given beforehand
  tile_arg args[TILE_MAX_PARAMS]; // by value: tensor.shape and .stride are not used after binding
  int64_t shape[TILE_MAX_PARAMS][TILE_MAX_RANK];
  int64_t stride[TILE_MAX_PARAMS][TILE_MAX_RANK];
} tile_bound;

tile_status tile_bind(const tile_kernel *kernel, const tile_arg *args, int nargs, tile_bound *out);

// Dims and integer scalars by name: a tl_expr_lookup over a tile_bound.
bool tile_bound_lookup(void *bound, const char *name, size_t len, int64_t *out);
// An expression of the artifact; `what` names it in the message.
tile_status tile_bound_eval(const tile_bound *bound, const char *expr, const char *what,
                            int64_t *out);
// "K = 96, N = 264": the values of the names in `expr`, cut to `size`.
void tile_bound_describe(const tile_bound *bound, const char *expr, char *out, size_t size);

// Extents of composite dims, strides, overlap of outputs, element alignment.
tile_status tile_bound_check_shapes(const tile_bound *bound);
bool tile_bound_is_empty(const tile_bound *bound, int param); // some extent is 0
// Does every address and run-time stride keep `align` bytes? If not, says which argument.
tile_status tile_bound_check_align(const tile_bound *bound, int align);
// Packs the launch parameters; addresses are those of the arguments.
tile_status tile_bound_pack(const tile_bound *bound, const tile_variant *variant,
                            unsigned char *params);
#endif
