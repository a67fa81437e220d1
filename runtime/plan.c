// Plans: everything about a launch that does not change from run to run, prepared once.
//
// tile_plan_run copies a template of the packed parameters to its stack, writes the addresses into
// it and launches: no lock, no allocation, no I/O. A plan is never written to after creation, which
// is why several threads may run it at once.
#include "runtime/select.h"
#include "runtime/status.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct plan_ptr { // one address among the packed parameters
  uint32_t offset;
  int tensor;       // index into ptrs
  uintptr_t mask;   // bits that must be clear
  bool may_be_null; // an empty tensor
  const char *name;
} plan_ptr;

typedef struct plan_tmap { // one TMA descriptor among the packed parameters
  uint32_t offset;
  int tensor;
  bool is_empty;
  tile_tmap_desc desc; // address: the one given at creation
} plan_tmap;

enum { PLAN_MAX_TMAPS = 8 };

struct tile_plan {
  const tile_variant *variant;
  tile_device *device;
  tile_code *code;
  tile_dispatch dispatch; // params: the template below
  bool nothing_to_do;     // a grid of 0 blocks
  bool has_addresses;     // the template's addresses were given at creation
  int nptrs;
  plan_ptr ptrs[TILE_MAX_PARAMS];
  int ntmaps;
  plan_tmap tmaps[PLAN_MAX_TMAPS];
  unsigned char params[TILE_MAX_PARAM_BYTES];
};

static uintptr_t address_mask(tl_dtype dtype, int align) {
  int bytes = tl_dtype_bits(dtype) / 8;
  int wanted = align > bytes ? align : bytes;
  return wanted > 1 ? (uintptr_t)wanted - 1 : 0;
}

static tile_status list_ptrs(tile_plan *plan, const tile_bound *bound) {
  const tile_variant *variant = plan->variant;
  plan->has_addresses = true;
  for (int i = 0; i < variant->nabi; i++) {
    const tile_abi_item *item = &variant->abi[i];
    if (item->kind != TILE_ABI_PTR)
      continue;
    if (plan->nptrs == TILE_MAX_PARAMS)
      return tile_fail(TILE_E_FORMAT, "%s: too many addresses", variant->name);
    const tile_param *param = &variant->kernel->params[item->index];
    bool empty = tile_bound_is_empty(bound, item->index);
    plan->ptrs[plan->nptrs++] = (plan_ptr){
        .offset = variant->offsets[i],
        .tensor = param->tensor,
        .mask = empty ? 0 : address_mask(param->dtype, variant->align),
        .may_be_null = empty,
        .name = param->name,
    };
    if (!bound->args[item->index].tensor.data && !empty)
      plan->has_addresses = false;
  }
  return TILE_OK;
}

// Nothing is ever copied from an empty tensor, whose strides and address may be anything; the
// encoder wants plausible ones all the same.
static void describe_empty(tile_tmap_desc *desc) {
  for (int d = 0; d < desc->rank; d++)
    desc->dims[d] = 1, desc->strides_bytes[d] = 16;
}

static plan_tmap describe_tmap(const tile_bound *bound, const tile_variant *variant, int abi) {
  const tile_abi_item *item = &variant->abi[abi];
  const tile_param *param = &variant->kernel->params[item->index];
  uint64_t bytes = (uint64_t)tl_dtype_bits(param->dtype) / 8;
  plan_tmap map = {.offset = variant->offsets[abi], .tensor = param->tensor};
  map.is_empty = tile_bound_is_empty(bound, item->index);
  map.desc.dtype = (int32_t)param->dtype;
  map.desc.rank = param->ndim;
  map.desc.address = (uintptr_t)bound->args[item->index].tensor.data;
  map.desc.swizzle_bytes = item->swizzle;
  for (int d = 0; d < param->ndim; d++) {
    int from = param->ndim - 1 - d; // innermost first
    map.desc.dims[d] = (uint64_t)bound->shape[item->index][from];
    map.desc.box[d] = (uint32_t)item->box[from];
    if (d)
      map.desc.strides_bytes[d - 1] = (uint64_t)bound->stride[item->index][from] * bytes;
  }
  if (map.is_empty)
    describe_empty(&map.desc);
  return map;
}

static tile_status list_tmaps(tile_plan *plan, const tile_bound *bound) {
  const tile_variant *variant = plan->variant;
  for (int i = 0; i < variant->nabi; i++) {
    if (variant->abi[i].kind != TILE_ABI_TMAP)
      continue;
    const tile_param *param = &variant->kernel->params[variant->abi[i].index];
    if (plan->ntmaps == PLAN_MAX_TMAPS || param->ndim > TILE_TMAP_MAX_RANK)
      return tile_fail(TILE_E_FORMAT, "%s: TMA descriptors beyond the limits", variant->name);
    if (!plan->device->ops->encode_tmap)
      return tile_fail(TILE_E_UNSUPPORTED, "'%s' has no TMA, which variant %s needs",
                       plan->device->key, variant->name);
    plan->tmaps[plan->ntmaps++] = describe_tmap(bound, variant, i);
  }
  return TILE_OK;
}

static tile_status prepare(tile_plan *plan, const tile_bound *bound) {
  const tile_variant *variant = plan->variant;
  TILE_TRY(tile_variant_load(variant, plan->device, &plan->code));
  tile_dispatch *dispatch = &plan->dispatch;
  TILE_TRY(
      tile_grid_of(variant, bound, plan->device->sms, plan->code->ctas_per_sm, dispatch->grid));
  plan->nothing_to_do = !dispatch->grid[0] || !dispatch->grid[1] || !dispatch->grid[2];
  dispatch->threads = variant->threads;
  dispatch->smem_bytes = variant->smem_bytes;
  dispatch->params = plan->params;
  dispatch->params_bytes = variant->param_bytes;
  TILE_TRY(tile_bound_pack(bound, variant, plan->params));
  TILE_TRY(list_tmaps(plan, bound));
  return list_ptrs(plan, bound);
}

tile_status tile_plan_create(tile_kernel *kernel, tile_device *device, const tile_arg *args,
                             int nargs, const tile_plan_opts *opts, tile_plan **out) {
  if (!kernel || !device || !out || (nargs && !args))
    return tile_fail(TILE_E_INVALID, "tile_plan_create: an argument is NULL");
  if (opts && opts->size < sizeof(tile_plan_opts))
    return tile_fail(TILE_E_INVALID, "tile_plan_create: opts->size is %u", opts->size);
  tile_bound bound;
  const tile_variant *variant;
  TILE_TRY(tile_bind(kernel, args, nargs, &bound));
  TILE_TRY(tile_select(&bound, device->arch, opts ? opts->variant : NULL, &variant));
  tile_plan *plan = calloc(1, sizeof *plan);
  if (!plan)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  plan->variant = variant;
  plan->device = device;
  tile_status status = prepare(plan, &bound);
  if (status == TILE_OK)
    *out = plan;
  else
    free(plan);
  return status;
}

void tile_plan_destroy(tile_plan *plan) { free(plan); }

size_t tile_plan_workspace(const tile_plan *plan) {
  (void)plan;
  return 0; // no kernel of this version needs one
}

// The packed parameters of one run, on the caller's stack.
static tile_status fill_tmaps(const tile_plan *plan, void *const *ptrs, unsigned char *params) {
  for (int i = 0; i < plan->ntmaps; i++) {
    tile_tmap_desc desc = plan->tmaps[i].desc;
    if (ptrs)
      desc.address = (uintptr_t)ptrs[plan->tmaps[i].tensor];
    if (plan->tmaps[i].is_empty)
      desc.address = 4096; // never used
    TILE_TRY(plan->device->ops->encode_tmap(plan->device, &desc, params + plan->tmaps[i].offset));
  }
  return TILE_OK;
}

static tile_status fill_addresses(const tile_plan *plan, void *const *ptrs, unsigned char *params) {
  memcpy(params, plan->params, plan->dispatch.params_bytes);
  if (!ptrs)
    return plan->has_addresses
               ? TILE_OK
               : tile_fail(TILE_E_INVALID,
                           "the plan was made without addresses: ptrs must be given");
  for (int i = 0; i < plan->nptrs; i++) {
    const plan_ptr *slot = &plan->ptrs[i];
    uintptr_t address = (uintptr_t)ptrs[slot->tensor];
    if (!address && !slot->may_be_null)
      return tile_fail(TILE_E_INVALID, "'%s': the address is NULL", slot->name);
    if (address & slot->mask)
      return tile_fail(TILE_E_ALIGN,
                       "'%s': address 0x%" PRIxPTR " is not a multiple of %" PRIuPTR
                       ", which variant %s needs: make a plan with this address",
                       slot->name, address, slot->mask + 1, plan->variant->name);
    memcpy(params + slot->offset, &address, sizeof address);
  }
  return TILE_OK;
}

static tile_status fill_params(const tile_plan *plan, void *const *ptrs, unsigned char *params) {
  TILE_TRY(fill_addresses(plan, ptrs, params));
  return fill_tmaps(plan, ptrs, params);
}

tile_status tile_plan_run(tile_plan *plan, void *const *ptrs, void *workspace,
                          size_t workspace_bytes, void *stream) {
  (void)workspace, (void)workspace_bytes;
  if (!plan)
    return tile_fail(TILE_E_INVALID, "tile_plan_run: plan is NULL");
  if (plan->nothing_to_do)
    return TILE_OK;
  unsigned char params[TILE_MAX_PARAM_BYTES];
  TILE_TRY(fill_params(plan, ptrs, params));
  tile_dispatch dispatch = plan->dispatch;
  dispatch.params = params;
  return plan->device->ops->launch(plan->device, plan->code, &dispatch, stream);
}

tile_status tile_plan_bench(tile_plan *plan, void *const *ptrs, int runs, double *out_median_ms,
                            double *out_min_ms) {
  if (!plan || runs < 1 || !out_median_ms || !out_min_ms)
    return tile_fail(TILE_E_INVALID, "tile_plan_bench: an argument is NULL or out of range");
  if (!plan->device->ops->bench)
    return tile_fail(TILE_E_UNSUPPORTED, "'%s' has no clock to measure with", plan->device->key);
  if (plan->nothing_to_do)
    return tile_fail(TILE_E_SHAPE, "an empty launch takes no time to measure");
  unsigned char params[TILE_MAX_PARAM_BYTES];
  TILE_TRY(fill_params(plan, ptrs, params));
  tile_dispatch dispatch = plan->dispatch;
  dispatch.params = params;
  return plan->device->ops->bench(plan->device, plan->code, &dispatch, runs, out_median_ms,
                                  out_min_ms);
}

tile_status tile_plan_info(const tile_plan *plan, tile_info *out) {
  if (!plan || !out || out->size < sizeof(tile_info))
    return tile_fail(TILE_E_INVALID, "tile_plan_info: an argument is NULL or out->size is wrong");
  const tile_variant *variant = plan->variant;
  *out = (tile_info){
      .size = out->size,
      .variant = variant->name,
      .arch = variant->arch,
      .grid = {plan->dispatch.grid[0], plan->dispatch.grid[1], plan->dispatch.grid[2]},
      .threads = variant->threads,
      .smem_bytes = variant->smem_bytes,
      .regs = plan->code->regs >= 0 ? plan->code->regs : variant->regs,
      .spill_bytes = variant->spill_bytes,
      .ctas_per_sm = plan->code->ctas_per_sm,
      .align = variant->align,
  };
  return TILE_OK;
}

// Loading code is not allowed while a stream is captured into a graph, and it cannot be known
// beforehand which variant a call takes: such callers make their plans first.
tile_status tile_launch(tile_kernel *kernel, tile_device *device, const tile_arg *args, int nargs,
                        void *stream) {
  if (!kernel || !device)
    return tile_fail(TILE_E_INVALID, "tile_launch: an argument is NULL");
  if (device->ops->capturing && device->ops->capturing(device, stream))
    return tile_fail(TILE_E_CAPTURE,
                     "tile_launch may load code and the stream is being captured: create a plan "
                     "before the capture and run that");
  tile_plan *plan;
  TILE_TRY(tile_plan_create(kernel, device, args, nargs, NULL, &plan));
  tile_status status = tile_plan_run(plan, NULL, NULL, 0, stream);
  tile_plan_destroy(plan);
  return status;
}
