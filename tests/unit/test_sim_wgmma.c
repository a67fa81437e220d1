// wgmma: the fast arithmetic against the plain model on every form, with ordinary values, specials,
// subnormals and the ends of the exponent range; forms that do not exist; descriptor fields.
#include "runtime/sim/wgmma.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static uint64_t random_state = UINT64_C(0x9E3779B97F4A7C15);
static uint32_t next_random(void) {
  random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(random_state >> 32);
}

typedef struct shape {
  int bits, exp_shift, exp_bits;
} shape;

static shape shape_of(sim_mma_type type) {
  switch (type) {
  case SIM_MMA_F16:
    return (shape){16, 10, 5};
  case SIM_MMA_BF16:
    return (shape){16, 7, 8};
  case SIM_MMA_TF32:
  case SIM_MMA_F32:
    return (shape){32, 23, 8};
  case SIM_MMA_E5M2:
    return (shape){8, 2, 5};
  case SIM_MMA_E4M3:
    return (shape){8, 3, 4};
  default:
    return (shape){8, 0, 0};
  }
}

// style 0: anything, specials too; 1: exponents near one; 2: large; 3: tiny; 4: zeros and others
static uint32_t element(sim_mma_type type, int style) {
  shape t = shape_of(type);
  uint32_t bits = next_random() >> (32 - t.bits), top = (1u << t.exp_bits) - 1;
  if (!t.exp_bits || style == 0)
    return bits;
  uint32_t at = style == 2   ? top - 1 - next_random() % 4
                : style == 3 ? next_random() % 3
                             : top / 2 + next_random() % 7 - 3;
  if (style == 4 && next_random() % 2)
    return bits & 1u << (t.bits - 1);
  return (bits & ~(top << t.exp_shift)) | at << t.exp_shift;
}

static uint32_t word_of(sim_mma_type type, int style) {
  uint32_t word = 0;
  for (int at = 0; at < 32; at += shape_of(type).bits)
    word |= element(type, style) << at;
  return word;
}

static sim_wgmma_b fast_b;
static void compare(const sim_wgmma_desc *desc, int style) {
  static uint32_t fast[128][32], plain[128][32];
  uint32_t *fast_d[128], *plain_d[128], aw[8][16];
  sim_mma_type acc = desc->form.d == SIM_MMA_S32 ? SIM_MMA_S8 : desc->form.d;
  for (int i = 0; i < 8 * 16; i++)
    aw[i / 16][i % 16] = word_of(desc->form.a, style);
  for (int i = 0; i < desc->form.n / 8 * 64; i++)
    fast_b.words[i / 64][i / 8 % 8][i % 8] = word_of(desc->form.b, style);
  for (int i = 0; i < 128 * 32; i++)
    fast[i / 32][i % 32] = plain[i / 32][i % 32] = word_of(acc, next_random() % 3 ? style : 1);
  for (int i = 0; i < 128; i++)
    fast_d[i] = fast[i], plain_d[i] = plain[i];
  bool scale_d = next_random() % 4;
  sim_wgmma_decode_b(desc, &fast_b);
  sim_wgmma_rows(desc, aw, &fast_b, scale_d, fast_d);
  sim_wgmma_rows_reference(desc, aw, &fast_b, scale_d, plain_d);
  assert_memory_equal(fast, plain, (size_t)desc->d_regs * 128);
}

static const struct {
  sim_mma_type a, b, d;
  uint16_t k;
} forms[] = {
    {SIM_MMA_F16, SIM_MMA_F16, SIM_MMA_F32, 16},   {SIM_MMA_F16, SIM_MMA_F16, SIM_MMA_F16, 16},
    {SIM_MMA_BF16, SIM_MMA_BF16, SIM_MMA_F32, 16}, {SIM_MMA_TF32, SIM_MMA_TF32, SIM_MMA_F32, 8},
    {SIM_MMA_E4M3, SIM_MMA_E4M3, SIM_MMA_F32, 32}, {SIM_MMA_E4M3, SIM_MMA_E5M2, SIM_MMA_F32, 32},
    {SIM_MMA_E5M2, SIM_MMA_E4M3, SIM_MMA_F16, 32}, {SIM_MMA_E5M2, SIM_MMA_E5M2, SIM_MMA_F16, 32},
    {SIM_MMA_S8, SIM_MMA_S8, SIM_MMA_S32, 32},     {SIM_MMA_S8, SIM_MMA_U8, SIM_MMA_S32, 32},
    {SIM_MMA_U8, SIM_MMA_S8, SIM_MMA_S32, 32},     {SIM_MMA_U8, SIM_MMA_U8, SIM_MMA_S32, 32}};

static void fast_is_plain(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
    for (int round = 0; round < 60; round++) {
      sim_wgmma_form form = {.n = 32, .k = forms[i].k, .a = forms[i].a, .b = forms[i].b};
      sim_wgmma_desc desc;
      form.d = forms[i].d;
      form.negate = form.d != SIM_MMA_S32 && round % 2;
      form.satfinite = form.d == SIM_MMA_S32 && round % 2;
      assert_true(sim_wgmma_describe(&form, &desc));
      compare(&desc, round % 5);
    }
}

static void bits_are_counted(void **state) {
  (void)state;
  sim_wgmma_form form = {.n = 8, .k = 256, .a = SIM_MMA_B1, .b = SIM_MMA_B1, .d = SIM_MMA_S32};
  sim_wgmma_desc desc;
  uint32_t aw[8][16], planes[4][32], *d[4] = {planes[0], planes[1], planes[2], planes[3]};
  assert_true(sim_wgmma_describe(&form, &desc));
  for (int i = 0; i < 8; i++)
    for (int row = 0; row < 16; row++) {
      aw[i][row] = next_random();
      fast_b.words[0][i][row / 2] = next_random();
    }
  sim_wgmma_decode_b(&desc, &fast_b);
  sim_wgmma_rows(&desc, aw, &fast_b, false, d);
  for (int row = 0; row < 16; row++)
    for (int col = 0; col < 8; col++) {
      uint32_t sum = 0;
      for (int bit = 0; bit < 256; bit++)
        sum += aw[bit / 32][row] >> bit % 32 & fast_b.words[0][bit / 32][col] >> bit % 32 & 1;
      assert_int_equal(planes[2 * (row / 8) + col % 2][4 * (row % 8) + col / 2], sum);
    }
}

static void what_does_not_exist(void **state) {
  (void)state;
  sim_wgmma_desc desc;
  sim_wgmma_form form = {.n = 12, .k = 16, .a = SIM_MMA_F16, .b = SIM_MMA_F16, .d = SIM_MMA_F32};
  assert_false(sim_wgmma_describe(&form, &desc)); // n
  form.n = 8;
  assert_true(sim_wgmma_describe(&form, &desc));
  form.b = SIM_MMA_BF16;
  assert_false(sim_wgmma_describe(&form, &desc)); // mixed
  form.a = SIM_MMA_BF16, form.d = SIM_MMA_F16;
  assert_false(sim_wgmma_describe(&form, &desc)); // bf16 into f16
  form = (sim_wgmma_form){.n = 40, .k = 32, .a = SIM_MMA_S8, .b = SIM_MMA_S8, .d = SIM_MMA_S32};
  assert_false(sim_wgmma_describe(&form, &desc)); // n of integers
  form = (sim_wgmma_form){.n = 8, .k = 8, .a = SIM_MMA_TF32, .b = SIM_MMA_TF32, .d = SIM_MMA_F32};
  assert_true(sim_wgmma_describe(&form, &desc));
  form.mn_major_b = true;
  assert_false(sim_wgmma_describe(&form, &desc)); // MN-major is for 16 bits
}

// The worked example of the manual: bf16, 64 x 64, K-major, 128-byte swizzle at 0x400.
static void descriptor_fields(void **state) {
  (void)state;
  sim_wgmma_layout l = sim_wgmma_layout_of(UINT64_C(0x4000004000010040));
  uint64_t address[128];
  assert_int_equal(l.start, 0x400);
  assert_int_equal(l.lbo, 16);
  assert_int_equal(l.sbo, 1024);
  assert_int_equal(l.swizzle, 128);
  assert_true(!l.reserved && !l.base_offset);
  sim_wgmma_units(&l, false, false, 64, address);
  assert_int_equal(address[2 * 3 + 1], 0x400 + 3 * 128 + (16 ^ 48));
  assert_int_equal(address[2 * 13], 0x400 + 1024 + 5 * 128 + 80);
  assert_true(sim_wgmma_layout_of(UINT64_C(1) << 14).reserved != 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fast_is_plain), cmocka_unit_test(bits_are_counted),
      cmocka_unit_test(what_does_not_exist), cmocka_unit_test(descriptor_fields)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
