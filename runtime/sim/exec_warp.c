// Operations among the lanes of a warp. The scheduler calls them once every named live lane is
// here; `mask` is then the set of lanes taking part.
#include "runtime/sim/exec.h"

// sub: 0 up 1 down 2 bfly 3 idx; a value, b lane or offset, c clamp and segment; imm: predicate or
// 0.
void sim_exec_shfl(sim_warp *w, const sim_op *op, uint32_t mask) {
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  uint32_t out[32], in_range = 0;
  for (int i = 0; i < 32; i++) {
    int b = (int)(B[i] & 31), clamp = (int)(C[i] & 31), segment = (int)(C[i] >> 8 & 31);
    int max_lane = (i & segment) | (clamp & ~segment), min_lane = i & segment, j;
    bool ok;
    switch (op->sub) {
    case 0:
      j = i - b, ok = j >= max_lane;
      break;
    case 1:
      j = i + b, ok = j <= max_lane;
      break;
    case 2:
      j = i ^ b, ok = j <= max_lane;
      break;
    default:
      j = min_lane | (b & ~segment), ok = j <= max_lane;
      break;
    }
    if (!ok)
      j = i;
    in_range |= (uint32_t)ok << i;
    if (mask >> i & 1 && !(mask >> j & 1)) {
      sim_fail(w, op, 1u << i, SIM_DIVERGENT_ALIGNED,
               "shfl.sync reads lane %d, which does not take part", j);
      return;
    }
    out[i] = A[j & 31];
  }
  uint32_t *D = sim_dst(w, op->d);
  SIM_LANES_DO(mask, { D[i] = out[i]; })
  if (op->imm)
    sim_set_pred(w, (int32_t)op->imm, mask, in_range);
}

// a: predicate; sub: 0 all 1 any 2 uni 3 ballot (d is then a register).
void sim_exec_vote(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t p = sim_pred(w, op->a, op->flags & SIM_OPF_NOT_A) & mask;
  if (op->sub == 3) {
    uint32_t *D = sim_dst(w, op->d);
    SIM_LANES_DO(mask, { D[i] = p; })
    return;
  }
  bool yes = op->sub == 0 ? p == mask : op->sub == 1 ? p != 0 : p == mask || p == 0;
  sim_set_pred(w, op->d, mask, yes ? ~0u : 0);
}

// sub: bit 0 all, bit 1 64-bit values; imm: predicate of match.all.
void sim_exec_match(sim_warp *w, const sim_op *op, uint32_t mask) {
  const uint32_t *A = sim_src(w, op->a);
  uint32_t equal[32] = {0}, *D = sim_dst(w, op->d);
  bool wide = op->sub & 2, all = op->sub & 1;
  for (int i = 0; i < 32; i++)
    for (int j = 0; j < 32; j++)
      if (A[i] == A[j] && (!wide || A[32 + i] == A[32 + j]))
        equal[i] |= mask & 1u << j;
  uint32_t matched = 0;
  SIM_LANES_DO(mask, {
    if (equal[i] == mask)
      matched |= 1u << i;
    D[i] = !all ? equal[i] : equal[i] == mask ? mask : 0;
  })
  if (all && op->imm)
    sim_set_pred(w, (int32_t)op->imm, mask, matched);
}

// sub: sim_redux_op below; the result goes to every lane.
void sim_exec_redux(sim_warp *w, const sim_op *op, uint32_t mask) {
  const uint32_t *A = sim_src(w, op->a);
  bool first = true, any_nan = false, all_nan = true;
  uint32_t r = 0;
  float best = 0;
  for (uint32_t left = mask; left; left &= left - 1) {
    uint32_t x = A[__builtin_ctz(left)];
    int kind = op->sub & 15;
    if (kind >= 8) { // f32: 8 min 9 max; bit 4 abs, bit 5 NaN
      if (op->sub & 16)
        x &= 0x7FFFFFFF;
      float f = tl_f32_of_bits(x);
      any_nan |= f != f;
      if (f != f)
        continue;
      bool lower = f < best || (f == best && x >> 31);
      if (all_nan || lower == (kind == 8))
        best = f;
      all_nan = false;
      continue;
    }
    if (first)
      r = x;
    else
      switch (kind) {
      case 0:
        r += x;
        break;
      case 1:
        r = x < r ? x : r;
        break;
      case 2:
        r = x > r ? x : r;
        break;
      case 3:
        r = (int32_t)x < (int32_t)r ? x : r;
        break;
      case 4:
        r = (int32_t)x > (int32_t)r ? x : r;
        break;
      case 5:
        r &= x;
        break;
      case 6:
        r |= x;
        break;
      default:
        r ^= x;
        break;
      }
    first = false;
  }
  if ((op->sub & 15) >= 8)
    r = all_nan || (any_nan && op->sub & 32) ? 0x7FFFFFFF : tl_bits_of_f32(best);
  uint32_t *D = sim_dst(w, op->d);
  SIM_LANES_DO(mask, { D[i] = r; })
}

void sim_exec_activemask(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  SIM_LANES_DO(mask, { D[i] = mask; })
}

// imm: predicate; the lowest lane is the leader, as on hardware.
void sim_exec_elect(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t leader = (uint32_t)__builtin_ctz(mask);
  if (op->d != SIM_SINK) {
    uint32_t *D = sim_dst(w, op->d);
    SIM_LANES_DO(mask, { D[i] = leader; })
  }
  if (op->imm)
    sim_set_pred(w, (int32_t)op->imm, mask, 1u << leader);
}

// Lanes of one warp are ordered by instruction, so their memory is too: nothing to do.
void sim_exec_bar_warp(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)w, (void)op, (void)mask;
}

void sim_exec_fence(sim_warp *w, const sim_op *op, uint32_t mask) { // sub: sim_scope
  (void)mask;
  if (w->view.agent)
    sim_race_fence(w->view.agent, (sim_scope)op->sub);
}

// griddepcontrol.wait: what the grids before this one wrote is visible from here on.
void sim_exec_grid_wait(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)op, (void)mask;
  if (w->view.agent)
    sim_race_wait_grids(w->view.agent);
}
