// Coverage: the variants that any shape of given ranges selects. The question that a call asks of
// its one shape is asked of every shape, with no arguments and no device.
#include "runtime/select.h"
#include "runtime/status.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ALIGNS = 8 };
#define MAX_SHAPES ((int64_t)4000000)

typedef struct covering {
  tile_kernel *kernel;
  tile_bound bound;
  tile_chooser chooser;
  int aligns[MAX_ALIGNS], naligns; // that variants of the architecture ask for, most first
  tile_cover *counts;              // per variant
} covering;

// Does any expression of the kernel name it?
static bool is_mentioned(const tile_kernel *kernel, const char *name) {
  size_t len = strlen(name);
  for (int i = 0; i < kernel->nkeys; i++)
    if (strcmp(kernel->keys[i].name, name) == 0)
      return true;
  for (int i = 0; i < kernel->nexprs; i++)
    for (const char *at = kernel->exprs[i]; (at = strstr(at, name)); at++) {
      bool starts = at == kernel->exprs[i] || (!isalnum((unsigned char)at[-1]) && at[-1] != '_');
      if (starts && !isalnum((unsigned char)at[len]) && at[len] != '_')
        return true;
    }
  return false;
}

static const tile_range *range_of(const tile_range *ranges, int nranges, const char *name) {
  for (int i = 0; i < nranges; i++)
    if (strcmp(ranges[i].name, name) == 0)
      return &ranges[i];
  return NULL;
}

// The place of a name among the bound values; NULL: no such dim or integer scalar.
static int64_t *slot_of(covering *c, const char *name) {
  for (int i = 0; i < c->kernel->ndims; i++)
    if (strcmp(c->kernel->dims[i], name) == 0)
      return c->bound.has_dim[i] = true, &c->bound.dims[i];
  for (int i = 0; i < c->kernel->nparams; i++) {
    const tile_param *param = &c->kernel->params[i];
    if (!param->is_tensor && tl_is_int(param->dtype) && strcmp(param->name, name) == 0)
      return &c->bound.args[i].i;
  }
  return NULL;
}

static tile_status check_ranges(covering *c, const tile_range *ranges, int nranges) {
  double shapes = 1;
  for (int i = 0; i < nranges; i++) {
    if (!ranges[i].name || ranges[i].first > ranges[i].last || ranges[i].step < 0)
      return tile_fail(TILE_E_INVALID, "the range of '%s' is empty or goes down",
                       ranges[i].name ? ranges[i].name : "");
    if (!slot_of(c, ranges[i].name) || range_of(ranges, i, ranges[i].name))
      return tile_fail(TILE_E_INVALID, "'%s': %s", ranges[i].name,
                       slot_of(c, ranges[i].name) ? "two ranges"
                                                  : "the kernel has no such dim or integer");
    int64_t step = ranges[i].step ? ranges[i].step : 1;
    shapes *= (double)((ranges[i].last - ranges[i].first) / step + 1);
  }
  for (int i = 0; i < c->kernel->ndims; i++)
    if (!range_of(ranges, nranges, c->kernel->dims[i]))
      return tile_fail(TILE_E_INVALID, "'%s' needs a range", c->kernel->dims[i]);
  for (int i = 0; i < c->kernel->nparams; i++) {
    const tile_param *param = &c->kernel->params[i];
    if (!param->is_tensor && tl_is_int(param->dtype) && is_mentioned(c->kernel, param->name) &&
        !range_of(ranges, nranges, param->name))
      return tile_fail(TILE_E_INVALID, "'%s' needs a range: selection depends on it", param->name);
  }
  if (shapes > (double)MAX_SHAPES)
    return tile_fail(TILE_E_INVALID, "%.0f shapes: at most %" PRId64 "; give steps", shapes,
                     MAX_SHAPES);
  return TILE_OK;
}

static tile_status list_aligns(covering *c) {
  bool any = false;
  for (int i = 0; i < c->kernel->nvariants; i++) {
    const tile_variant *variant = &c->kernel->variants[i];
    if (strcmp(variant->arch, c->chooser.target.arch) != 0)
      continue;
    any = true;
    int at = 0;
    while (at < c->naligns && c->aligns[at] > variant->align)
      at++;
    if ((at < c->naligns && c->aligns[at] == variant->align) || c->naligns == MAX_ALIGNS)
      continue;
    memmove(c->aligns + at + 1, c->aligns + at, (size_t)(c->naligns - at) * sizeof *c->aligns);
    c->aligns[at] = variant->align;
    c->naligns++;
  }
  if (!any)
    return tile_fail(TILE_E_NO_VARIANT, "'%s' was not compiled for %s", c->kernel->name,
                     c->chooser.target.arch);
  return TILE_OK;
}

static void count_shape(covering *c) {
  tile_chooser_reset(&c->chooser);
  for (int i = 0; i < c->naligns; i++) {
    tile_reason reason;
    const tile_variant *variant = tile_choose(&c->chooser, c->aligns[i], &reason);
    if (!variant)
      continue;
    tile_cover *count = &c->counts[variant - c->kernel->variants];
    if (i == 0) {
      count->aligned++;
      count->by_record += reason == TILE_BY_RECORD;
    } else {
      count->unaligned++;
    }
  }
}

static void count_ranges(covering *c, const tile_range *ranges, int nranges) {
  if (!nranges) {
    count_shape(c);
    return;
  }
  int64_t *slot = slot_of(c, ranges->name), step = ranges->step ? ranges->step : 1;
  for (int64_t value = ranges->first; value <= ranges->last; value += step) {
    *slot = value;
    count_ranges(c, ranges + 1, nranges - 1);
  }
}

static tile_status cover(covering *c, const tile_range *ranges, int nranges, tile_cover *out,
                         int capacity, int *out_count) {
  TILE_TRY(list_aligns(c));
  c->counts = calloc((size_t)c->kernel->nvariants + 1, sizeof *c->counts);
  if (!c->counts)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  count_ranges(c, ranges, nranges);
  *out_count = 0;
  for (int i = 0; i < c->kernel->nvariants; i++) {
    if (!c->counts[i].aligned && !c->counts[i].unaligned)
      continue;
    c->counts[i].variant = c->kernel->variants[i].name;
    if (*out_count < capacity)
      out[*out_count] = c->counts[i];
    ++*out_count;
  }
  free(c->counts);
  return TILE_OK;
}

tile_status tile_kernel_variants_for(tile_kernel *kernel, const char *arch, const char *device_name,
                                     int sms, const tile_range *ranges, int nranges,
                                     tile_cover *out, int capacity, int *out_count) {
  if (!kernel || !arch || (nranges && !ranges) || (capacity && !out) || !out_count)
    return tile_fail(TILE_E_INVALID, "tile_kernel_variants_for: an argument is NULL");
  const tile_machine *machine = tile_machine_of(device_name, arch);
  tile_target target = {arch,
                        device_name ? device_name
                        : machine   ? machine->name
                                    : "",
                        sms > 0   ? sms
                        : machine ? machine->sms
                                  : 1};
  covering *c = calloc(1, sizeof *c);
  if (!c)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  c->kernel = kernel;
  c->bound.kernel = kernel;
  tile_status status = check_ranges(c, ranges, nranges);
  if (status == TILE_OK)
    status = tile_chooser_create(&c->bound, &target, &c->chooser);
  if (status == TILE_OK) {
    status = cover(c, ranges, nranges, out, capacity, out_count);
    tile_chooser_free(&c->chooser);
  }
  free(c);
  return status;
}

tile_status tile_warmup(tile_kernel *kernel, tile_device *device, const tile_range *ranges,
                        int nranges) {
  if (!kernel || !device)
    return tile_fail(TILE_E_INVALID, "tile_warmup: an argument is NULL");
  tile_cover *found = calloc((size_t)kernel->nvariants + 1, sizeof *found);
  if (!found)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  int count = 0, loaded = 0;
  tile_status status = TILE_OK;
  if (ranges)
    status = tile_kernel_variants_for(kernel, device->arch, device->name, device->sms, ranges,
                                      nranges, found, kernel->nvariants, &count);
  for (int i = 0; i < kernel->nvariants && status == TILE_OK; i++) {
    const tile_variant *variant = &kernel->variants[i];
    bool wanted = !ranges;
    for (int j = 0; j < count; j++)
      wanted = wanted || strcmp(found[j].variant, variant->name) == 0;
    tile_code *code;
    if (!wanted || strcmp(variant->arch, device->arch) != 0)
      continue;
    status = tile_variant_load(variant, device, &code);
    loaded++;
  }
  free(found);
  if (status == TILE_OK && !loaded && !ranges)
    return tile_fail(TILE_E_NO_VARIANT, "'%s' was not compiled for %s", kernel->name, device->arch);
  return status;
}
