// Moves, packing and unpacking, special registers, address conversion.
#include "runtime/sim/exec.h"

void sim_exec_nop(sim_warp *w, const sim_op *op, uint32_t mask) { (void)w, (void)op, (void)mask; }

void sim_exec_trap(sim_warp *w, const sim_op *op, uint32_t mask) {
  sim_fail(w, op, mask, SIM_TRAP, "trap");
}

void sim_exec_mov32(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a);
  SIM_LANES_DO(mask, { D[i] = A[i]; })
}
void sim_exec_mov64(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a);
  SIM_LANES_DO(mask, {
    uint32_t lo = A[i];
    uint32_t hi = A[32 + i];
    D[i] = lo;
    D[32 + i] = hi;
  })
}
// imm planes from a to d.
void sim_exec_mov_planes(sim_warp *w, const sim_op *op, uint32_t mask) {
  for (int k = 0; k < (int)op->imm; k++) {
    uint32_t *D = sim_dst(w, op->d) + 32 * k;
    const uint32_t *A = sim_src(w, op->a) + 32 * k;
    SIM_LANES_DO(mask, { D[i] = A[i]; })
  }
}

// d = elements of the list, first lowest; imm: bits of an element.
void sim_exec_pack(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_slot_list *list = op->extra;
  uint32_t out[4][32] = {{0}};
  int bits = (int)op->imm, planes = ((int)list->count * bits + 31) / 32;
  for (uint32_t k = 0; k < list->count; k++) {
    const uint32_t *A = sim_src(w, list->slots[k]);
    int at = (int)k * bits;
    for (int part = 0; part * 32 < bits; part++) {
      uint32_t keep = bits < 32 ? (1u << bits) - 1 : ~0u;
      for (int i = 0; i < 32; i++)
        out[(at + 32 * part) / 32][i] |= (A[32 * part + i] & keep) << (at % 32);
    }
  }
  for (int p = 0; p < planes; p++) {
    uint32_t *D = sim_dst(w, op->d) + 32 * p;
    SIM_LANES_DO(mask, { D[i] = out[p][i]; })
  }
}

// The list's registers = parts of a; imm: bits of a part.
void sim_exec_unpack(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_slot_list *list = op->extra;
  int bits = (int)op->imm, planes = ((int)list->count * bits + 31) / 32;
  uint32_t in[4][32];
  memcpy(in, sim_src(w, op->a), (size_t)planes * 128);
  for (uint32_t k = 0; k < list->count; k++) {
    if (list->slots[k] == SIM_SINK)
      continue;
    int at = (int)k * bits;
    for (int part = 0; part * 32 < bits; part++) {
      uint32_t *D = sim_dst(w, list->slots[k]) + 32 * part;
      uint32_t keep = bits < 32 ? (1u << bits) - 1 : ~0u;
      const uint32_t *from = in[(at + 32 * part) / 32];
      SIM_LANES_DO(mask, { D[i] = from[i] >> (at % 32) & keep; })
    }
  }
}

// --- special registers --------------------------------------------------------------------------
#define SREGS(S)                                                                                   \
  S(TID_X, "%tid.x", 32)                                                                           \
  S(TID_Y, "%tid.y", 32) S(TID_Z, "%tid.z", 32) S(NTID_X, "%ntid.x", 32) S(                        \
      NTID_Y, "%ntid.y", 32) S(NTID_Z, "%ntid.z", 32) S(CTAID_X, "%ctaid.x", 32)                   \
      S(CTAID_Y, "%ctaid.y", 32) S(CTAID_Z, "%ctaid.z", 32) S(NCTAID_X, "%nctaid.x", 32) S(        \
          NCTAID_Y, "%nctaid.y", 32) S(NCTAID_Z, "%nctaid.z", 32) S(LANEID, "%laneid", 32)         \
          S(WARPID, "%warpid", 32) S(NWARPID, "%nwarpid", 32) S(LM_EQ, "%lanemask_eq", 32) S(      \
              LM_LE, "%lanemask_le", 32) S(LM_LT, "%lanemask_lt", 32) S(LM_GE, "%lanemask_ge", 32) \
              S(LM_GT, "%lanemask_gt", 32) S(CLOCK, "%clock", 32) S(CLOCK_HI, "%clock_hi", 32) S(  \
                  CLOCK64, "%clock64", 64) S(GLOBALTIMER, "%globaltimer",                          \
                                             64) S(GT_LO, "%globaltimer_lo", 32)                   \
                  S(GT_HI, "%globaltimer_hi",                                                      \
                    32) S(SMID,                                                                    \
                          "%smid", 32) S(NSMID, "%nsmid",                                          \
                                         32) S(GRIDID, "%gridid", 64)                              \
                      S(CLUSTERID_X, "%clusterid.x", 32) S(CLUSTERID_Y, "%clusterid.y", 32) S(     \
                          CLUSTERID_Z, "%clusterid.z", 32) S(NCLUSTERID_X, "%nclusterid.x", 32)    \
                          S(NCLUSTERID_Y, "%nclusterid.y", 32) S(                                  \
                              NCLUSTERID_Z,                                                        \
                              "%nclusterid.z", 32) S(CC_X, "%cluster_ctaid.x",                     \
                                                     32) S(CC_Y, "%cluster_ctaid.y",               \
                                                           32) S(CC_Z, "%cluster_ctaid.z", 32)     \
                              S(NCC_X, "%cluster_nctaid.x", 32) S(NCC_Y, "%cluster_nctaid.y", 32)  \
                                  S(NCC_Z, "%cluster_nctaid.z",                                    \
                                    32) S(CC_RANK, "%cluster_ctarank",                             \
                                          32) S(NCC_RANK, "%cluster_nctarank", 32)                 \
                                      S(IS_CLUSTER, "%is_explicit_cluster",                        \
                                        1) S(DYN_SMEM, "%dynamic_smem_size",                       \
                                             32) S(TOTAL_SMEM, "%total_smem_size", 32)             \
                                          S(AGGR_SMEM, "%aggr_smem_size", 32)                      \
                                              S(RES_SMEM0, "%reserved_smem_offset_begin", 32)      \
                                                  S(RES_SMEM1, "%reserved_smem_offset_end", 32)    \
                                                      S(RES_SMEM2, "%reserved_smem_offset_0", 32)

// clang-format off
enum {
#define S(id, name, bits) SREG_##id,
  SREGS(S)
#undef S
};
static const struct { const char *name; int bits; } sregs[] = {
#define S(id, name, bits) {name, bits},
  SREGS(S)
#undef S
};
// clang-format on

bool sim_sreg_find(const char *name, int *out_sreg, int *out_bits) {
  for (size_t i = 0; i < sizeof sregs / sizeof *sregs; i++) {
    if (strcmp(sregs[i].name, name) != 0)
      continue;
    *out_sreg = (int)i;
    *out_bits = sregs[i].bits;
    return true;
  }
  return false;
}

static uint32_t cluster_dim(const sim_warp *w, int k) {
  uint32_t dim = w->cta->launch->desc->cluster[k];
  return dim ? dim : 1;
}

static uint64_t uniform_value(const sim_warp *w, int sreg) {
  const sim_cta *cta = w->cta;
  const sim_launch_desc *desc = cta->launch->desc;
  switch (sreg) {
  case SREG_NTID_X:
  case SREG_NTID_Y:
  case SREG_NTID_Z:
    return desc->block[sreg - SREG_NTID_X];
  case SREG_CTAID_X:
  case SREG_CTAID_Y:
  case SREG_CTAID_Z:
    return cta->id[sreg - SREG_CTAID_X];
  case SREG_NCTAID_X:
  case SREG_NCTAID_Y:
  case SREG_NCTAID_Z:
    return desc->grid[sreg - SREG_NCTAID_X];
  case SREG_WARPID:
    return w->index;
  case SREG_NWARPID:
    return cta->nwarps;
  case SREG_CLOCK:
  case SREG_CLOCK64:
    return cta->launch->clock * 4;
  case SREG_CLOCK_HI:
    return cta->launch->clock * 4 >> 32;
  case SREG_GLOBALTIMER:
  case SREG_GT_LO:
    return cta->launch->clock * 2; // deterministic, in "nanoseconds"
  case SREG_GT_HI:
    return cta->launch->clock * 2 >> 32;
  case SREG_SMID:
    return cta->linear % 132;
  case SREG_NSMID:
    return 132;
  case SREG_GRIDID:
    return 1;
  case SREG_CLUSTERID_X:
  case SREG_CLUSTERID_Y:
  case SREG_CLUSTERID_Z:
    return cta->id[sreg - SREG_CLUSTERID_X] / cluster_dim(w, sreg - SREG_CLUSTERID_X);
  case SREG_NCLUSTERID_X:
  case SREG_NCLUSTERID_Y:
  case SREG_NCLUSTERID_Z:
    return desc->grid[sreg - SREG_NCLUSTERID_X] / cluster_dim(w, sreg - SREG_NCLUSTERID_X);
  case SREG_CC_X:
  case SREG_CC_Y:
  case SREG_CC_Z:
    return cta->id[sreg - SREG_CC_X] % cluster_dim(w, sreg - SREG_CC_X);
  case SREG_NCC_X:
  case SREG_NCC_Y:
  case SREG_NCC_Z:
    return cluster_dim(w, sreg - SREG_NCC_X);
  case SREG_CC_RANK: {
    uint32_t x = cta->id[0] % cluster_dim(w, 0), y = cta->id[1] % cluster_dim(w, 1);
    uint32_t z = cta->id[2] % cluster_dim(w, 2);
    return x + cluster_dim(w, 0) * (y + (uint64_t)cluster_dim(w, 1) * z);
  }
  case SREG_NCC_RANK:
    return (uint64_t)cluster_dim(w, 0) * cluster_dim(w, 1) * cluster_dim(w, 2);
  case SREG_DYN_SMEM:
    return desc->dynamic_smem_bytes;
  case SREG_TOTAL_SMEM:
  case SREG_AGGR_SMEM:
    return cta->launch->shared_total;
  case SREG_RES_SMEM1:
  case SREG_RES_SMEM2:
    return SIM_SHARED_FIRST;
  default:
    return 0;
  }
}

static uint32_t lane_value(const sim_warp *w, int sreg, uint32_t lane) {
  const uint32_t *block = w->cta->launch->desc->block;
  uint32_t thread = w->index * 32 + lane, bit = 1u << lane;
  switch (sreg) {
  case SREG_TID_X:
    return thread % block[0];
  case SREG_TID_Y:
    return thread / block[0] % block[1];
  case SREG_TID_Z:
    return thread / (block[0] * block[1]);
  case SREG_LANEID:
    return lane;
  case SREG_LM_EQ:
    return bit;
  case SREG_LM_LT:
    return bit - 1;
  case SREG_LM_LE:
    return bit | (bit - 1);
  case SREG_LM_GT:
    return ~(bit | (bit - 1));
  default:
    return ~(bit - 1);
  }
}

// sub: which; imm: bits of the destination (1: predicate d).
void sim_exec_sreg(sim_warp *w, const sim_op *op, uint32_t mask) {
  int sreg = op->sub;
  bool per_lane =
      sreg <= SREG_TID_Z || sreg == SREG_LANEID || (sreg >= SREG_LM_EQ && sreg <= SREG_LM_GT);
  uint64_t same = per_lane ? 0 : uniform_value(w, sreg);
  if (op->imm == 1) { // %is_explicit_cluster
    const sim_launch_desc *desc = w->cta->launch->desc;
    sim_set_pred(w, op->d, mask,
                 desc->cluster[0] * desc->cluster[1] * desc->cluster[2] > 1 ? ~0u : 0);
    return;
  }
  uint32_t *D = sim_dst(w, op->d);
  SIM_LANES_DO(mask, {
    D[i] = per_lane ? lane_value(w, sreg, (uint32_t)i) : (uint32_t)same;
    if (op->imm == 64)
      D[32 + i] = (uint32_t)(same >> 32);
  })
}

// --- address conversion
// ----------------------------------------------------------------------------- sub: sim_space;
// imm: 1 for cvta.to.
void sim_exec_cvta(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a);
  uint64_t window = sim_window_of((sim_space)op->sub);
  if (op->imm)
    window = 0 - window;
  SIM_LANES_DO(mask, { sim_put64(D, i, sim_get64(A, i) + window); })
}

void sim_exec_isspacep(sim_warp *w, const sim_op *op, uint32_t mask) {
  const uint32_t *A = sim_src(w, op->a);
  uint32_t r = 0;
  for (int i = 0; i < 32; i++) {
    uint64_t address = sim_get64(A, i);
    sim_space space = sim_space_of_generic(&address);
    uint32_t bits = space == SIM_SPACE_SHARED ? sim_cluster_rank_bits(address) : 0;
    bool own = space == SIM_SPACE_SHARED && (!bits || bits == w->cta->rank + 1);
    // Hardware counts the parameters of the kernel among global memory, too.
    bool yes = op->sub == SIM_SPACE_GLOBAL && space == SIM_SPACE_PARAM ? true
               : op->sub == SIM_SPACE_CLUSTER  ? space == SIM_SPACE_SHARED
               : op->sub == SIM_SPACE_SHARED ? own
                                             : space == (sim_space)op->sub;
    r |= (uint32_t)yes << i;
  }
  sim_set_pred(w, op->d, mask, r);
}
