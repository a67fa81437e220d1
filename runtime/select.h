// Which variant serves a call: a pure function of (artifact, dims, alignment, device).
//
// Of the variants that the device's architecture has and whose requirements and alignment the
// arguments meet: the fastest that was measured for this shape, or for its bucket
// (runtime/records.h); without a record the one that the cost model expects to be fastest
// (runtime/cost.h); where the artifact does not say what a variant does, the first by rank.
#ifndef RUNTIME_SELECT_H
#define RUNTIME_SELECT_H
#include "runtime/cost.h"

typedef struct tile_target { // what selection knows of a device
  const char *arch, *device; // device: tile_device_name()
  int sms;
} tile_target;

typedef enum tile_reason { TILE_BY_NAME, TILE_BY_RECORD, TILE_BY_MODEL, TILE_BY_RANK } tile_reason;
const char *tile_reason_name(tile_reason reason);

typedef struct tile_chooser { // for one kernel and device; `bound` may change between choices
  const tile_bound *bound;
  tile_target target;
  const tile_machine *machine; // NULL: no estimates for this architecture
  tile_values values;
  tile_cost *costs; // per variant
  unsigned char *cost_states;
} tile_chooser;

tile_status tile_chooser_create(const tile_bound *bound, const tile_target *target,
                                tile_chooser *out);
void tile_chooser_reset(tile_chooser *chooser); // the dims have changed
void tile_chooser_free(tile_chooser *chooser);
// For arguments aligned to `align` bytes; NULL: nothing fits.
const tile_variant *tile_choose(tile_chooser *chooser, int align, tile_reason *out_reason);
// NULL: not known.
const tile_cost *tile_chooser_cost(tile_chooser *chooser, const tile_variant *variant);
// Do the requirements hold?
bool tile_chooser_fits(tile_chooser *chooser, const tile_variant *variant);

// `forced`: a variant's name, or NULL. Also finishes the checks of the arguments. out_reason may be
// NULL.
tile_status tile_select(const tile_bound *bound, const tile_target *target, const char *forced,
                        const tile_variant **out, tile_reason *out_reason);
// The grid of a variant for these arguments on a device; `ctas_per_sm` bounds a persistent one.
tile_status tile_grid_of(const tile_variant *variant, const tile_bound *bound, int sms,
                         int ctas_per_sm, uint32_t out_grid[3]);
#endif
