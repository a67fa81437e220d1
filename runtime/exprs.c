// Values of expressions, remembered until the dims change.
#include "runtime/exprs.h"
#include "lang/base/expr.h"
#include "runtime/status.h"
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN_YET, KNOWN, FAILED };

tile_status tile_values_create(const tile_kernel *kernel, const tile_bound *bound,
                               tile_values *out) {
  *out = (tile_values){.bound = bound, .count = kernel->nexprs};
  out->value = calloc((size_t)out->count + 1, sizeof *out->value);
  out->state = calloc((size_t)out->count + 1, 1);
  if (out->value && out->state)
    return TILE_OK;
  tile_values_free(out);
  return tile_fail(TILE_E_NOMEM, "out of memory");
}

void tile_values_reset(tile_values *values) {
  memset(values->state, UNKNOWN_YET, (size_t)values->count);
}

void tile_values_free(tile_values *values) {
  free(values->value);
  free(values->state);
  *values = (tile_values){0};
}

bool tile_value(tile_values *values, int expr, int64_t *out) {
  if (values->state[expr] == UNKNOWN_YET) {
    char error[8];
    const char *text = values->bound->kernel->exprs[expr];
    bool good = *text && tl_expr_eval(text, tile_bound_lookup, (void *)values->bound,
                                      &values->value[expr], error, sizeof error);
    values->state[expr] = good ? KNOWN : FAILED;
  }
  *out = values->value[expr];
  return values->state[expr] == KNOWN;
}
