// Selection for a call: the choice, and when nothing fits, why the most preferred variant was refused;
// of alignments the least that would do.
#include "runtime/select.h"
#include "lang/base/str.h"
#include "runtime/status.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static tile_status check_requires(const tile_variant *variant, const tile_bound *bound) {
  for (int i = 0; i < variant->nrequires; i++) {
    const tile_require *require = &variant->requires[i];
    int64_t holds;
    TILE_TRY(tile_bound_eval(bound, require->expr, "requires", &holds));
    if (holds)
      continue;
    char values[200];
    tile_bound_describe(bound, require->expr, values, sizeof values);
    bool same = strcmp(require->text, require->expr) == 0 || !*require->text;
    return tile_fail(TILE_E_SHAPE, "requires %s%s%s%s%s%s", same ? require->expr : require->text,
                     same ? "" : " (", same ? "" : require->expr, same ? "" : ")",
                     *values ? ": " : "", values);
  }
  return TILE_OK;
}

static tile_status fits(const tile_variant *variant, const tile_bound *bound) {
  TILE_TRY(check_requires(variant, bound));
  return tile_bound_check_align(bound, variant->align);
}

static tile_status none_for(const tile_kernel *kernel, const char *arch, const char *forced) {
  char names[512] = "";
  size_t used = 0;
  for (int i = 0; i < kernel->nvariants; i++) {
    const tile_variant *variant = &kernel->variants[i];
    const char *name = forced ? variant->name : variant->arch;
    bool wanted = !forced || strcmp(variant->arch, arch) == 0;
    for (int j = 0; j < i && wanted && !forced; j++)
      wanted = strcmp(kernel->variants[j].arch, name) != 0;
    if (!wanted || used >= sizeof names)
      continue;
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
  }
  if (forced && *names)
    return tile_fail(TILE_E_NO_VARIANT, "'%s' has no variant '%s' for %s; there are: %s",
                     kernel->name, forced, arch, names);
  return tile_fail(TILE_E_NO_VARIANT, "'%s' was not compiled for %s%s%s", kernel->name, arch,
                   *names && !forced ? ", only for " : "", forced ? "" : names);
}

// The first of the variants in question that fits; else why the first of them does not.
static tile_status first_that_fits(const tile_bound *bound, const char *arch, const char *forced,
                                   const tile_variant **out) {
  const tile_kernel *kernel = bound->kernel;
  tile_status refusal = TILE_OK;
  int asked = 0; // of an alignment refusal: the mildest is told
  char reason[1024];
  for (int i = 0; i < kernel->nvariants; i++) {
    const tile_variant *variant = &kernel->variants[i];
    if (strcmp(variant->arch, arch) != 0 || (forced && strcmp(variant->name, forced) != 0))
      continue;
    tile_status status = fits(variant, bound);
    if (status == TILE_OK)
      return *out = variant, TILE_OK;
    if (refusal == TILE_OK ||
        (status == TILE_E_ALIGN && refusal == status && variant->align < asked)) {
      refusal = status;
      asked = variant->align;
      snprintf(reason, sizeof reason, "%s", tile_last_error());
    }
  }
  if (refusal == TILE_OK)
    return none_for(kernel, arch, forced);
  // A shape that no variant takes matters more than an address, and less than a wrong dim.
  if (refusal != TILE_E_SHAPE)
    TILE_TRY(tile_bound_check_shapes(bound));
  return tile_fail(refusal, "%s", reason);
}

// What the arguments are aligned to, as far as any variant asks.
static int alignment_of(const tile_bound *bound) {
  int most = 0;
  for (int i = 0; i < bound->kernel->nvariants; i++) {
    int align = bound->kernel->variants[i].align;
    if (align > most && tile_bound_check_align(bound, align) == TILE_OK)
      most = align;
  }
  return most;
}

tile_status tile_select(const tile_bound *bound, const tile_target *target, const char *forced,
                        const tile_variant **out, tile_reason *out_reason) {
  const tile_variant *chosen = NULL;
  tile_reason reason = TILE_BY_NAME;
  if (!forced) {
    tile_chooser chooser;
    TILE_TRY(tile_chooser_create(bound, target, &chooser));
    chosen = tile_choose(&chooser, alignment_of(bound), &reason);
    tile_chooser_free(&chooser);
  }
  if (!chosen)
    TILE_TRY(first_that_fits(bound, target->arch, forced, &chosen));
  TILE_TRY(tile_bound_check_shapes(bound));
  *out = chosen;
  if (out_reason)
    *out_reason = reason;
  return TILE_OK;
}

// --- grid --------------------------------------------------------------------------------------

static const char persistent[] = "persistent(";

tile_status tile_grid_of(const tile_variant *variant, const tile_bound *bound, int sms,
                         int ctas_per_sm, uint32_t out_grid[3]) {
  static const int64_t limits[3] = {INT32_MAX, 65535, 65535}; // CUDA's, all architectures
  for (int axis = 0; axis < 3; axis++) {
    const char *text = variant->grid[axis];
    size_t len = strlen(text);
    bool is_persistent = tl_starts_with(text, persistent) && text[len - 1] == ')';
    char inner[1024];
    if (is_persistent) {
      size_t from = sizeof persistent - 1;
      if (len - from >= sizeof inner)
        return tile_fail(TILE_E_FORMAT, "%s: the grid's expression is too long", variant->name);
      snprintf(inner, sizeof inner, "%.*s", (int)(len - from - 1), text + from);
      text = inner;
    }
    int64_t count = 1;
    if (*text)
      TILE_TRY(tile_bound_eval(bound, text, "grid", &count));
    int64_t resident = (int64_t)sms * (ctas_per_sm > 0 ? ctas_per_sm : 1);
    if (is_persistent && count > resident)
      count = resident;
    if (count < 0 || count > limits[axis])
      return tile_fail(TILE_E_SHAPE,
                       "%s: the grid needs %" PRId64 " blocks along %c, at most %" PRId64,
                       variant->kernel->name, count, "xyz"[axis], limits[axis]);
    out_grid[axis] = (uint32_t)count;
  }
  return TILE_OK;
}
