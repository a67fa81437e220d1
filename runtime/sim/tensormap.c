// Instructions that make and publish tensor maps: tensormap.replace, tensormap.cp_fenceproxy.
//
// Their accesses are generic ones. The tensormap proxy itself is not modelled: a copy that uses a
// map without fence.proxy.tensormap is not found.
#include "runtime/sim/async.h"
#include <inttypes.h>

// The 128 bytes a lane names, checked for bounds, alignment and races; NULL after a report.
static uint8_t *map_bytes(sim_warp *w, const sim_op *op, int lane, const sim_place *place,
                          bool writes, sim_region **out_region, uint64_t *out_offset) {
  const uint32_t *A = sim_src(w, place->slot);
  uint64_t address = place->wide ? sim_get64(A, lane) + (uint64_t)place->offset
                                 : (uint32_t)(A[lane] + (uint32_t)place->offset);
  sim_space space = place->space;
  if (space == SIM_SPACE_GENERIC)
    space = sim_space_of_generic(&address);
  sim_region *region = space == SIM_SPACE_SHARED   ? w->view.shared
                       : space == SIM_SPACE_GLOBAL ? sim_mem_find(w->view.global, address)
                                                   : NULL;
  uint64_t at = region ? address - region->base : 0;
  if (!region || at > region->bytes || region->bytes - at < SIM_TENSOR_MAP_BYTES ||
      address % (space == SIM_SPACE_SHARED ? 128 : 64)) {
    sim_fail(w, op, 1u << lane, region && address % 64 ? SIM_MISALIGNED : SIM_BAD_ADDRESS,
             "0x%" PRIx64 " is no place for a tensor map of 128 bytes", address);
    return NULL;
  }
  uint64_t offsets[32] = {0};
  offsets[lane] = at;
  if (w->view.agent &&
      !sim_race_access(w->view.agent, region, offsets, 1u << lane, SIM_TENSOR_MAP_BYTES,
                       writes ? SIM_RACE_WRITE : SIM_RACE_READ, op->line, w->view.fault)) {
    sim_fail_memory(w, op);
    return NULL;
  }
  *out_region = region;
  *out_offset = at;
  return region->data + at;
}

// extra: sim_bulk_info with map, size (the value) and, in what, the field; imm: ordinal.
void sim_exec_tensormap_replace(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_bulk_info *info = op->extra;
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    sim_region *region;
    uint64_t at;
    sim_tensor_map map;
    uint8_t *bytes = map_bytes(w, op, lane, &info->map, true, &region, &at);
    if (!bytes)
      return;
    const uint32_t *V = sim_src(w, info->size);
    uint64_t value = op->sub ? sim_get64(V, lane) : V[lane];
    if (!sim_tensor_map_decode_raw(bytes, &map)) {
      sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS, "these 128 bytes are no tensor map");
      return;
    }
    if (!sim_tensor_map_replace(&map, (sim_tensor_map_field)info->what, (uint32_t)op->imm, value)) {
      sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS, "a tensor map cannot have the value %" PRIu64,
               value);
      return;
    }
    sim_tensor_map_encode(&map, bytes);
    sim_region_mark(region, at, SIM_TENSOR_MAP_BYTES, true);
  }
  w->cta->effects++;
}

// One copy for the warp, then a release at the scope.
void sim_exec_tensormap_copy(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_bulk_info *info = op->extra;
  int lane = __builtin_ctz(mask);
  sim_region *from, *to;
  uint64_t from_at, to_at;
  const uint8_t *src = map_bytes(w, op, lane, &info->src, false, &from, &from_at);
  uint8_t *dst = src ? map_bytes(w, op, lane, &info->dst, true, &to, &to_at) : NULL;
  if (!dst)
    return;
  memmove(dst, src, SIM_TENSOR_MAP_BYTES);
  sim_region_mark(to, to_at, SIM_TENSOR_MAP_BYTES, true);
  w->cta->effects++;
  if (w->view.agent)
    sim_race_fence(w->view.agent, (sim_scope)op->sub);
}
