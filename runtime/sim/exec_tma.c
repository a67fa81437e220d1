// Instructions that issue asynchronous copies: bulk copies, TMA tiles, st.async, bulk groups.
#include "runtime/sim/async.h"
#include <inttypes.h>

static uint64_t place_of(const sim_warp *w, const sim_place *place, int lane) {
  const uint32_t *A = sim_src(w, place->slot);
  return place->wide ? sim_get64(A, lane) + (uint64_t)place->offset
                     : (uint32_t)(A[lane] + (uint32_t)place->offset);
}

static uint32_t value_of(const sim_warp *w, int32_t slot, int lane, uint32_t otherwise) {
  return slot == SIM_SINK ? otherwise : sim_src(w, slot)[lane];
}

static void fail(const sim_bulk *bulk, sim_verdict verdict, const char *what) {
  sim_fail(bulk->warp, bulk->op, 1u << bulk->lane, verdict, "%s", what);
}

static void discard(sim_bulk *bulk) { // not issued: back to the free list
  sim_cluster *cluster = bulk->warp->cta->cluster;
  bulk->next = cluster->free_bulk;
  cluster->free_bulk = bulk;
}

// The mbarrier that the operation signals; for multicast the one at the same offset elsewhere.
static bool set_bar(sim_bulk *bulk, const sim_bulk_info *info) {
  sim_warp *w = bulk->warp;
  uint64_t address = place_of(w, &info->bar, bulk->lane);
  bulk->end = SIM_BULK_MBAR;
  if (!sim_shared_place(w, bulk->op, bulk->lane, info->bar.space, address, 8, &bulk->bar_cta,
                        &bulk->bar_offset))
    return false;
  return sim_mbar_usable(w, bulk->op, bulk->lane, bulk->bar_cta, bulk->bar_offset);
}

static bool set_dst_shared(sim_bulk *bulk, const sim_bulk_info *info, uint64_t bytes) {
  uint32_t offset;
  uint64_t address = place_of(bulk->warp, &info->dst, bulk->lane);
  if (!sim_shared_place(bulk->warp, bulk->op, bulk->lane, info->dst.space, address,
                        bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes, &bulk->dst_cta, &offset))
    return false;
  bulk->dst = offset;
  bulk->dst_shared = &bulk->dst_cta->shared;
  return true;
}

static bool set_src_shared(sim_bulk *bulk, const sim_bulk_info *info, uint64_t bytes) {
  uint32_t offset;
  sim_cta *cta;
  uint64_t address = place_of(bulk->warp, &info->src, bulk->lane);
  if (!sim_shared_place(bulk->warp, bulk->op, bulk->lane, info->src.space, address,
                        bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes, &cta, &offset))
    return false;
  if (cta != bulk->warp->cta) {
    fail(bulk, SIM_BAD_ADDRESS, "the source must lie in the own CTA's shared memory");
    return false;
  }
  bulk->src = offset;
  bulk->src_shared = &cta->shared;
  return true;
}

// One operation per receiving CTA; `bulk` is complete but for destination and barrier, which it
// holds for the CTA that the instruction names.
static void issue_multicast(sim_bulk *bulk, uint32_t ctas,
                            bool (*check)(sim_bulk *bulk, bool first)) {
  sim_cluster *cluster = bulk->warp->cta->cluster;
  bool first = true;
  if (!ctas || ctas >> cluster->n) {
    sim_fail(bulk->warp, bulk->op, 1u << bulk->lane, SIM_BAD_ADDRESS,
             "the multicast mask 0x%x names CTAs that the cluster of %u does not have", ctas,
             cluster->n);
    discard(bulk);
    return;
  }
  sim_bulk *all[SIM_CLUSTER_MAX];
  uint32_t count = 0;
  for (uint32_t left = ctas; left; left &= left - 1) {
    sim_cta *cta = cluster->ctas[__builtin_ctz(left)];
    sim_bulk *each = sim_bulk_new(bulk->warp, bulk->op, bulk->lane);
    uint8_t *data = each->data, *init = each->init;
    size_t cap = each->cap;
    uint64_t read_token = each->read_token, write_token = each->write_token;
    *each = *bulk;
    each->data = data, each->init = init, each->cap = cap;
    each->read_token = read_token, each->write_token = write_token;
    each->dst_cta = each->bar_cta = cta;
    each->dst_shared = &cta->shared;
    if (cta->exited)
      fail(each, SIM_BAD_ADDRESS, "a CTA of the multicast mask has exited");
    else if (sim_mbar_usable(each->warp, each->op, each->lane, cta, each->bar_offset) &&
             check(each, first)) {
      all[count++] = each;
      first = false;
      continue;
    }
    for (uint32_t i = 0; i < count; i++)
      discard(all[i]);
    discard(each);
    discard(bulk);
    return;
  }
  discard(bulk);
  for (uint32_t i = 0; i < count; i++)
    sim_bulk_issue(all[i]);
}

// What a later wait_group of the lane lets its warp know.
static void remember(const sim_bulk *bulk) {
  sim_warp *w = bulk->warp;
  if (!w->view.agent)
    return;
  if (w->ngroups == SIM_WARP_GROUPS) { // all were read long ago
    memmove(w->groups, w->groups + 1, (SIM_WARP_GROUPS - 1) * sizeof *w->groups);
    w->ngroups--;
  }
  w->groups[w->ngroups++] = (sim_group_tokens){.lane = (uint8_t)bulk->lane,
                                               .group = bulk->group,
                                               .read = bulk->read_token,
                                               .write = bulk->write_token};
}

static void issue_group(sim_bulk *bulk) {
  bulk->end = SIM_BULK_GROUP;
  bulk->group = bulk->warp->bulk_open[bulk->lane];
  remember(bulk);
  sim_bulk_issue(bulk);
}

// --- plain copies -------------------------------------------------------------------------------
static bool check_copy(sim_bulk *bulk, bool first) {
  bool ok = !bulk->dst_shared ||
            sim_bulk_check_shared(bulk, bulk->dst_shared, bulk->dst, bulk->bytes, true);
  if (ok && first && bulk->src_shared)
    ok = sim_bulk_check_shared(bulk, bulk->src_shared, bulk->src, bulk->bytes, false);
  if (ok && first && !bulk->src_shared)
    ok = sim_bulk_check_global(bulk, bulk->src, bulk->bytes, false);
  if (ok && !bulk->dst_shared)
    ok = sim_bulk_check_global(bulk, bulk->dst, bulk->bytes, true);
  return ok;
}

static void issue_copy(sim_warp *w, const sim_op *op, int lane) {
  const sim_bulk_info *info = op->extra;
  sim_bulk *bulk = sim_bulk_new(w, op, lane);
  bool from_shared = info->src.space != SIM_SPACE_GLOBAL,
       to_shared = info->dst.space != SIM_SPACE_GLOBAL;
  bulk->bytes = value_of(w, info->size, lane, 0);
  bulk->tx = bulk->bytes;
  bulk->read = sim_bulk_read_copy;
  bulk->write = sim_bulk_write_copy;
  bulk->reduce = info->reduce;
  bulk->what = info->what;
  bulk->type = info->type;
  uint64_t src = place_of(w, &info->src, lane), dst = place_of(w, &info->dst, lane);
  if (bulk->bytes % 16 || src % 16 || dst % 16) {
    fail(bulk, SIM_MISALIGNED,
         bulk->bytes % 16 ? "the size is not a multiple of 16"
         : src % 16       ? "the source is not a multiple of 16"
                          : "the destination is not a multiple of 16");
    discard(bulk);
    return;
  }
  bulk->src = src;
  bulk->dst = dst;
  if ((from_shared && !set_src_shared(bulk, info, bulk->bytes)) ||
      (to_shared && !set_dst_shared(bulk, info, bulk->bytes)) ||
      (info->has_bar && !set_bar(bulk, info))) {
    discard(bulk);
    return;
  }
  if (info->mask != SIM_SINK) {
    issue_multicast(bulk, value_of(w, info->mask, lane, 0) & 0xFFFF, check_copy);
    return;
  }
  if (info->has_bar && bulk->bar_cta != bulk->dst_cta) {
    fail(bulk, SIM_MBAR_MISUSE, "destination and mbarrier must lie in one CTA");
    discard(bulk);
    return;
  }
  if (!check_copy(bulk, true)) {
    discard(bulk);
    return;
  }
  if (info->has_bar)
    sim_bulk_issue(bulk);
  else
    issue_group(bulk);
}

void sim_exec_bulk(sim_warp *w, const sim_op *op, uint32_t mask) {
  for (uint32_t m = mask; m && w->cta->launch->verdict == SIM_OK; m &= m - 1)
    issue_copy(w, op, __builtin_ctz(m));
}

// --- tensor maps --------------------------------------------------------------------------------
static bool read_map(sim_warp *w, const sim_op *op, int lane, const sim_place *place,
                     sim_tensor_map *out) {
  uint64_t address = place_of(w, place, lane), given = address;
  sim_space space = place->space;
  if (space == SIM_SPACE_GENERIC)
    space = sim_space_of_generic(&address);
  sim_region *region = space == SIM_SPACE_PARAM    ? w->view.param
                       : space == SIM_SPACE_CONST  ? w->view.constant
                       : space == SIM_SPACE_GLOBAL ? sim_mem_find(w->view.global, address)
                                                   : NULL;
  uint64_t offset = region ? address - region->base : 0;
  if (space == SIM_SPACE_LOCAL || space == SIM_SPACE_SHARED) {
    sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS,
             "the tensor map at 0x%" PRIx64 " lies in %s memory", given,
             space == SIM_SPACE_LOCAL ? "local" : "shared");
    return false;
  }
  if (!region || offset > region->bytes || region->bytes - offset < SIM_TENSOR_MAP_BYTES) {
    sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS, "no tensor map at 0x%" PRIx64, given);
    return false;
  }
  if (address % 64) {
    sim_fail(w, op, 1u << lane, SIM_MISALIGNED,
             "the tensor map at 0x%" PRIx64 " is not aligned to 64 bytes", given);
    return false;
  }
  if (!sim_tensor_map_decode(region->data + offset, out)) {
    const char *why = sim_tensor_map_decode_raw(region->data + offset, out)
                          ? sim_tensor_map_check(out)
                          : "something else lies there";
    sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS, "no tensor map at 0x%" PRIx64 ": %s", given, why);
    return false;
  }
  return true;
}

// prefetch.tensormap and fence.proxy.tensormap with an address: the map must be one.
void sim_exec_tensormap(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_bulk_info *info = op->extra;
  sim_tensor_map map;
  read_map(w, op, __builtin_ctz(mask), &info->map, &map);
}

// --- tiles --------------------------------------------------------------------------------------
static bool check_start(sim_bulk *bulk, const sim_bulk_info *info) {
  sim_warp *w = bulk->warp;
  const sim_tensor_map *map = &bulk->map;
  uint32_t want = info->gather ? 5 : map->rank;
  if (info->ncoords != want || (info->gather && map->rank != 2)) {
    sim_fail(w, bulk->op, 1u << bulk->lane, SIM_BAD_ADDRESS,
             "%u coordinates for a tensor map of rank %u", info->ncoords, map->rank);
    return false;
  }
  if (info->gather && map->box[1] != 1) {
    fail(bulk, SIM_BAD_ADDRESS, "gather4 and scatter4 need a box of one row");
    return false;
  }
  if ((int64_t)bulk->coords[0] * bulk->box.elem_bits % 128) {
    sim_fail(w, bulk->op, 1u << bulk->lane, SIM_MISALIGNED,
             "the innermost coordinate %d (%u-bit elements) is not a multiple of 16 bytes",
             bulk->coords[0], bulk->box.elem_bits);
    return false;
  }
  if (bulk->box.chunk_bytes != 16 && bulk->coords[0] % 128) {
    fail(bulk, SIM_MISALIGNED, "this type needs an innermost coordinate that is a multiple of 128");
    return false;
  }
  for (uint32_t i = 0; info->store && i < want; i++)
    if (bulk->coords[i] < 0) {
      sim_fail(w, bulk->op, 1u << bulk->lane, SIM_BAD_ADDRESS,
               "a tensor store starts at the negative coordinate %d", bulk->coords[i]);
      return false;
    }
  return true;
}

static bool reduce_type(sim_bulk *bulk) {
  static const ptx_type types[SIM_TMA_TYPES] = {
      PTX_NOTYPE, PTX_NOTYPE, PTX_U32, PTX_S32,    PTX_U64,    PTX_S64,    PTX_F16,    PTX_F32,
      PTX_F64,    PTX_BF16,   PTX_F32, PTX_NOTYPE, PTX_NOTYPE, PTX_NOTYPE, PTX_NOTYPE, PTX_NOTYPE};
  bulk->type = types[bulk->map.type];
  bool is_float = ptx_type_class(bulk->type) == PTX_CLASS_FLOAT;
  bool half = bulk->type == PTX_F16 || bulk->type == PTX_BF16;
  bool ok = bulk->type != PTX_NOTYPE;
  switch (bulk->what) {
  case SIM_ATOM_ADD:
    break;
  case SIM_ATOM_MIN:
  case SIM_ATOM_MAX:
    ok &= !is_float || half;
    break;
  case SIM_ATOM_INC:
  case SIM_ATOM_DEC:
    ok &= bulk->type == PTX_U32;
    break;
  default:
    ok &= !is_float;
    break;
  }
  if (!ok)
    fail(bulk, SIM_UNSUPPORTED, "this reduction does not exist for the tensor map's data type");
  return ok;
}

static bool check_load_tile(sim_bulk *bulk, bool first) {
  (void)first;
  return sim_bulk_check_tile(bulk, false);
}

static bool prepare_tile(sim_bulk *bulk, const sim_bulk_info *info) {
  sim_warp *w = bulk->warp;
  if (!read_map(w, bulk->op, bulk->lane, &info->map, &bulk->map))
    return false;
  for (uint32_t i = 0; i < info->ncoords; i++)
    bulk->coords[i] = (int32_t)sim_src(w, info->coords[i])[bulk->lane];
  bulk->gather = info->gather;
  bulk->reduce = info->reduce;
  bulk->what = info->what;
  sim_tma_box_of(&bulk->map, bulk->gather, &bulk->box);
  bulk->tx = (uint32_t)bulk->box.tx_bytes;
  if (!check_start(bulk, info) || (bulk->reduce && !reduce_type(bulk)))
    return false;
  if (info->prefetch)
    return true;
  const sim_place *shared = info->store ? &info->src : &info->dst;
  if (place_of(w, shared, bulk->lane) % sim_tma_shared_align(bulk->map.swizzle)) {
    fail(bulk, SIM_MISALIGNED, "the shared-memory address of a tile is not a multiple of 128");
    return false;
  }
  // A swizzle permutes inside its pattern, which may reach beyond a narrow last row.
  return info->store ? set_src_shared(bulk, info, bulk->box.shared_bytes)
                     : set_dst_shared(bulk, info, bulk->box.shared_bytes) && set_bar(bulk, info);
}

static void issue_tile(sim_warp *w, const sim_op *op, int lane) {
  const sim_bulk_info *info = op->extra;
  sim_bulk *bulk = sim_bulk_new(w, op, lane);
  if (!prepare_tile(bulk, info) || info->prefetch) {
    discard(bulk);
    return;
  }
  bulk->read = info->store ? sim_bulk_gather_tile : sim_bulk_read_tile;
  bulk->write = info->store ? sim_bulk_scatter_tile : sim_bulk_write_tile;
  if (info->store) {
    if (sim_bulk_check_tile(bulk, true))
      issue_group(bulk);
    else
      discard(bulk);
  } else if (info->mask != SIM_SINK) {
    issue_multicast(bulk, value_of(w, info->mask, lane, 0) & 0xFFFF, check_load_tile);
  } else if (bulk->bar_cta != bulk->dst_cta) {
    fail(bulk, SIM_MBAR_MISUSE, "destination and mbarrier must lie in one CTA");
    discard(bulk);
  } else if (sim_bulk_check_tile(bulk, false)) {
    sim_bulk_issue(bulk);
  } else {
    discard(bulk);
  }
}

void sim_exec_tma(sim_warp *w, const sim_op *op, uint32_t mask) {
  for (uint32_t m = mask; m && w->cta->launch->verdict == SIM_OK; m &= m - 1)
    issue_tile(w, op, __builtin_ctz(m));
}

// --- st.async, red.async ------------------------------------------------------------------------
void sim_exec_st_async(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_bulk_info *info = op->extra;
  uint32_t size = (uint32_t)ptx_type_bits(info->type) / 8, bytes = size * info->elems;
  for (uint32_t m = mask; m && w->cta->launch->verdict == SIM_OK; m &= m - 1) {
    int lane = __builtin_ctz(m);
    sim_bulk *bulk = sim_bulk_new(w, op, lane);
    bulk->bytes = bulk->tx = bytes;
    bulk->reduce = info->reduce;
    bulk->what = info->what;
    bulk->type = info->type;
    bulk->write = sim_bulk_write_copy; // registers are read at issue
    if (place_of(w, &info->dst, lane) % bytes) {
      fail(bulk, SIM_MISALIGNED, "the destination is not aligned to the size of the access");
      discard(bulk);
      return;
    }
    if (!set_dst_shared(bulk, info, bytes) || !set_bar(bulk, info)) {
      discard(bulk);
      return;
    }
    if (bulk->bar_cta != bulk->dst_cta) {
      fail(bulk, SIM_MBAR_MISUSE, "destination and mbarrier must lie in one CTA");
      discard(bulk);
      return;
    }
    sim_bulk_room(bulk, bytes);
    memset(bulk->init, 1, bytes);
    for (uint32_t k = 0; k < bytes / 4; k++)
      memcpy(bulk->data + 4 * k, &sim_src(w, info->values[k])[lane], 4);
    if (sim_region_is_typed(bulk->dst_shared, bulk->dst, bulk->dst + bytes)) {
      fail(bulk, SIM_MBAR_MISUSE, "the destination belongs to a live mbarrier");
      discard(bulk);
      return;
    }
    // A generic-proxy access: ordered by its completion, no proxy fence asked for.
    if (w->view.agent &&
        !sim_race_async_store(w->view.agent, bulk->write_token, bulk->dst_shared, bulk->dst, bytes,
                              info->reduce, op->line, w->view.fault)) {
      sim_bulk_fault(bulk);
      discard(bulk);
      return;
    }
    sim_bulk_issue(bulk);
  }
}

// --- bulk groups --------------------------------------------------------------------------------
void sim_exec_bulk_commit(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)op;
  for (uint32_t m = mask; m; m &= m - 1)
    w->bulk_open[__builtin_ctz(m)]++;
}

// imm: groups that may stay; sub: 1 for .read. Operations that landed before have left the list;
// what the race detector knows of them is kept per group.
void sim_exec_bulk_wait(sim_warp *w, const sim_op *op, uint32_t mask) {
  sim_cluster *cluster = w->cta->cluster;
  for (sim_bulk *bulk = cluster->bulk; bulk && cluster->launch->verdict == SIM_OK;
       bulk = bulk->next) {
    if (bulk->warp != w || bulk->end != SIM_BULK_GROUP || !(mask >> bulk->lane & 1))
      continue;
    uint32_t open = w->bulk_open[bulk->lane];
    if (open > (uint32_t)op->imm && bulk->group < open - (uint32_t)op->imm)
      sim_bulk_fire(bulk, op->sub ? 1 : 2);
  }
  sim_bulk_sweep(cluster);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < w->ngroups; i++) {
    const sim_group_tokens *each = &w->groups[i];
    uint32_t open = w->bulk_open[each->lane], allowed = (uint32_t)op->imm;
    bool due = mask >> each->lane & 1 && open > allowed && each->group < open - allowed;
    if (due)
      sim_race_bulk_wait(w->view.agent, each->read);
    if (due && !op->sub)
      sim_race_bulk_wait(w->view.agent, each->write);
    else
      w->groups[kept++] = *each;
  }
  w->ngroups = kept;
}
