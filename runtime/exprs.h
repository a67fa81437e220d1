// The expressions of one kernel, each text once: selection looks at every variant of a kernel,
// whose grids, requirements and trip counts are mostly the same few texts.
#ifndef RUNTIME_EXPRS_H
#define RUNTIME_EXPRS_H
#include "runtime/args.h"

// Values of a kernel's expressions for one set of dims, computed when first asked for. Belongs to
// one thread.
typedef struct tile_values {
  const tile_bound *bound;
  int count;
  int64_t *value;
  unsigned char *state;
} tile_values;

tile_status tile_values_create(const tile_kernel *kernel, const tile_bound *bound,
                               tile_values *out);
void tile_values_reset(tile_values *values); // the dims of `bound` have changed
void tile_values_free(tile_values *values);
// False: not known ("" or an error, such as a division by zero).
bool tile_value(tile_values *values, int expr, int64_t *out);
#endif
