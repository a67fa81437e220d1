// The choice itself: record, then cost model, then rank. No arguments, only dims and an alignment,
// so that coverage can ask the same question of shapes nobody has passed yet.
#include "runtime/records.h"
#include "runtime/select.h"
#include "runtime/status.h"
#include <stdlib.h>
#include <string.h>

enum { COST_UNKNOWN_YET, COST_KNOWN, COST_NONE };

const char *tile_reason_name(tile_reason reason) {
  static const char *const names[] = {"name", "record", "model", "rank"}; // ORDER tile_reason
  return names[reason];
}

tile_status tile_chooser_create(const tile_bound *bound, const tile_target *target,
                                tile_chooser *out) {
  *out = (tile_chooser){.bound = bound, .target = *target};
  TILE_TRY(tile_values_create(bound->kernel, bound, &out->values));
  out->machine = tile_machine_of(target->device, target->arch);
  out->costs = calloc((size_t)bound->kernel->nvariants + 1, sizeof *out->costs);
  out->cost_states = calloc((size_t)bound->kernel->nvariants + 1, 1);
  if (out->costs && out->cost_states)
    return TILE_OK;
  tile_chooser_free(out);
  return tile_fail(TILE_E_NOMEM, "out of memory");
}

void tile_chooser_reset(tile_chooser *chooser) {
  tile_values_reset(&chooser->values);
  memset(chooser->cost_states, COST_UNKNOWN_YET, (size_t)chooser->bound->kernel->nvariants);
}

void tile_chooser_free(tile_chooser *chooser) {
  tile_values_free(&chooser->values);
  free(chooser->costs);
  free(chooser->cost_states);
}

bool tile_chooser_fits(tile_chooser *chooser, const tile_variant *variant) {
  int64_t holds;
  for (int i = 0; i < variant->nrequires; i++)
    if (!tile_value(&chooser->values, variant->requires[i].expr_id, &holds) || !holds)
      return false;
  return true;
}

const tile_cost *tile_chooser_cost(tile_chooser *chooser, const tile_variant *variant) {
  ptrdiff_t index = variant - chooser->bound->kernel->variants;
  if (chooser->cost_states[index] == COST_UNKNOWN_YET)
    chooser->cost_states[index] =
        chooser->machine && tile_cost_of(variant, &chooser->values, chooser->machine,
                                         chooser->target.sms, &chooser->costs[index])
            ? COST_KNOWN
            : COST_NONE;
  return chooser->cost_states[index] == COST_KNOWN ? &chooser->costs[index] : NULL;
}

static bool is_candidate(tile_chooser *chooser, const tile_variant *variant, int align) {
  return strcmp(variant->arch, chooser->target.arch) == 0 && variant->align <= align &&
         tile_chooser_fits(chooser, variant);
}

typedef struct by_record {
  tile_chooser *chooser;
  int align;
  const tile_variant *found;
} by_record;

static bool take_record(const tile_variant *variant, double ns, void *user) {
  by_record *search = user;
  (void)ns; // they come in order of time
  if (!is_candidate(search->chooser, variant, search->align))
    return false;
  search->found = variant;
  return true;
}

const tile_variant *tile_choose(tile_chooser *chooser, int align, tile_reason *out_reason) {
  const tile_kernel *kernel = chooser->bound->kernel;
  const tile_target *target = &chooser->target;
  by_record search = {chooser, align, NULL};
  *out_reason = TILE_BY_RECORD;
  if (tile_records_walk(chooser->bound, target->device, target->arch, take_record, &search))
    return search.found;
  const tile_variant *first = NULL, *cheapest = NULL;
  bool all_known = true;
  for (int i = 0; i < kernel->nvariants; i++) {
    const tile_variant *variant = &kernel->variants[i];
    if (!is_candidate(chooser, variant, align))
      continue;
    const tile_cost *cost = tile_chooser_cost(chooser, variant);
    all_known = all_known && cost;
    if (!first)
      first = variant;
    if (cost && (!cheapest || cost->total < tile_chooser_cost(chooser, cheapest)->total))
      cheapest = variant;
  }
  *out_reason = all_known ? TILE_BY_MODEL : TILE_BY_RANK;
  return all_known ? cheapest : first;
}
