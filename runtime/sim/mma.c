// mma.sync: resolving forms, and the fast arithmetic.
//
// The fast fused step works on floats that are exact. An operand element becomes a float and the
// exponent its type gives it. A product of two significands has at most 22 bits, so the float
// product is exact; times 2^(F - M) it is still exact, and the conversion to an integer cuts it
// toward zero: that is the model's term. M is the largest sum of exponents, found beforehand in
// 16-bit integers. Sixteen terms below 2^27 fit an int32. What does not fit (specials, the ends of
// the f32 range) goes to the plain model. Work is laid out with the 16 rows of D in vector lanes.
#include "runtime/sim/mma.h"
#include "runtime/sim/mma_tile.h"
#include "lang/base/assert.h"
#include <string.h>

// --- forms --------------------------------------------------------------------------------------
typedef struct mma_row {
  uint8_t kind, path, frac_bits, scale_vec, scale, archs;
  uint16_t m, k, step;
  uint32_t a, b, acc;
} mma_row;

static const mma_row rows[] = {
#define SIM_MMA_ROW(KIND, M, K, A, B, ACC, ARCHS, PATH, F, STEP, VEC, SCALE)                       \
  {SIM_MMA_##KIND, SIM_PATH_##PATH, F, VEC, SIM_MMA_##SCALE, ARCHS, M, K, STEP, A, B, ACC},
#include "runtime/sim/mma_params.def"
};

static bool row_matches(const mma_row *row, sim_arch arch, const sim_mma_form *f) {
  uint32_t one = 1;
  return row->kind == f->kind && row->m == f->m && f->n == 8 && row->k == f->k &&
         (row->a & one << f->a) && (row->b & one << f->b) && (row->acc & one << f->d) &&
         (row->archs & one << arch);
}

static int container_bits(const sim_mma_form *f) {
  switch (f->a) {
  case SIM_MMA_F64:
    return 64;
  case SIM_MMA_TF32:
    return 32;
  case SIM_MMA_F16:
  case SIM_MMA_BF16:
    return 16;
  case SIM_MMA_S4:
  case SIM_MMA_U4:
    return 4;
  case SIM_MMA_B1:
    return 1;
  default:
    return f->kind == SIM_MMA_MXF4 || f->kind == SIM_MMA_MXF4NVF4 ? 4 : 8;
  }
}

bool sim_mma_describe(sim_arch arch, const sim_mma_form *form, sim_mma_desc *out) {
  const mma_row *row = NULL;
  if (form->c != form->d)
    return false;
  for (size_t i = 0; i < sizeof rows / sizeof *rows && !row; i++) {
    if (!row_matches(&rows[i], arch, form))
      continue;
    bool by_default = !form->scale_vec && form->kind != SIM_MMA_MXF4NVF4;
    if (rows[i].scale_vec && form->scale != (sim_mma_type)rows[i].scale)
      continue;
    if (form->scale_vec == rows[i].scale_vec || (rows[i].scale_vec && by_default))
      row = &rows[i];
  }
  if (!row)
    return false;
  bool integer = row->path == SIM_PATH_INTEGER;
  if ((form->satfinite && !integer) || (form->round && row->path != SIM_PATH_DOUBLE))
    return false;
  if ((row->path == SIM_PATH_BITS) != (form->bitop != SIM_MMA_NO_BITOP))
    return false;
  *out = (sim_mma_desc){.path = row->path,
                        .frac_bits = row->frac_bits,
                        .step = row->step,
                        .elem_bits = (uint8_t)container_bits(form),
                        .scale_blocks = row->scale_vec,
                        .form = *form};
  out->form.scale_vec = row->scale_vec;
  // Lane-words: rows x depth bits over 32 lanes of 32 bits.
  out->a_regs = (uint8_t)(form->m * form->k * out->elem_bits / 1024);
  out->b_regs = (uint8_t)(8 * form->k * out->elem_bits / 1024);
  int acc_bits = form->d == SIM_MMA_F16 ? 16 : form->d == SIM_MMA_F64 ? 64 : 32;
  out->c_regs = (uint8_t)(form->m * 8 * acc_bits / 1024);
  return true;
}

bool sim_mma_selectors_ok(const sim_mma_desc *desc, const sim_mma_scales *s) {
  int step = desc->scale_blocks; // 1X: any byte, 2X: 0 or 2, 4X: 0
  bool bytes = s->byte_a < 4 && s->byte_b < 4 && s->byte_a % step == 0 && s->byte_b % step == 0;
  return bytes && s->thread_a < 2 && s->thread_b < 4;
}

// --- accumulator fragments ----------------------------------------------------------------------
static void spread_c(const sim_mma_desc *desc, const uint32_t *const c[], uint32_t cm[8][16]) {
  if (desc->form.d == SIM_MMA_F16) {
    for (int h = 0; h < 2; h++)
      for (int lane = 0; lane < 32; lane++) {
        cm[2 * (lane & 3)][8 * h + (lane >> 2)] = c[h][lane] & 0xFFFF;
        cm[2 * (lane & 3) + 1][8 * h + (lane >> 2)] = c[h][lane] >> 16;
      }
    return;
  }
  for (int r = 0; r < 4; r++)
    sim_spread_plane(c[r], &cm[r & 1][8 * (r >> 1)], 32);
}

static void gather_d(const sim_mma_desc *desc, uint32_t cm[8][16], uint32_t *const d[]) {
  if (desc->form.d == SIM_MMA_F16) {
    for (int h = 0; h < 2; h++)
      for (int lane = 0; lane < 32; lane++)
        d[h][lane] = cm[2 * (lane & 3)][8 * h + (lane >> 2)] |
                     cm[2 * (lane & 3) + 1][8 * h + (lane >> 2)] << 16;
    return;
  }
  for (int r = 0; r < 4; r++)
    sim_gather_plane(&cm[r & 1][8 * (r >> 1)], 32, d[r]);
}

// --- paths --------------------------------------------------------------------------------------
static bool decode_operands(const sim_mma_desc *desc, const uint32_t *const a[],
                            const uint32_t *const b[], sim_step_a *x, sim_step_b *y) {
  uint32_t aw[8][16], bw[8][8];
  bool split = desc->path == SIM_PATH_FP8_AS_F16;
  int words = desc->form.k * desc->elem_bits / 32;
  sim_spread_a(desc, a, aw);
  sim_spread_b(desc, b, bw);
  return sim_step_decode(desc->form.a, desc->form.b, words, split, aw, bw, x, y);
}

static bool fast_fused(const sim_mma_desc *desc, const uint32_t *const a[],
                       const uint32_t *const b[], uint32_t cm[8][16]) {
  sim_step_a x[1];
  sim_step_b y[1];
  if (!decode_operands(desc, a, b, x, y))
    return false;
  sim_step_out out = desc->form.d == SIM_MMA_F16 ? SIM_OUT_F16 : SIM_OUT_F32;
  return sim_step_tile(x, y, desc->form.k, desc->frac_bits, out, cm, cm);
}

static bool fast_fp8(const sim_mma_desc *desc, const uint32_t *const a[], const uint32_t *const b[],
                     uint32_t cm[8][16]) {
  if (desc->form.d == SIM_MMA_F16)
    return false;
  sim_step_a x[2];
  sim_step_b y[2];
  uint32_t t[8][16] = {{0}};
  if (!decode_operands(desc, a, b, x, y))
    return false;
  for (int half = 0; half < 2; half++)
    if (!sim_step_tile(&x[half], &y[half], desc->form.k / 2, desc->frac_bits, SIM_OUT_F32, t, t))
      return false;
  for (int col = 0; col < 8; col++)
    for (int row = 0; row < 16; row++) {
      float old, added, sum;
      memcpy(&old, &cm[col][row], 4);
      memcpy(&added, &t[col][row], 4);
      sum = old + added;
      memcpy(&cm[col][row], &sum, 4);
      if (sum != sum)
        cm[col][row] = 0x7FFFFFFF;
    }
  return true;
}

// Scale exponents of all rows and columns; false when one is NaN.
static bool scale_exponents(const sim_mma_scales *s, int16_t row_exp[16], int16_t col_exp[8]) {
  bool nan = false;
  for (int i = 0; i < 16; i++) {
    uint32_t byte = s->a[4 * (i & 7) + 2 * s->thread_a + i / 8] >> 8 * s->byte_a & 0xFF;
    row_exp[i] = (int16_t)((int)byte - 127);
    nan |= byte == 0xFF;
  }
  for (int i = 0; i < 8; i++) {
    uint32_t byte = s->b[4 * i + s->thread_b] >> 8 * s->byte_b & 0xFF;
    col_exp[i] = (int16_t)((int)byte - 127);
    nan |= byte == 0xFF;
  }
  return !nan;
}

static float power_of_two(int exp) {
  uint32_t bits = (uint32_t)(exp + 127) << 23;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static bool fast_mx8(const sim_mma_desc *desc, const uint32_t *const a[], const uint32_t *const b[],
                     const sim_mma_scales *s, uint32_t cm[8][16]) {
  sim_step_a x[1];
  sim_step_b y[1];
  int16_t row_exp[16], col_exp[8];
  float row_scale[16], col_scale[8];
  if (!scale_exponents(s, row_exp, col_exp) || !decode_operands(desc, a, b, x, y))
    return false;
  for (int i = 0; i < 16; i++) { // elements reach 2^16 and down to 2^-16
    if (row_exp[i] < -100 || row_exp[i] > 100)
      return false;
    row_scale[i] = power_of_two(row_exp[i]);
  }
  for (int i = 0; i < 8; i++) {
    if (col_exp[i] < -100 || col_exp[i] > 100)
      return false;
    col_scale[i] = power_of_two(col_exp[i]);
  }
  for (int k = 0; k < desc->form.k; k++) {
    for (int i = 0; i < 16; i++) {
      x->value[k][i] *= row_scale[i];
      x->exp[k][i] = (int16_t)(x->exp[k][i] + row_exp[i]);
    }
    for (int i = 0; i < 8; i++) {
      y->value[k][i] *= col_scale[i];
      y->exp[k][i] = (int16_t)(y->exp[k][i] + col_exp[i]);
    }
  }
  return sim_step_tile(x, y, desc->form.k, desc->frac_bits, SIM_OUT_F32, cm, cm);
}

void sim_mma(const sim_mma_desc *desc, const uint32_t *const a[], const uint32_t *const b[],
             const uint32_t *const c[], uint32_t *const d[], const sim_mma_scales *scales) {
  uint32_t cm[8][16];
  bool done = false, tile = desc->form.m == 16 && desc->path != SIM_PATH_DOUBLE;
  TL_ASSERT(!desc->scale_blocks || (scales && sim_mma_selectors_ok(desc, scales)),
            "mma block scale without valid selectors");
  if (tile)
    spread_c(desc, c, cm);
  switch (desc->path) {
  case SIM_PATH_FUSED:
    done = fast_fused(desc, a, b, cm);
    break;
  case SIM_PATH_FP8_AS_F16:
    done = fast_fp8(desc, a, b, cm);
    break;
  case SIM_PATH_MX8:
    done = fast_mx8(desc, a, b, scales, cm);
    break;
  case SIM_PATH_INTEGER:
    done = tile && sim_mma_fast_integer(desc, a, b, cm);
    break;
  case SIM_PATH_BITS:
    done = tile && sim_mma_fast_bits(desc, a, b, cm);
    break;
  case SIM_PATH_MX4:
    done = sim_mma_fast_mx4(desc, a, b, scales, cm);
    break;
  default:
    break;
  }
  if (done)
    gather_d(desc, cm, d);
  else
    sim_mma_reference(desc, a, b, c, d, scales);
}
