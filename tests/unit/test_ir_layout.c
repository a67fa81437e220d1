// Layouts against independent statements of the same facts: the fragment tables of the PTX manual,
// the byte addresses that swizzle modes mean, and coverage of odd tile sizes.
#include "ir/layout.h"
#include "ir/scratch.h"
#include "lang/base/str.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static tl_arena arena;
static ty_ctx types;

static const ty_type *tile(tl_dtype dtype, int64_t rows, int64_t cols) {
  return ty_tile(&types, dtype, 2, (int64_t[]){rows, cols});
}

static void expect_coords(const ir_layout *l, int reg, int lane, int warp, int64_t row, int64_t col) {
  int64_t at[TY_MAX_RANK];
  ir_layout_coords(l, reg, lane, warp, at);
  assert_int_equal(at[0], row);
  assert_int_equal(at[1], col);
}

// C/D of m16n8: register 2h+j holds row g + 8h, column 2q + j.
static void test_accumulator(void **state) {
  (void)state;
  ir_layout l = ir_layout_mma_acc(tile(TL_F32, 32, 48), 2, 2);
  assert_int_equal(ir_layout_regs(&l), 32 * 48 / 128);
  assert_true(ir_layout_covers(&l, tile(TL_F32, 32, 48), 4));
  for (int lane = 0; lane < 32; lane++)
    for (int reg = 0; reg < 4; reg++)
      expect_coords(&l, reg, lane, 0, lane / 4 + 8 * (reg >> 1), 2 * (lane % 4) + (reg & 1));
  expect_coords(&l, 0, 0, 1, 16, 0); // warps along M first
  expect_coords(&l, 0, 0, 2, 0, 8);
  expect_coords(&l, 4, 0, 0, 0, 16); // next n8 atom of the same warp
}

// A: row = g + 8 (r & 1), k = E q + e + 4E (r >> 1); B: k = E q + e + 4E r, n = g.
static void test_operands(void **state) {
  (void)state;
  for (int bits = 8; bits <= 32; bits *= 2) {
    int per_reg = 32 / bits, k = 16 * per_reg;
    ir_layout a = ir_layout_mma_a(tile(TL_F32, 16, k), bits, 1, 1);
    ir_layout b = ir_layout_mma_b(tile(TL_F32, k, 8), bits, 1, 1);
    for (int lane = 0; lane < 32; lane++)
      for (int r = 0; r < 4; r++)
        for (int e = 0; e < per_reg; e++) {
          int g = lane / 4, q = lane % 4;
          expect_coords(&a, r * per_reg + e, lane, 0, g + 8 * (r & 1),
                        per_reg * q + e + 4 * per_reg * (r >> 1));
          if (r < 2)
            expect_coords(&b, r * per_reg + e, lane, 0, per_reg * q + e + 4 * per_reg * r, g);
        }
    assert_true(ir_layout_covers(&a, tile(TL_F32, 16, k), 1));
    assert_true(ir_layout_covers(&b, tile(TL_F32, k, 8), 1));
  }
}

static void test_odd_tiles_are_covered(void **state) {
  (void)state;
  static const int64_t shapes[][2] = {{64, 176}, {96, 80}, {1, 7}, {3, 48}, {128, 8}, {5, 5}, {16, 24}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int warps = 1; warps <= 8; warps *= 2)
      for (int vec = 1; vec <= 16; vec *= 2) {
        const ty_type *t = tile(TL_BF16, shapes[i][0], shapes[i][1]);
        ir_layout l = ir_layout_blocked(t, warps, vec);
        assert_true(ir_layout_covers(&l, t, warps));
      }
  ir_layout acc = ir_layout_mma_acc(tile(TL_F32, 64, 176), 4, 2);
  assert_true(ir_layout_covers(&acc, tile(TL_F32, 64, 176), 8));
}

static void test_replication(void **state) {
  (void)state;
  ir_layout acc = ir_layout_mma_acc(tile(TL_F32, 64, 64), 2, 2);
  assert_false(ir_layout_replicated(&acc));
  ir_layout rows = ir_layout_drop_dim(&acc, 1);
  assert_int_equal(rows.rank, 1);
  assert_true(ir_layout_replicated(&rows));
  assert_int_equal(ir_layout_regs(&rows), 4); // rows g and g + 8, two m16 atoms
  ir_layout small = ir_layout_blocked(tile(TL_F32, 1, 7), 1, 4);
  assert_true(ir_layout_replicated(&small));
}

// Each swizzle must send 8 consecutive rows' same 16-byte chunk to different bank groups, keep
// chunks whole and be a permutation.
static void test_shared_offsets(void **state) {
  (void)state;
  for (int width = 32; width <= 128; width *= 2) {
    const ty_type *buf = ty_buf(&types, TL_BF16, 3, (int64_t[]){2, 64, 128});
    const ty_type *t = tile(TL_BF16, 64, 128);
    ir_layout l = ir_layout_shared(t, width, 0);
    assert_int_equal(ir_shared_bytes(&l, buf), 64 * 256);
    bool *seen = calloc(64 * 256, 1);
    for (int64_t r = 0; r < 64; r++)
      for (int64_t c = 0; c < 128; c++) {
        int64_t off = ir_shared_offset(&l, buf, (int64_t[]){r, c});
        assert_true(off >= 0 && off < 64 * 256 && off % 2 == 0);
        assert_false(seen[off]);
        seen[off] = true;
        assert_int_equal(off % 16, c * 2 % 16);
      }
    free(seen);
  }
  ir_layout l = ir_layout_shared(tile(TL_F8E4M3, 64, 128), 128, 0);
  const ty_type *buf = ty_buf(&types, TL_F8E4M3, 3, (int64_t[]){2, 64, 128});
  // Written out by hand: row 9, byte 37: line 9 * 128, chunk 2 ^ (9 & 7) = 3, byte 5 of the chunk.
  assert_int_equal(ir_shared_offset(&l, buf, (int64_t[]){9, 37}), 9 * 128 + 3 * 16 + 5);
  ir_layout padded = ir_layout_shared(tile(TL_F8E4M3, 64, 128), 0, 16);
  assert_int_equal(ir_shared_offset(&padded, buf, (int64_t[]){2, 3}), 2 * 144 + 3);
}

static void identity(const int64_t *dst, int64_t *src, void *user) {
  (void)user;
  src[0] = dst[0], src[1] = dst[1];
}

static void drop_column(const int64_t *dst, int64_t *src, void *user) {
  (void)user;
  src[0] = dst[0];
}

// Two accumulator atoms side by side are one A operand of the next product, register for register.
static void test_accumulator_becomes_operand(void **state) {
  (void)state;
  ir_layout acc = ir_layout_mma_acc(tile(TL_F32, 16, 32), 1, 1);
  ir_layout a = ir_layout_mma_a(tile(TL_BF16, 16, 32), 16, 1, 1);
  int map[64];
  assert_true(ir_layout_rename(&a, &acc, 1, identity, NULL, map));
  ir_layout blocked = ir_layout_blocked(tile(TL_F32, 16, 32), 1, 4);
  assert_false(ir_layout_rename(&a, &blocked, 1, identity, NULL, map));
  ir_layout rows = ir_layout_drop_dim(&acc, 1);
  assert_true(ir_layout_rename(&acc, &rows, 1, drop_column, NULL, map));
}

static void test_text_round_trip(void **state) {
  (void)state;
  ir_layout all[] = {ir_layout_mma_acc(tile(TL_F32, 64, 176), 2, 2),
                     ir_layout_mma_b(tile(TL_BF16, 64, 176), 16, 2, 2),
                     ir_layout_blocked(tile(TL_BF16, 96, 80), 4, 8),
                     ir_layout_shared(tile(TL_BF16, 64, 64), 128, 0),
                     ir_layout_shared(tile(TL_BF16, 64, 40), 0, 16)};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    tl_buf text = {0};
    tl_buf_printf(&text, "L%zu = ", i);
    ir_layout_print(&all[i], &text);
    const char *at = text.data;
    int number = -1;
    ir_layout back;
    assert_true(ir_layout_read(&at, &number, &back));
    assert_int_equal(number, i);
    assert_true(ir_layout_equal(&all[i], &back));
    assert_int_equal(*at, 0);
    tl_buf_free(&text);
  }
}

int main(void) {
  ty_init(&types, &arena);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_accumulator),
      cmocka_unit_test(test_operands),
      cmocka_unit_test(test_odd_tiles_are_covered),
      cmocka_unit_test(test_replication),
      cmocka_unit_test(test_shared_offsets),
      cmocka_unit_test(test_accumulator_becomes_operand),
      cmocka_unit_test(test_text_round_trip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
