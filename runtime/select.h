// Which variant serves a call: a pure function of (architecture, arguments).
#ifndef RUNTIME_SELECT_H
#define RUNTIME_SELECT_H
#include "runtime/args.h"

// `forced`: a variant's name, or NULL. Also finishes the checks of the arguments.
tile_status tile_select(const tile_bound *bound, const char *arch, const char *forced,
                        const tile_variant **out);
// The grid of a variant for these arguments on a device; `ctas_per_sm` bounds a persistent one.
tile_status tile_grid_of(const tile_variant *variant, const tile_bound *bound, int sms,
                         int ctas_per_sm, uint32_t out_grid[3]);
#endif
