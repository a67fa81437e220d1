// Tensor-core arithmetic: the fast paths against the plain model on every form of every
// architecture, the model's step against a formulation in doubles, and cases done by hand.
#include "runtime/sim/mma.h"
#include "lang/base/fp.h"
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static uint64_t random_state = UINT64_C(0x853C49E6748FEA9B);
static uint32_t next_random(void) {
  random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(random_state >> 32);
}

// --- operands -----------------------------------------------------------------------------------
typedef struct planes {
  uint32_t data[16][32];
  const uint32_t *in[16];
  uint32_t *out[16];
} planes;

static void planes_init(planes *p) {
  memset(p->data, 0, sizeof p->data);
  for (int i = 0; i < 16; i++)
    p->in[i] = p->out[i] = p->data[i];
}

typedef struct layout {
  int bits, exp_shift, exp_bits;
  uint32_t edges[8];
} layout;

static layout layout_of(sim_mma_type type) {
  switch (type) {
  case SIM_MMA_F16:
    return (layout){16, 10, 5, {0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0x3C00, 0xFBFF}};
  case SIM_MMA_BF16:
    return (layout){16, 7, 8, {0x0000, 0x8000, 0x0001, 0x807F, 0x0080, 0x7F7F, 0x3F80, 0xFF7F}};
  case SIM_MMA_TF32:
  case SIM_MMA_F32:
    return (layout){
        32, 23, 8, {0, 0x80000000, 1, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x3F801FFF, 0xFF7FFFFF}};
  case SIM_MMA_E4M3:
    return (layout){8, 3, 4, {0, 0x80, 1, 0x87, 8, 0x7E, 0x38, 0xFE}};
  case SIM_MMA_E5M2:
    return (layout){8, 2, 5, {0, 0x80, 1, 0x83, 4, 0x7B, 0x3C, 0xFB}};
  default:
    return (layout){8, 3, 4, {0, 0x80, 1, 0x7F, 8, 0xFF, 0x38, 0x3C}};
  }
}

typedef enum style { UNIFORM, NARROW, SPARSE, EDGES, SPECIALS, TINY, HUGE_ONES, STYLES } style;

static uint32_t random_element(sim_mma_type type, style how, int centre) {
  layout t = layout_of(type);
  uint32_t bits = next_random() >> (32 - t.bits), top = (1u << t.exp_bits) - 1;
  if (type == SIM_MMA_S8 || type == SIM_MMA_U8 || type >= SIM_MMA_E2M3)
    return bits;
  if (how == SPECIALS) {
    if (next_random() % 24 == 0)
      bits |= top << t.exp_shift;
    if (next_random() % 24 == 0)
      bits = bits >> (t.bits - 1) << (t.bits - 1) | top << t.exp_shift;
    return bits;
  }
  if (how == SPARSE && next_random() % 2)
    return bits & 1u << (t.bits - 1);
  if (how == EDGES && next_random() % 2)
    return t.edges[next_random() % 8];
  if (how == TINY || how == HUGE_ONES) { // products at the ends of f32, where types reach so far
    int far = t.exp_bits == 8 ? 52 + (int)(next_random() % 14) : (int)top / 2 - 3;
    uint32_t e = (uint32_t)((int)(top / 2) + centre + (how == TINY ? -far : far)) & top;
    bits = (bits & ~(top << t.exp_shift)) | e << t.exp_shift;
  }
  if (how == NARROW || how == SPARSE) {
    uint32_t e = (uint32_t)((int)(top / 2) + centre + (int)(next_random() % 6)) & top;
    bits = (bits & ~(top << t.exp_shift)) | e << t.exp_shift;
  }
  if ((bits >> t.exp_shift & top) == top)
    bits ^= 1u << (t.exp_shift + 1); // no specials here
  return bits;
}

static void fill(planes *p, int regs, int elem_bits, sim_mma_type type, style how, int centre) {
  for (int r = 0; r < regs; r++)
    for (int lane = 0; lane < 32; lane++) {
      uint32_t word = 0;
      for (int at = 0; at < 32; at += elem_bits)
        word |= elem_bits < 8 ? next_random() % (1u << elem_bits) << at
                              : random_element(type, how, centre) << at;
      p->data[r][lane] = word;
    }
}

// --- every form: fast == plain ------------------------------------------------------------------
static void compare_form(const sim_mma_desc *desc, int rounds, long *elements) {
  planes a, b, c, fast, plain, sa, sb;
  planes_init(&a), planes_init(&b), planes_init(&c), planes_init(&fast), planes_init(&plain);
  planes_init(&sa), planes_init(&sb);
  for (int round = 0; round < rounds; round++) {
    style how = (style)(round % STYLES);
    int centre = (int)(next_random() % 5) - 2;
    fill(&a, desc->a_regs, desc->elem_bits == 64 ? 32 : desc->elem_bits, desc->form.a, how, centre);
    fill(&b, desc->b_regs, desc->elem_bits == 64 ? 32 : desc->elem_bits, desc->form.b, how,
         -centre);
    sim_mma_type acc = desc->form.d == SIM_MMA_F64 ? SIM_MMA_F32 : desc->form.d;
    if (round % 3 == 0)
      memset(c.data, 0, sizeof c.data);
    else
      fill(&c, desc->c_regs, acc == SIM_MMA_F16 ? 16 : 32, acc, how, round % 3);
    for (int lane = 0; lane < 32; lane++) {
      int wild = round % 7;
      uint32_t near = 0x7C7D7E7F + next_random() % 8, far = 0x787F8384 - next_random() % 8;
      sa.data[0][lane] = wild == 3 ? next_random() : near;
      sb.data[0][lane] = wild == 3 ? next_random() : far;
      if (wild == 4)
        sa.data[0][lane] = next_random() & 0x3F3F3F3F; // no NaN, zeros of ue4m3
      if (wild >= 4)
        sb.data[0][lane] = next_random() & next_random() & 0x7E7E7E7E;
      if (desc->form.scale == SIM_MMA_UE4M3)
        sa.data[0][lane] &= 0x7F7F7F7F;
    }
    uint16_t step = desc->scale_blocks ? desc->scale_blocks : 1;
    sim_mma_scales scales = {sa.in[0],
                             sb.in[0],
                             (uint16_t)(next_random() % (4 / step) * step),
                             (uint16_t)(next_random() % 2),
                             (uint16_t)(next_random() % (4 / step) * step),
                             (uint16_t)(next_random() % 4)};
    const sim_mma_scales *s = desc->scale_blocks ? &scales : NULL;
    sim_mma_reference(desc, a.in, b.in, c.in, plain.out, s);
    memcpy(fast.data, c.data, sizeof c.data); // D over C, as most kernels have it
    sim_mma(desc, a.in, b.in, fast.in, fast.out, s);
    for (int r = 0; r < desc->c_regs; r++)
      for (int lane = 0; lane < 32; lane++)
        if (fast.data[r][lane] != plain.data[r][lane])
          fail_msg(
              "kind %d m%dk%d types %d %d %d round %d: register %d lane %d: fast %08x plain %08x",
              desc->form.kind, desc->form.m, desc->form.k, (int)desc->form.a, (int)desc->form.b,
              (int)desc->form.d, round, r, lane, fast.data[r][lane], plain.data[r][lane]);
    *elements += desc->c_regs * 32;
  }
}

typedef void (*form_visitor)(sim_arch arch, const sim_mma_desc *desc, void *ctx);

static void each_form(sim_arch arch, form_visitor visit, void *ctx) {
  static const uint16_t depths[] = {4, 8, 16, 32, 64, 128, 256};
  static const sim_mma_type accs[] = {SIM_MMA_F16, SIM_MMA_F32, SIM_MMA_F64, SIM_MMA_S32};
  for (int kind = SIM_MMA_PLAIN; kind <= SIM_MMA_MXF4NVF4; kind++)
    for (int m = 8; m <= 16; m += 8)
      for (size_t k = 0; k < sizeof depths / sizeof *depths; k++)
        for (int a = 0; a < SIM_MMA_S32; a++)
          for (int b = 0; b < SIM_MMA_S32; b++)
            for (int acc = 0; acc < 4; acc++)
              for (int vec = 0; vec <= 4; vec++)
                for (int bit = 0; bit < 3; bit++) {
                  sim_mma_form form = {.kind = (sim_mma_kind)kind,
                                       .m = (uint16_t)m,
                                       .n = 8,
                                       .k = depths[k],
                                       .a = (sim_mma_type)a,
                                       .b = (sim_mma_type)b,
                                       .c = accs[acc],
                                       .d = accs[acc],
                                       .scale_vec = (uint8_t)vec,
                                       .scale = vec == 4 ? SIM_MMA_UE4M3 : SIM_MMA_UE8M0,
                                       .bitop = (sim_mma_bitop)bit};
                  sim_mma_desc desc;
                  if (sim_mma_describe(arch, &form, &desc))
                    visit(arch, &desc, ctx);
                }
}

typedef struct tally {
  int forms, rounds;
  long elements;
} tally;

static void visit_compare(sim_arch arch, const sim_mma_desc *desc, void *ctx) {
  tally *t = ctx;
  int rounds = t->rounds;
  (void)arch;
  if (desc->path == SIM_PATH_MX4)
    rounds *= 4;
  if (desc->path == SIM_PATH_BITS)
    rounds = 10;
  t->forms++;
  compare_form(desc, rounds, &t->elements);
}

static void test_fast_equals_plain(void **state) {
  (void)state;
  // f16/bf16 forms get most of the time on one architecture; the others differ in fp8 only.
  tally hopper = {.rounds = 150}, datacentre = {.rounds = 20}, consumer = {.rounds = 40};
  each_form(SIM_SM90A, visit_compare, &hopper);
  each_form(SIM_SM100A, visit_compare, &datacentre);
  each_form(SIM_SM120A, visit_compare, &consumer);
  print_message("%d + %d + %d forms, %ld elements\n", hopper.forms, datacentre.forms,
                consumer.forms, hopper.elements + datacentre.elements + consumer.elements);
  // f16 2 shapes x 2 accs, bf16 2, tf32 2, fp8 2 shapes x 4 x 2, int8 3 x 4, int4 3 x 4, b1 3 x 2,
  // f64 4
  int base = 4 + 2 + 2 + 16 + 12 + 12 + 6 + 4;
  assert_int_equal(hopper.forms, base);
  assert_int_equal(datacentre.forms, base + 8); // kind::f8f6f4 on fp8 pairs
  // f8f6f4 25 x 2; mxf8f6f4 25 x (default, 1X); mxf4 default and 2X; mxf4nvf4 2X and 4X
  assert_int_equal(consumer.forms, base + 50 + 50 + 2 + 2);
}

// --- the step in doubles ------------------------------------------------------------------------
// Exponent as the type stores it, from the value.
static int stored_exponent(double value, int smallest) {
  int e = ilogb(value);
  return e < smallest ? smallest : e;
}

static double value_of(sim_mma_type type, uint32_t bits) {
  switch (type) {
  case SIM_MMA_F16:
    return tl_fp_decode(TL_F16, bits);
  case SIM_MMA_BF16:
    return tl_fp_decode(TL_BF16, bits);
  case SIM_MMA_TF32:
    return tl_fp_decode(TL_F32, bits & 0xFFFFE000u);
  case SIM_MMA_E4M3:
    return tl_fp_decode(TL_F8E4M3, bits);
  case SIM_MMA_E5M2:
    return tl_fp_decode(TL_F8E5M2, bits);
  default:
    return tl_fp_decode(TL_F32, bits);
  }
}

static int smallest_of(sim_mma_type type) {
  switch (type) {
  case SIM_MMA_F16:
  case SIM_MMA_E5M2:
    return -14;
  case SIM_MMA_E4M3:
    return -6;
  default:
    return -126;
  }
}

static uint32_t step_in_doubles(sim_mma_type type, const uint32_t *a, const uint32_t *b, int n,
                                uint32_t c_bits, int frac_bits, sim_step_out out) {
  double c = value_of(out == SIM_OUT_F16 ? SIM_MMA_F16 : SIM_MMA_F32, c_bits);
  double sum = 0, specials = isfinite(c) ? 0 : c;
  int most = -100000, low = smallest_of(type);
  if (c != 0 && isfinite(c))
    most = stored_exponent(c, out == SIM_OUT_F16 ? -14 : -126);
  for (int i = 0; i < n; i++) {
    double x = value_of(type, a[i]), y = value_of(type, b[i]), p = x * y;
    if (!isfinite(p))
      specials += p;
    if (p == 0 || !isfinite(p))
      continue;
    int e = stored_exponent(x, low) + stored_exponent(y, low);
    most = e > most ? e : most;
  }
  if (isnan(specials))
    return out == SIM_OUT_F16 ? 0x7FFF : 0x7FFFFFFF;
  if (isinf(specials)) {
    uint32_t sign = specials < 0;
    return out == SIM_OUT_F16 ? sign << 15 | 0x7C00 : sign << 31 | 0x7F800000;
  }
  if (most == -100000)
    return 0;
  sum = trunc(ldexp(c, frac_bits - most));
  for (int i = 0; i < n; i++)
    sum += trunc(ldexp(value_of(type, a[i]) * value_of(type, b[i]), frac_bits - most));
  sum = ldexp(sum, most - frac_bits);
  if (out == SIM_OUT_F16) {
    uint32_t bits = (uint32_t)tl_fp_encode(TL_F16, sum, TL_RN, false);
    return bits == 0x8000 ? 0 : bits;
  }
  if (fabs(sum) >= 0x1p128)
    return sum < 0 ? 0xFF800000 : 0x7F800000;
  uint32_t bits = (uint32_t)tl_fp_encode(TL_F32, sum, TL_RZ, false);
  if (out == SIM_OUT_E8M13 && fabs(sum) >= 0x1p-126)
    bits &= ~1023u;
  return bits == 0x80000000 ? 0 : bits;
}

static void test_step_against_doubles(void **state) {
  (void)state;
  static const struct {
    sim_mma_type type;
    int n, frac_bits;
    sim_step_out out;
  } cases[] = {
      {SIM_MMA_F16, 16, 25, SIM_OUT_F32},    {SIM_MMA_F16, 16, 25, SIM_OUT_F16},
      {SIM_MMA_F16, 8, 25, SIM_OUT_F16},     {SIM_MMA_BF16, 16, 25, SIM_OUT_F32},
      {SIM_MMA_BF16, 8, 25, SIM_OUT_F32},    {SIM_MMA_TF32, 8, 25, SIM_OUT_F32},
      {SIM_MMA_E4M3, 32, 25, SIM_OUT_F32},   {SIM_MMA_E5M2, 32, 25, SIM_OUT_F32},
      {SIM_MMA_E4M3, 32, 13, SIM_OUT_E8M13}, {SIM_MMA_E5M2, 32, 13, SIM_OUT_F16},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sim_mma_type type = cases[i].type,
                 acc = cases[i].out == SIM_OUT_F16 ? SIM_MMA_F16 : SIM_MMA_F32;
    for (int round = 0; round < 12000; round++) {
      uint32_t a[32], b[32];
      sim_num x[32], y[32];
      style how = (style)(round % STYLES);
      int centre = round % 16 - 8, n = cases[i].n;
      for (int k = 0; k < n; k++) {
        a[k] = random_element(type, how, centre);
        b[k] = random_element(type, how, -centre);
        x[k] = sim_num_decode(type, a[k]);
        y[k] = sim_num_decode(type, b[k]);
      }
      uint32_t c = random_element(acc, how, round % 9 - 4);
      uint32_t want = step_in_doubles(type, a, b, n, c, cases[i].frac_bits, cases[i].out);
      uint32_t got = sim_step_reference(x, y, n, 2 * sim_num_frac_bits(type), 0, c,
                                        cases[i].frac_bits, cases[i].out);
      if (got != want)
        fail_msg("case %zu round %d: %08x, in doubles %08x (c %08x)", i, round, got, want, c);
    }
  }
}

// --- by hand ------------------------------------------------------------------------------------
static sim_mma_desc describe(sim_arch arch, sim_mma_form form) {
  sim_mma_desc desc;
  form.n = 8;
  assert_true(sim_mma_describe(arch, &form, &desc));
  return desc;
}

// One row of A against one column of B: D[0][0] in register 0 of lane 0. Element k of A row 0 sits
// in lane k % (4 * per) / per.
static void put_k(planes *p, int elem_bits, int regs_per_k_block, int k, uint32_t bits) {
  int per = 32 / elem_bits;
  p->data[regs_per_k_block * (k / (4 * per))][k % (4 * per) / per] |= bits << (k % per * elem_bits);
}

static uint32_t d00(const sim_mma_desc *desc, planes *a, planes *b, uint32_t c_bits,
                    const sim_mma_scales *s) {
  planes c, d;
  planes_init(&c), planes_init(&d);
  c.data[0][0] = c_bits;
  sim_mma(desc, a->in, b->in, c.in, d.out, s);
  return d.data[0][0];
}

static void test_hand_bf16(void **state) {
  (void)state;
  sim_mma_desc desc = describe(SIM_SM90A, (sim_mma_form){.m = 16,
                                                         .k = 16,
                                                         .a = SIM_MMA_BF16,
                                                         .b = SIM_MMA_BF16,
                                                         .c = SIM_MMA_F32,
                                                         .d = SIM_MMA_F32});
  assert_int_equal(desc.a_regs, 4);
  assert_int_equal(desc.b_regs, 2);
  assert_int_equal(desc.c_regs, 4);
  planes a, b;
  planes_init(&a), planes_init(&b);
  put_k(&a, 16, 2, 0, 0x3FC0), put_k(&b, 16, 1, 0, 0x4000);           // 1.5 * 2 = 3
  put_k(&a, 16, 2, 9, 0xBF00), put_k(&b, 16, 1, 9, 0x3F80);           // -0.5 * 1
  assert_int_equal(d00(&desc, &a, &b, 0x3F800000, NULL), 0x40600000); // 3 - 0.5 + 1 = 3.5
  // The accumulator is a term: 2^25 + 1.5 * 2^-1 ... a product of 2^-1 is kept at F = 25 with
  // M = 24, one of 2^-2 with M = 24 is cut away.
  planes_init(&a), planes_init(&b);
  put_k(&a, 16, 2, 3, 0x3F00), put_k(&b, 16, 1, 3, 0x3F80);           // 0.5
  put_k(&a, 16, 2, 12, 0x3F00), put_k(&b, 16, 1, 12, 0x3F80);         // 0.5
  assert_int_equal(d00(&desc, &a, &b, 0x4B000000, NULL), 0x4B000001); // 2^23 + 1
  assert_int_equal(d00(&desc, &a, &b, 0x4C800000, NULL), 0x4C800000); // 2^26: terms are cut to 0
  // Sixteen halves below 2^24: kept at 2^-1 units, sum 8 -> 2^24 + 8; toward zero afterwards.
  for (int k = 0; k < 16; k++) {
    if (k == 3 || k == 12)
      continue;
    put_k(&a, 16, 2, k, 0x3F00), put_k(&b, 16, 1, k, 0x3F80);
  }
  assert_int_equal(d00(&desc, &a, &b, 0x4B800000, NULL), 0x4B800004);
  assert_int_equal(d00(&desc, &a, &b, 0x7F800000, NULL), 0x7F800000); // + inf
  put_k(&a, 16, 2, 4, 0xFFFF);
  assert_int_equal(d00(&desc, &a, &b, 0, NULL), 0x7FFFFFFF); // NaN is canonical
}

static void test_hand_overflow(void **state) {
  (void)state;
  sim_mma_desc desc = describe(SIM_SM90A, (sim_mma_form){.m = 16,
                                                         .k = 16,
                                                         .a = SIM_MMA_BF16,
                                                         .b = SIM_MMA_BF16,
                                                         .c = SIM_MMA_F32,
                                                         .d = SIM_MMA_F32});
  planes a, b;
  planes_init(&a), planes_init(&b);
  put_k(&a, 16, 2, 0, 0x7F00), put_k(&b, 16, 1, 0, 0x4000); // 2^127 * 2 = 2^128: infinity
  assert_int_equal(d00(&desc, &a, &b, 0, NULL), 0x7F800000);
  put_k(&a, 16, 2, 1, 0xFF00), put_k(&b, 16, 1, 1, 0x4000);  // minus the same: no overflow inside
  assert_int_equal(d00(&desc, &a, &b, 0x3F800000, NULL), 0); // and 1 is lost below 2^128
  sim_mma_desc half = describe(SIM_SM90A, (sim_mma_form){.m = 16,
                                                         .k = 16,
                                                         .a = SIM_MMA_F16,
                                                         .b = SIM_MMA_F16,
                                                         .c = SIM_MMA_F16,
                                                         .d = SIM_MMA_F16});
  planes_init(&a), planes_init(&b);
  put_k(&a, 16, 2, 5, 0x7BFF), put_k(&b, 16, 1, 5, 0x3C00);   // 65504
  assert_int_equal(d00(&half, &a, &b, 0x4B80, NULL), 0x7BFF); // + 15: nearest is 65504
  assert_int_equal(d00(&half, &a, &b, 0x4C00, NULL), 0x7C00); // + 16: tie to even, infinity
}

// fp8: ptxas' two f16 steps and an addition on sm_90a, one fused step on sm_120a.
static void test_hand_fp8(void **state) {
  (void)state;
  sim_mma_form form = {
      .m = 16, .k = 32, .a = SIM_MMA_E4M3, .b = SIM_MMA_E4M3, .c = SIM_MMA_F32, .d = SIM_MMA_F32};
  sim_mma_desc emulated = describe(SIM_SM90A, form), fused = describe(SIM_SM120A, form);
  planes a, b;
  planes_init(&a), planes_init(&b);
  put_k(&a, 8, 2, 0, 0x38), put_k(&b, 8, 1, 0, 0x38); // 1
  // C = 2^24 + 2: emulated adds 1 rounding to nearest even (2^24 + 4); fused cuts (2^24 + 2).
  assert_int_equal(d00(&emulated, &a, &b, 0x4B800001, NULL), 0x4B800002);
  assert_int_equal(d00(&fused, &a, &b, 0x4B800001, NULL), 0x4B800001);
  // 448 * 448 at k 0 and the smallest product 2^-18 at k 1 (same half) and k 2 (other half).
  planes_init(&a), planes_init(&b);
  put_k(&a, 8, 2, 0, 0x7E), put_k(&b, 8, 1, 0, 0x7E);
  put_k(&a, 8, 2, 1, 0xFE), put_k(&b, 8, 1, 1, 0x7E);
  put_k(&a, 8, 2, 2, 0x01), put_k(&b, 8, 1, 2, 0x01);
  assert_int_equal(d00(&fused, &a, &b, 0, NULL), 0);             // cut away below 2^16
  assert_int_equal(d00(&emulated, &a, &b, 0, NULL), 0x36800000); // 2^-18 in a step of its own
}

static void test_hand_integers(void **state) {
  (void)state;
  sim_mma_form form = {
      .m = 16, .k = 32, .a = SIM_MMA_S8, .b = SIM_MMA_U8, .c = SIM_MMA_S32, .d = SIM_MMA_S32};
  sim_mma_desc desc = describe(SIM_SM90A, form);
  planes a, b;
  planes_init(&a), planes_init(&b);
  for (int k = 0; k < 32; k++)
    put_k(&a, 8, 2, k, 0x80), put_k(&b, 8, 1, k, 0xFF);
  assert_int_equal(d00(&desc, &a, &b, 1, NULL), (uint32_t)(-128 * 255 * 32 + 1));
  assert_int_equal(d00(&desc, &a, &b, 0x80000000, NULL), 0x80000000u - 128 * 255 * 32); // wraps
  form.satfinite = true;
  desc = describe(SIM_SM90A, form);
  assert_int_equal(d00(&desc, &a, &b, 0x80000000, NULL), 0x80000000);
  form = (sim_mma_form){.m = 16,
                        .k = 256,
                        .a = SIM_MMA_B1,
                        .b = SIM_MMA_B1,
                        .c = SIM_MMA_S32,
                        .d = SIM_MMA_S32,
                        .bitop = SIM_MMA_XOR_POPC};
  desc = describe(SIM_SM90A, form);
  planes_init(&a), planes_init(&b);
  put_k(&a, 1, 2, 200, 1), put_k(&b, 1, 1, 200, 1), put_k(&a, 1, 2, 3, 1), put_k(&b, 1, 1, 77, 1);
  assert_int_equal(d00(&desc, &a, &b, 5, NULL), 7);
  form.bitop = SIM_MMA_AND_POPC;
  desc = describe(SIM_SM90A, form);
  assert_int_equal(d00(&desc, &a, &b, 5, NULL), 6);
}

static void test_hand_f64(void **state) {
  (void)state;
  sim_mma_desc desc = describe(
      SIM_SM90A,
      (sim_mma_form){
          .m = 8, .k = 4, .a = SIM_MMA_F64, .b = SIM_MMA_F64, .c = SIM_MMA_F64, .d = SIM_MMA_F64});
  planes a, b, c, d;
  planes_init(&a), planes_init(&b), planes_init(&c), planes_init(&d);
  // Row 0: k = 0: 2^60 * 1, k = 1: 1 * 1, k = 2: -2^60 * 1. Ascending k loses the 1.
  static const double row[4] = {0x1p60, 1, -0x1p60, 0};
  for (int k = 0; k < 4; k++) {
    uint64_t x = tl_bits_of_f64(row[k]), one = tl_bits_of_f64(1);
    a.data[0][k] = (uint32_t)x, a.data[1][k] = (uint32_t)(x >> 32);
    b.data[0][k] = (uint32_t)one, b.data[1][k] = (uint32_t)(one >> 32);
  }
  sim_mma(&desc, a.in, b.in, c.in, d.out, NULL);
  assert_int_equal(d.data[0][0] | d.data[1][0], 0);
  sim_mma_form up = desc.form;
  up.round = 3;
  assert_true(sim_mma_describe(SIM_SM90A, &up, &desc));
  sim_mma(&desc, a.in, b.in, c.in, d.out, NULL);
  assert_true(tl_f64_of_bits(d.data[0][0] | (uint64_t)d.data[1][0] << 32) ==
              256); // one ulp of 2^60
}

// --- block scale: which lane and byte supply a scale --------------------------------------------
// All elements 1, all scales 1 except one byte that
// doubles (ue8m0 0x80, ue4m3 0x40): exactly the row (or column) and k block it belongs to must show
// it.
typedef struct scale_case {
  sim_mma_kind kind;
  uint8_t vec;
  bool of_a;
  uint16_t byte_id, thread_id;
  int row_or_col, block, lane, byte; // expected supplier
} scale_case;

static void check_scale(const scale_case *t) {
  bool fp4 = t->kind != SIM_MMA_MXF8F6F4, ue4m3 = t->vec == 4;
  sim_mma_desc desc =
      describe(SIM_SM120A, (sim_mma_form){.kind = t->kind,
                                          .m = 16,
                                          .k = (uint16_t)(fp4 ? 64 : 32),
                                          .a = fp4 ? SIM_MMA_E2M1 : SIM_MMA_E4M3,
                                          .b = fp4 ? SIM_MMA_E2M1 : SIM_MMA_E4M3,
                                          .c = SIM_MMA_F32,
                                          .d = SIM_MMA_F32,
                                          .scale_vec = t->vec,
                                          .scale = ue4m3 ? SIM_MMA_UE4M3 : SIM_MMA_UE8M0});
  planes a, b, c, d, sa, sb;
  planes_init(&a), planes_init(&b), planes_init(&c), planes_init(&d);
  planes_init(&sa), planes_init(&sb);
  memset(a.data, fp4 ? 0x22 : 0x38, sizeof a.data);
  memset(b.data, fp4 ? 0x22 : 0x38, sizeof b.data);
  memset(sa.data, ue4m3 ? 0x38 : 0x7F, sizeof sa.data);
  memset(sb.data, ue4m3 ? 0x38 : 0x7F, sizeof sb.data);
  uint32_t *word = t->of_a ? &sa.data[0][t->lane] : &sb.data[0][t->lane];
  *word = (*word & ~(0xFFu << 8 * t->byte)) | (ue4m3 ? 0x40u : 0x80u) << 8 * t->byte;
  sim_mma_scales s = {sa.in[0],
                      sb.in[0],
                      t->of_a ? t->byte_id : 0,
                      t->of_a ? t->thread_id : 0,
                      t->of_a ? 0 : t->byte_id,
                      t->of_a ? 0 : t->thread_id};
  sim_mma(&desc, a.in, b.in, c.in, d.out, &s);
  float plain = (float)desc.form.k, doubled = plain + plain / t->vec;
  for (int row = 0; row < 16; row++)
    for (int col = 0; col < 8; col++) {
      uint32_t bits = d.data[2 * (row / 8) + (col & 1)][4 * (row & 7) + col / 2];
      bool hit = (t->of_a ? row : col) == t->row_or_col;
      if (tl_f32_of_bits(bits) != (hit ? doubled : plain))
        fail_msg("kind %d %dX lane %d byte %d: D[%d][%d] = %g", t->kind, t->vec, t->lane, t->byte,
                 row, col, (double)tl_f32_of_bits(bits));
    }
  (void)t->block;
}

static void test_scale_lanes(void **state) {
  (void)state;
  static const scale_case cases[] = {
      {SIM_MMA_MXF8F6F4, 1, true, 2, 1, 11, 0, 15, 2},
      {SIM_MMA_MXF8F6F4, 1, false, 1, 3, 5, 0, 23, 1},
      {SIM_MMA_MXF4, 2, true, 2, 0, 0, 1, 0, 3},
      {SIM_MMA_MXF4, 2, true, 0, 1, 8, 0, 3, 0},
      {SIM_MMA_MXF4NVF4, 4, true, 0, 0, 9, 3, 5, 3},
      {SIM_MMA_MXF4NVF4, 4, false, 0, 2, 7, 1, 30, 1},
      {SIM_MMA_MXF4NVF4, 2, false, 2, 1, 3, 1, 13, 3},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check_scale(&cases[i]);
}

// Only k 48..63 carries weight: the scale of block 3 (4X) must be the one that counts.
static void test_scale_block(void **state) {
  (void)state;
  sim_mma_desc desc = describe(SIM_SM120A, (sim_mma_form){.kind = SIM_MMA_MXF4NVF4,
                                                          .m = 16,
                                                          .k = 64,
                                                          .a = SIM_MMA_E2M1,
                                                          .b = SIM_MMA_E2M1,
                                                          .c = SIM_MMA_F32,
                                                          .d = SIM_MMA_F32,
                                                          .scale_vec = 4,
                                                          .scale = SIM_MMA_UE4M3});
  planes a, b, sa, sb;
  planes_init(&a), planes_init(&b), planes_init(&sa), planes_init(&sb);
  put_k(&a, 4, 2, 50, 0x7), put_k(&b, 4, 1, 50, 0xD); // 6 * -3
  sa.data[0][0] = 0x42383838;                         // block 3: 2.5
  sb.data[0][0] = 0x3C383838;                         // block 3: 1.5
  sim_mma_scales s = {sa.in[0], sb.in[0], 0, 0, 0, 0};
  assert_int_equal(d00(&desc, &a, &b, 0, &s), tl_bits_of_f32(-67.5f));
  sa.data[0][0] = 0x427F3838; // a NaN scale of another block of the row makes the element NaN
  assert_int_equal(d00(&desc, &a, &b, 0, &s), 0x7FFFFFFF);
}

static void test_refusals(void **state) {
  (void)state;
  sim_mma_desc desc;
  sim_mma_form mx = {.kind = SIM_MMA_MXF8F6F4,
                     .m = 16,
                     .n = 8,
                     .k = 32,
                     .a = SIM_MMA_E4M3,
                     .b = SIM_MMA_E4M3,
                     .c = SIM_MMA_F32,
                     .d = SIM_MMA_F32,
                     .scale = SIM_MMA_UE8M0};
  assert_true(sim_mma_describe(SIM_SM120A, &mx, &desc));
  assert_int_equal(desc.form.scale_vec, 1);
  assert_false(sim_mma_describe(SIM_SM90A, &mx, &desc));
  assert_false(sim_mma_describe(SIM_SM100A, &mx, &desc));
  mx.scale_vec = 2;
  assert_false(sim_mma_describe(SIM_SM120A, &mx, &desc));
  sim_mma_form nv = {.kind = SIM_MMA_MXF4NVF4,
                     .m = 16,
                     .n = 8,
                     .k = 64,
                     .a = SIM_MMA_E2M1,
                     .b = SIM_MMA_E2M1,
                     .c = SIM_MMA_F32,
                     .d = SIM_MMA_F32,
                     .scale = SIM_MMA_UE4M3};
  assert_false(sim_mma_describe(SIM_SM120A, &nv, &desc)); // scale_vec must be written
  nv.scale_vec = 4;
  assert_true(sim_mma_describe(SIM_SM120A, &nv, &desc));
  nv.scale = SIM_MMA_UE8M0;
  assert_false(sim_mma_describe(SIM_SM120A, &nv, &desc));
  sim_mma_scales s = {NULL, NULL, 1, 0, 0, 0};
  assert_false(sim_mma_selectors_ok(&desc, &s)); // 4X: byte-id must be 0
  s.byte_a = 0, s.thread_a = 2;
  assert_false(sim_mma_selectors_ok(&desc, &s));
  sim_mma_form mixed = {.m = 16,
                        .n = 8,
                        .k = 16,
                        .a = SIM_MMA_F16,
                        .b = SIM_MMA_BF16,
                        .c = SIM_MMA_F32,
                        .d = SIM_MMA_F32};
  assert_false(sim_mma_describe(SIM_SM90A, &mixed, &desc));
  sim_mma_type type;
  assert_true(sim_mma_type_of_name("e2m3", &type) && type == SIM_MMA_E2M3);
  assert_false(sim_mma_type_of_name("e9m9", &type));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_step_against_doubles),
      cmocka_unit_test(test_fast_equals_plain),
      cmocka_unit_test(test_hand_bf16),
      cmocka_unit_test(test_hand_overflow),
      cmocka_unit_test(test_hand_fp8),
      cmocka_unit_test(test_hand_integers),
      cmocka_unit_test(test_hand_f64),
      cmocka_unit_test(test_scale_lanes),
      cmocka_unit_test(test_scale_block),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
