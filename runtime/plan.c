// Plans: everything about a launch that does not change from run to run, prepared once.
//
// tile_plan_run copies a template of the packed parameters to its stack, writes the addresses into
// it and launches: no lock, no allocation, no I/O. A plan is never written to after creation, which
// is why several threads may run it at once.
#include "runtime/counters.h"
#include "runtime/select.h"
#include "runtime/status.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct plan_address { // one address among the packed parameters
  uint32_t offset;
  int tensor;     // index into ptrs
  uintptr_t mask; // bits that must be clear
  bool is_map;    // within a TMA descriptor, which the device retargets
  bool is_empty;  // of an empty tensor: may be anything, and a descriptor keeps its dummy
  const char *name;
} plan_address;

// Any address TMA accepts: descriptors of tensors whose address is not known yet, or never used.
enum { DUMMY_ADDRESS = 4096, TMAP_ALIGN = 16, PLAN_MAX_TMAPS = 8 };

struct tile_plan {
  const tile_variant *variant;
  tile_device *device;
  tile_code *code;
  tile_dispatch dispatch; // params: the template below
  tile_reason reason;     // why this variant
  bool nothing_to_do;     // a grid of 0 blocks
  bool has_addresses;     // the template's addresses were given at creation
  int naddresses;
  plan_address addresses[TILE_MAX_PARAMS + PLAN_MAX_TMAPS];
  unsigned char params[TILE_MAX_PARAM_BYTES];
};

static uintptr_t address_mask(tl_dtype dtype, int align) {
  int bytes = tl_dtype_bits(dtype) / 8;
  int wanted = align > bytes ? align : bytes;
  return wanted > 1 ? (uintptr_t)wanted - 1 : 0;
}

static tile_status add_address(tile_plan *plan, const tile_bound *bound, int abi) {
  const tile_variant *variant = plan->variant;
  const tile_abi_item *item = &variant->abi[abi];
  const tile_param *param = &variant->kernel->params[item->index];
  bool empty = tile_bound_is_empty(bound, item->index), is_map = item->kind == TILE_ABI_TMAP;
  if (plan->naddresses == TILE_MAX_PARAMS + PLAN_MAX_TMAPS)
    return tile_fail(TILE_E_FORMAT, "%s: too many addresses", variant->name);
  int align = is_map && variant->align < TMAP_ALIGN ? TMAP_ALIGN : variant->align;
  plan->addresses[plan->naddresses++] = (plan_address){
      .offset = variant->offsets[abi],
      .tensor = param->tensor,
      .mask = empty ? 0 : address_mask(param->dtype, align),
      .is_map = is_map,
      .is_empty = empty,
      .name = param->name,
  };
  if (!bound->args[item->index].tensor.data && !empty)
    plan->has_addresses = false;
  return TILE_OK;
}

// Nothing is ever copied from an empty tensor, whose strides and address may be anything; the
// encoder wants plausible ones all the same.
static void describe_empty(tile_tmap_desc *desc) {
  for (int d = 0; d < desc->rank; d++)
    desc->dims[d] = 1, desc->strides_bytes[d] = 16;
  desc->address = DUMMY_ADDRESS;
}

static tile_tmap_desc describe_tmap(const tile_bound *bound, const tile_variant *variant, int abi) {
  const tile_abi_item *item = &variant->abi[abi];
  const tile_param *param = &variant->kernel->params[item->index];
  uint64_t bits = (uint64_t)tl_dtype_bits(param->dtype);
  bool packed = bits == 4; // two elements to a byte, and bytes are copied
  uintptr_t address = (uintptr_t)bound->args[item->index].tensor.data;
  tile_tmap_desc desc = {.dtype = packed ? TILE_U8 : (int32_t)param->dtype,
                         .rank = param->ndim,
                         .address = address ? address : DUMMY_ADDRESS,
                         .swizzle_bytes = item->swizzle};
  for (int d = 0; d < param->ndim; d++) {
    int from = param->ndim - 1 - d; // innermost first
    desc.dims[d] = (uint64_t)bound->shape[item->index][from];
    desc.box[d] = (uint32_t)item->box[from];
    if (!d)
      continue;
    // A dim of 1 is never stepped along: whatever stride the caller has there is no multiple of 16.
    uint64_t stride = (uint64_t)bound->stride[item->index][from] * bits / 8;
    desc.strides_bytes[d - 1] = desc.dims[d] > 1 ? stride : (stride + 15) / 16 * 16;
  }
  if (packed)
    desc.dims[0] /= 2, desc.box[0] /= 2;
  if (tile_bound_is_empty(bound, item->index))
    describe_empty(&desc);
  return desc;
}

// Descriptors are encoded here, once; a run only changes their addresses.
static tile_status encode_tmap(tile_plan *plan, const tile_bound *bound, int abi) {
  const tile_variant *variant = plan->variant;
  const tile_param *param = &variant->kernel->params[variant->abi[abi].index];
  const tile_device_ops *ops = plan->device->ops;
  if (param->ndim > TILE_TMAP_MAX_RANK)
    return tile_fail(TILE_E_FORMAT, "%s: a TMA descriptor of rank %d", variant->name, param->ndim);
  if (!ops->encode_tmap || !ops->retarget_tmap)
    return tile_fail(TILE_E_UNSUPPORTED, "'%s' has no TMA, which variant %s needs",
                     plan->device->key, variant->name);
  tile_tmap_desc desc = describe_tmap(bound, variant, abi);
  return ops->encode_tmap(plan->device, &desc, plan->params + variant->offsets[abi]);
}

static tile_status list_addresses(tile_plan *plan, const tile_bound *bound) {
  const tile_variant *variant = plan->variant;
  plan->has_addresses = true;
  for (int i = 0; i < variant->nabi; i++) {
    tile_abi_kind kind = variant->abi[i].kind;
    if (kind == TILE_ABI_TMAP)
      TILE_TRY(encode_tmap(plan, bound, i));
    if (kind == TILE_ABI_PTR || kind == TILE_ABI_TMAP)
      TILE_TRY(add_address(plan, bound, i));
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
  return list_addresses(plan, bound);
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
  tile_target target = {device->arch, device->name, device->sms};
  tile_reason reason;
  TILE_TRY(tile_select(&bound, &target, opts ? opts->variant : NULL, &variant, &reason));
  tile_plan *plan = calloc(1, sizeof *plan);
  if (!plan)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  plan->variant = variant;
  plan->device = device;
  plan->reason = reason;
  tile_status status = prepare(plan, &bound);
  if (status == TILE_OK) {
    *out = plan;
    tile_count(TILE_COUNT_PLANS);
  } else {
    free(plan);
  }
  return status;
}

void tile_plan_destroy(tile_plan *plan) { free(plan); }

size_t tile_plan_workspace(const tile_plan *plan) {
  (void)plan;
  return 0; // no kernel of this version needs one
}

static tile_status check_address(const tile_plan *plan, const plan_address *slot,
                                 uintptr_t address) {
  if (!address && !slot->is_empty)
    return tile_fail(TILE_E_INVALID, "'%s': the address is NULL", slot->name);
  if (address & slot->mask)
    return tile_fail(TILE_E_ALIGN,
                     "'%s': address 0x%" PRIxPTR " is not a multiple of %" PRIuPTR
                     ", which variant %s needs: make a plan with this address",
                     slot->name, address, slot->mask + 1, plan->variant->name);
  return TILE_OK;
}

// The packed parameters of one run, on the caller's stack, aligned as descriptors want it.
static tile_status fill_params(const tile_plan *plan, void *const *ptrs, unsigned char *params) {
  memcpy(params, plan->params, plan->dispatch.params_bytes);
  if (!ptrs)
    return plan->has_addresses
               ? TILE_OK
               : tile_fail(TILE_E_INVALID,
                           "the plan was made without addresses: ptrs must be given");
  for (int i = 0; i < plan->naddresses; i++) {
    const plan_address *slot = &plan->addresses[i];
    uintptr_t address = (uintptr_t)ptrs[slot->tensor];
    if ((address & slot->mask) || !address)
      TILE_TRY(check_address(plan, slot, address));
    if (!slot->is_map)
      memcpy(params + slot->offset, &address, sizeof address);
    else if (!slot->is_empty)
      TILE_TRY(plan->device->ops->retarget_tmap(plan->device, params + slot->offset, address));
  }
  return TILE_OK;
}

tile_status tile_plan_run(tile_plan *plan, void *const *ptrs, void *workspace,
                          size_t workspace_bytes, void *stream) {
  (void)workspace, (void)workspace_bytes;
  if (!plan)
    return tile_fail(TILE_E_INVALID, "tile_plan_run: plan is NULL");
  if (plan->nothing_to_do)
    return TILE_OK;
  _Alignas(64) unsigned char params[TILE_MAX_PARAM_BYTES];
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
  _Alignas(64) unsigned char params[TILE_MAX_PARAM_BYTES];
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
      .chosen_by = tile_reason_name(plan->reason),
      .sum_bits = variant->sum_bits,
  };
  for (int i = 0; i < plan->naddresses; i++)
    out->tma_descriptors += plan->addresses[i].is_map;
  return TILE_OK;
}
