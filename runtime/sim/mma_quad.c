// mma.sync.m8n8k4 with f16 operands: four products of 8 x 4 by 4 x 8, one for each of the four
// groups of eight lanes 4q..4q+3 and 4q+16..4q+19. Volta's instruction; on later chips ptxas makes
// it of others, and the bits are those of that sequence (recorded on an H200, ptxas 13.0.88):
//   D f16   one fused step of four products and C, as the larger shapes (mma_params.def)
//   D f32   ((a0 b0 + a1 b1) + a2 b2) + a3 b3, a chain of IEEE fused multiply-adds, then + C
// Fragments: PTX ISA, "Matrix Fragments for mma.m8n8k4 with .f16 floating point type".
#include "lang/base/fp.h"
#include "runtime/sim/decode.h"
#include <math.h>

typedef struct quad_info {
  int32_t a[2], b[2], c[8], d[8]; // slots
  bool a_columns, b_rows;         // A by columns, B by rows
  bool c_f32, d_f32;
} quad_info;

static uint32_t half_at(sim_warp *w, const int32_t *slots, int lane, int index) {
  return sim_src(w, slots[index / 2])[lane] >> (16 * (index & 1)) & 0xFFFF;
}

// Lane and register of element (row, col) of an accumulator in group q.
static int f16_lane(int q, int row) { return 4 * q + (row & 3) + 16 * (row >> 2); }
static int f32_lane(int q, int row, int col) {
  return 4 * q + (row & 1) + (col & 2) + 16 * (row >> 2);
}
static int f32_register(int row, int col) { return (col & 4) + (row & 2) + (col & 1); }

static uint32_t accumulator(sim_warp *w, const quad_info *info, int q, int row, int col) {
  if (info->c_f32)
    return sim_src(w, info->c[f32_register(row, col)])[f32_lane(q, row, col)];
  return half_at(w, info->c, f16_lane(q, row), col);
}

static uint32_t chain(const uint32_t a[4], const uint32_t b[4], uint32_t c, bool c_f32) {
  float sum = 0, addend = c_f32 ? tl_f32_of_bits(c) : (float)sim_half_value(PTX_F16, c);
  for (int k = 0; k < 4; k++) {
    float x = (float)sim_half_value(PTX_F16, a[k]), y = (float)sim_half_value(PTX_F16, b[k]);
    sum = k ? fmaf(x, y, sum) : x * y;
  }
  sum += addend;
  return sum != sum ? 0x7FFFFFFF : tl_bits_of_f32(sum);
}

static uint32_t step(const uint32_t a[4], const uint32_t b[4], uint32_t c) {
  sim_num x[4], y[4];
  for (int k = 0; k < 4; k++) {
    x[k] = sim_num_decode(SIM_MMA_F16, a[k]);
    y[k] = sim_num_decode(SIM_MMA_F16, b[k]);
  }
  return sim_step_reference(x, y, 4, 2 * sim_num_frac_bits(SIM_MMA_F16), 0, c, 25, SIM_OUT_F16);
}

static uint32_t element(sim_warp *w, const quad_info *info, int q, int row, int col) {
  uint32_t a[4], b[4], c = accumulator(w, info, q, row, col);
  for (int k = 0; k < 4; k++) {
    int upper_a = 4 * q + 16 * (row >> 2), upper_b = 4 * q + 16 * (col >> 2);
    a[k] = info->a_columns ? half_at(w, info->a, upper_a + k, row & 3)
                           : half_at(w, info->a, upper_a + (row & 3), k);
    b[k] = info->b_rows ? half_at(w, info->b, upper_b + k, col & 3)
                        : half_at(w, info->b, upper_b + (col & 3), k);
  }
  return info->d_f32 ? chain(a, b, c, info->c_f32) : step(a, b, c);
}

static void put(sim_warp *w, const quad_info *info, int q, int row, int col, uint32_t bits) {
  if (info->d_f32) {
    sim_dst(w, info->d[f32_register(row, col)])[f32_lane(q, row, col)] = bits;
    return;
  }
  uint32_t *word = &sim_dst(w, info->d[col / 2])[f16_lane(q, row)];
  int shift = 16 * (col & 1);
  *word = (*word & ~(UINT32_C(0xFFFF) << shift)) | bits << shift;
}

static void exec_quads(sim_warp *w, const sim_op *op, uint32_t mask) {
  const quad_info *info = op->extra;
  uint32_t result[4][8][8]; // D may be C, A or B
  (void)mask;
  for (int i = 0; i < 256; i++)
    result[i / 64][i / 8 % 8][i % 8] = element(w, info, i / 64, i / 8 % 8, i % 8);
  for (int i = 0; i < 256; i++)
    put(w, info, i / 64, i / 8 % 8, i % 8, result[i / 64][i / 8 % 8][i % 8]);
  w->cta->launch->machine->counters.mma_instructions++;
  w->cta->effects++;
}

static void registers(sim_decoder *d, uint32_t operand, uint32_t count, bool dest, int32_t *out) {
  const ptx_operand *opd = dec_opd(d, operand);
  if (opd->kind != PTX_OPD_VECTOR || opd->nitems != count) {
    dec_fail(d, SIM_BAD_PTX, "operand %u must be a vector of %u registers", operand + 1, count);
    return;
  }
  for (uint32_t k = 0; k < count && d->verdict == SIM_OK; k++)
    out[k] = dest ? dec_dst(d, &opd->items[k], 32, NULL) : dec_src(d, &opd->items[k], PTX_B32);
}

void dec_mma_quad(sim_decoder *d) {
  const ptx_match_result *m = &d->match; // sync aligned m8n8k4 LAYOUT LAYOUT D f16 f16 C
  sim_op op = dec_op(d, exec_quads);
  quad_info *info = dec_extra(d, sizeof *info);
  info->a_columns = strcmp(m->mods[3], "col") == 0;
  info->b_rows = strcmp(m->mods[4], "row") == 0;
  info->d_f32 = strcmp(m->mods[5], "f32") == 0;
  info->c_f32 = strcmp(m->mods[8], "f32") == 0;
  if (info->c_f32 && !info->d_f32)
    dec_fail(d, SIM_UNSUPPORTED, "an f32 accumulator needs an f32 result");
  op.flow = SIM_FLOW_ALIGNED;
  registers(d, 0, info->d_f32 ? 8 : 4, true, info->d);
  registers(d, 1, 2, false, info->a);
  registers(d, 2, 2, false, info->b);
  registers(d, 3, info->c_f32 ? 8 : 4, false, info->c);
  op.extra = info;
  dec_emit(d, &op);
}
