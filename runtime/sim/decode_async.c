// Decoders of mbarriers, bulk copies, TMA, clusters and proxy fences.
#include "runtime/sim/async.h"
#include "runtime/sim/decode.h"

static sim_space shared_space(const sim_decoder *d) {
  return dec_has(d, "shared::cluster")                       ? SIM_SPACE_CLUSTER
         : dec_has(d, "shared::cta") || dec_has(d, "shared") ? SIM_SPACE_SHARED
                                                             : SIM_SPACE_GENERIC;
}

static sim_place place(sim_decoder *d, const ptx_operand *opd, sim_space space) {
  sim_place out = {.space = space};
  if (!opd) {
    dec_fail(d, SIM_BAD_PTX, "a memory operand is missing");
    return out;
  }
  sim_space found = space;
  out.slot = dec_address(d, opd, &found, &out.offset, &out.wide);
  if (space == SIM_SPACE_GENERIC || (space == SIM_SPACE_SHARED && found != space))
    out.space = found;
  return out;
}

// --- mbarriers ----------------------------------------------------------------------------------
static sim_mbar_info *mbar_op(sim_decoder *d, sim_op *op, const ptx_operand *address) {
  sim_mbar_info *info = dec_extra(d, sizeof *info);
  info->space = shared_space(d);
  info->drop = strncmp(d->instr->opcode, "mbarrier.arrive_drop", 20) == 0;
  info->no_complete = dec_has(d, "noComplete");
  info->expect_tx = dec_has(d, "expect_tx");
  info->relaxed = dec_has(d, "relaxed");
  info->noinc = dec_has(d, "noinc");
  info->count = SIM_SINK;
  op->a = dec_address(d, address, &info->space, &op->imm, &info->wide);
  op->d = SIM_SINK;
  op->extra = info;
  return info;
}

void dec_mbar_init(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_mbar_init);
  mbar_op(d, &op, dec_opd(d, 0))->count = dec_src(d, dec_opd(d, 1), PTX_U32);
  dec_emit(d, &op);
}

void dec_mbar_inval(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_mbar_inval);
  mbar_op(d, &op, dec_opd(d, 0));
  dec_emit(d, &op);
}

void dec_mbar_arrive(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_mbar_arrive);
  sim_mbar_info *info = mbar_op(d, &op, dec_opd(d, 1));
  const ptx_operand *to = dec_opd(d, 0);
  if (dec_opd(d, 2))
    info->count = dec_src(d, dec_opd(d, 2), PTX_U32);
  if (to->kind != PTX_OPD_SINK) {
    op.d = dec_dst(d, to, 64, NULL);
    if (info->space == SIM_SPACE_CLUSTER)
      dec_fail(d, SIM_BAD_PTX, "an arrive with .shared::cluster returns no state: write _");
  }
  dec_emit(d, &op);
}

void dec_mbar_tx(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_mbar_tx);
  mbar_op(d, &op, dec_opd(d, 0))->count = dec_src(d, dec_opd(d, 1), PTX_U32);
  op.sub = dec_has(d, "complete_tx");
  dec_emit(d, &op);
}

void dec_mbar_wait(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_mbar_wait);
  sim_mbar_info *info = mbar_op(d, &op, dec_opd(d, 1));
  info->state = !dec_has(d, "parity");
  info->test = dec_has(d, "test_wait");
  info->count = dec_src(d, dec_opd(d, 2), info->state ? PTX_B64 : PTX_U32);
  op.d = dec_pred_dst(d, dec_opd(d, 0));
  op.flow = SIM_FLOW_WAIT;
  dec_emit(d, &op);
}

void dec_mbar_count(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_mbar_count);
  op.a = dec_src(d, dec_opd(d, 1), PTX_B64);
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  dec_emit(d, &op);
}

void dec_cp_async_arrive(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_cp_async_arrive);
  mbar_op(d, &op, dec_opd(d, 0));
  dec_emit(d, &op);
}

// --- bulk copies and tiles ----------------------------------------------------------------------
static uint8_t reduction(const sim_decoder *d) {
  static const char *const words[] = {"add", "min", "max", "and", "or", "xor", "inc", "dec"};
  for (uint8_t i = 0; i < 8; i++)
    if (dec_has(d, words[i]))
      return i; // the order of sim_atom_op
  return SIM_ATOM_ADD;
}

static sim_bulk_info *bulk_info(sim_decoder *d) {
  sim_bulk_info *info = dec_extra(d, sizeof *info);
  info->size = info->mask = SIM_SINK;
  info->reduce = strncmp(d->instr->opcode, "cp.reduce", 9) == 0 ||
                 strncmp(d->instr->opcode, "red.async", 9) == 0;
  info->what = reduction(d);
  info->elems = 1;
  return info;
}

// cp.async.bulk and cp.reduce.async.bulk between two linear ranges.
void dec_bulk(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_bulk);
  sim_bulk_info *info = bulk_info(d);
  bool to_global = dec_has(d, "bulk_group");
  sim_space dst = to_global                       ? SIM_SPACE_GLOBAL
                  : dec_has(d, "shared::cluster") ? SIM_SPACE_CLUSTER
                                                  : SIM_SPACE_SHARED;
  bool from_shared = to_global || d->match.form == PTX_F_BULK_S2S || d->match.form == PTX_F_BULK_RS;
  info->dst = place(d, dec_opd(d, 0), dst);
  info->src = place(d, dec_opd(d, 1), from_shared ? SIM_SPACE_SHARED : SIM_SPACE_GLOBAL);
  info->size = dec_src(d, dec_opd(d, 2), PTX_U32);
  if (!to_global) {
    info->has_bar = true;
    info->bar = place(d, dec_opd(d, 3), dst);
    if (dec_has(d, "multicast::cluster"))
      info->mask = dec_src(d, dec_opd(d, 4), PTX_U16);
  }
  info->type = dec_type(d, 0);
  op.extra = info;
  dec_emit(d, &op);
}

// The operand [map, {coordinates}].
static void map_operand(sim_decoder *d, sim_bulk_info *info, const ptx_operand *opd) {
  if (!opd || opd->kind != PTX_OPD_ADDR) {
    dec_fail(d, SIM_BAD_PTX, "expected [tensor map, {coordinates}]");
    return;
  }
  info->map = place(d, opd, SIM_SPACE_GENERIC);
  const ptx_operand *coords = opd->nitems ? &opd->items[0] : NULL;
  if (!coords)
    return;
  uint32_t n = coords->kind == PTX_OPD_VECTOR ? coords->nitems : 1;
  if (n > SIM_TMA_RANK || opd->nitems > 1) {
    dec_fail(d, SIM_UNSUPPORTED, "more than %d coordinates", SIM_TMA_RANK);
    return;
  }
  info->ncoords = (uint8_t)n;
  for (uint32_t i = 0; i < n; i++)
    info->coords[i] =
        dec_src(d, coords->kind == PTX_OPD_VECTOR ? &coords->items[i] : coords, PTX_S32);
}

static void check_rank(sim_decoder *d, const sim_bulk_info *info) {
  static const char *const words[] = {"1d", "2d", "3d", "4d", "5d"};
  for (uint32_t i = 0; i < 5; i++)
    if (dec_has(d, words[i]) && (info->gather ? 5 : i + 1) != info->ncoords)
      dec_fail(d, SIM_BAD_PTX, "'.%s' with %u coordinates", words[i], info->ncoords);
}

void dec_tma(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_tma);
  sim_bulk_info *info = bulk_info(d);
  ptx_form form = d->match.form;
  info->prefetch = form == PTX_F_TMA_PREF;
  info->store = form == PTX_F_TMA_STORE || form == PTX_F_TMA_RED;
  info->gather = dec_has(d, "tile::gather4") || dec_has(d, "tile::scatter4");
  map_operand(d, info, dec_opd(d, form == PTX_F_TMA_LOAD ? 1 : 0));
  if (info->store) {
    info->src = place(d, dec_opd(d, 1), SIM_SPACE_SHARED);
  } else if (!info->prefetch) {
    sim_space dst = dec_has(d, "shared::cluster") ? SIM_SPACE_CLUSTER : SIM_SPACE_SHARED;
    info->dst = place(d, dec_opd(d, 0), dst);
    info->has_bar = true;
    info->bar = place(d, dec_opd(d, 2), dst);
    if (dec_has(d, "multicast::cluster"))
      info->mask = dec_src(d, dec_opd(d, 3), PTX_U16);
  }
  check_rank(d, info);
  op.extra = info;
  dec_emit(d, &op);
}

void dec_tensormap(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_tensormap);
  sim_bulk_info *info = bulk_info(d);
  map_operand(d, info, dec_opd(d, 0));
  op.extra = info;
  dec_emit(d, &op);
}

void dec_tensormap_replace(sim_decoder *d) {
  static const char *const fields[SIM_MAP_FIELDS] = {
      "global_address",    "rank",      "elemtype", "interleave_layout", "swizzle_mode",
      "swizzle_atomicity", "fill_mode", "box_dim",  "global_dim",        "global_stride",
      "element_stride"};
  sim_op op = dec_op(d, sim_exec_tensormap_replace);
  sim_bulk_info *info = bulk_info(d);
  bool ordinal = d->match.form == PTX_F_TMAP_REPO;
  ptx_type type = dec_type(d, 0);
  for (uint8_t i = 0; i < SIM_MAP_FIELDS; i++)
    if (dec_has(d, fields[i]))
      info->what = i;
  info->map = place(d, dec_opd(d, 0),
                    dec_has(d, "global")        ? SIM_SPACE_GLOBAL
                    : dec_has(d, "shared::cta") ? SIM_SPACE_SHARED
                                                : SIM_SPACE_GENERIC);
  if (ordinal)
    op.imm = (int64_t)dec_opd(d, 1)->bits;
  info->size = dec_src(d, dec_opd(d, ordinal ? 2 : 1), type);
  op.sub = ptx_type_bits(type) == 64;
  op.extra = info;
  dec_emit(d, &op);
}

void dec_tensormap_copy(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_tensormap_copy);
  sim_bulk_info *info = bulk_info(d);
  info->dst = place(d, dec_opd(d, 0), SIM_SPACE_GLOBAL);
  info->src = place(d, dec_opd(d, 1), SIM_SPACE_SHARED);
  op.sub = (uint8_t)(dec_has(d, "cta")       ? SIM_SCOPE_CTA
                     : dec_has(d, "cluster") ? SIM_SCOPE_CLUSTER
                     : dec_has(d, "gpu")     ? SIM_SCOPE_GPU
                                             : SIM_SCOPE_SYS);
  op.flow = SIM_FLOW_ALIGNED;
  if (dec_opd(d, 2)->bits != SIM_TENSOR_MAP_BYTES)
    dec_fail(d, SIM_BAD_PTX, "the size of a tensor map is 128");
  op.extra = info;
  dec_emit(d, &op);
}

void dec_st_async(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_st_async);
  sim_bulk_info *info = bulk_info(d);
  const ptx_operand *value = dec_opd(d, 1);
  info->type = dec_type(d, 0);
  info->dst = place(d, dec_opd(d, 0), SIM_SPACE_CLUSTER);
  info->bar = place(d, dec_opd(d, 2), SIM_SPACE_CLUSTER);
  info->has_bar = true;
  info->elems = dec_has(d, "v4") ? 4 : dec_has(d, "v2") ? 2 : 1;
  uint32_t per = (uint32_t)ptx_type_bits(info->type) / 32;
  if (per * info->elems > 4 || (value->kind == PTX_OPD_VECTOR ? value->nitems : 1) != info->elems) {
    dec_fail(d, SIM_BAD_PTX, "the vector does not fit the instruction");
    return;
  }
  for (uint32_t k = 0; k < info->elems; k++) {
    const ptx_operand *from = value->kind == PTX_OPD_VECTOR ? &value->items[k] : value;
    int32_t slot = dec_src(d, from, info->type);
    for (uint32_t p = 0; p < per; p++)
      info->values[k * per + p] = slot >= 0 ? slot + (int32_t)p : slot - (int32_t)p;
  }
  op.extra = info;
  dec_emit(d, &op);
}

void dec_bulk_commit(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_bulk_commit);
  dec_emit(d, &op);
}

void dec_bulk_wait(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_bulk_wait);
  op.imm = (int64_t)dec_opd(d, 0)->bits;
  op.sub = dec_has(d, "read");
  dec_emit(d, &op);
}

// --- clusters, fences, registers ----------------------------------------------------------------
void dec_cluster_arrive(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_cluster_arrive);
  op.sub = dec_has(d, "relaxed");
  if (dec_has(d, "aligned"))
    op.flow = SIM_FLOW_ALIGNED;
  dec_emit(d, &op);
}

void dec_cluster_wait(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_cluster_wait);
  op.flow = SIM_FLOW_WAIT;
  if (dec_has(d, "aligned"))
    op.flags |= SIM_OPF_ALIGNED;
  dec_emit(d, &op);
}

void dec_mapa(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_mapa);
  ptx_type type = dec_type(d, 0);
  op.sub = (uint8_t)((dec_has(d, "shared::cluster") ? 0 : 1) | (ptx_type_bits(type) == 64) << 1);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), PTX_U32);
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  dec_emit(d, &op);
}

void dec_getctarank(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_getctarank);
  op.a = dec_src(d, dec_opd(d, 1), dec_type(d, 0));
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  dec_emit(d, &op);
}

void dec_fence_proxy(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_fence_proxy);
  bool generic = d->match.form == PTX_F_FENCE_PXG; // .sync_restrict: shared memory of the cluster
  op.sub = generic || dec_has(d, "shared::cta") || dec_has(d, "shared::cluster") ? 1
           : dec_has(d, "global")                                                ? 2
                                                                                 : 3;
  dec_emit(d, &op);
}

void dec_fence_init(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_fence_init);
  dec_emit(d, &op);
}

void dec_setmaxnreg(sim_decoder *d) {
  bool inc = dec_has(d, "inc");
  sim_op op = dec_op(d, inc ? sim_exec_setmaxnreg_inc : sim_exec_setmaxnreg_dec);
  op.flow = inc ? SIM_FLOW_WAIT : SIM_FLOW_ALIGNED;
  op.flags |= SIM_OPF_ALIGNED;
  op.imm = (int64_t)dec_opd(d, 0)->bits;
  op.sub = inc;
  if (op.imm < 24 || op.imm > 256 || op.imm % 8)
    dec_fail(d, SIM_BAD_PTX, "setmaxnreg takes 24 to 256 registers in steps of 8");
  dec_emit(d, &op);
}
