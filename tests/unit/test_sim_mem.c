// Simulated memory: what whole-warp accesses move, and each fault they must report.
#include "runtime/sim/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const sim_access word = {.elem_bytes = 4, .elems = 1}, quad = {.elem_bytes = 4, .elems = 4};

typedef struct fixture {
  sim_mem *mem;
  sim_region shared, local, param;
  sim_fault fault;
  sim_mem_view view;
  uint64_t addr[32];
  uint32_t plane[8][32];
  uint32_t *out[8];
  const uint32_t *in[8];
} fixture;

static int setup(void **state) {
  static fixture f;
  memset(&f, 0, sizeof f);
  f.mem = sim_mem_new();
  sim_region_init(&f.shared, SIM_SPACE_SHARED, SIM_SHARED_FIRST, 4096, "smem");
  sim_region_init(&f.local, SIM_SPACE_LOCAL, SIM_LOCAL_FIRST, 32 * 64, "local");
  sim_region_init(&f.param, SIM_SPACE_PARAM, SIM_PARAM_FIRST, 24, "parameters");
  f.view = (sim_mem_view){.global = f.mem,
                          .shared = &f.shared,
                          .local = &f.local,
                          .local_stride = 64,
                          .param = &f.param,
                          .fault = &f.fault,
                          .line = 7,
                          .check_bounds = true,
                          .check_uninit = true};
  for (int i = 0; i < 8; i++)
    f.out[i] = f.plane[i], f.in[i] = f.plane[i];
  *state = &f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  sim_mem_free(f->mem);
  sim_region_free(&f->shared);
  sim_region_free(&f->local);
  sim_region_free(&f->param);
  return 0;
}

static void stride(fixture *f, uint64_t base, uint64_t step) {
  for (int i = 0; i < 32; i++)
    f->addr[i] = base + step * (uint64_t)i;
}

static void expect(fixture *f, sim_verdict verdict, int lane, const char *part) {
  assert_int_equal(f->fault.verdict, verdict);
  assert_int_equal(f->fault.lane, lane);
  assert_int_equal(f->fault.line, 7);
  if (!strstr(f->fault.text, part))
    fail_msg("'%s' not in: %s", part, f->fault.text);
  f->fault.verdict = SIM_OK;
}

static uint64_t global_words(fixture *f, uint32_t count, const char *name) {
  uint64_t at = sim_mem_alloc(f->mem, count * 4, name);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t value = 1000 + i;
    assert_true(sim_mem_host_write(f->mem, at + 4 * i, &value, 4));
  }
  return at;
}

static void test_moves_every_width(void **state) {
  fixture *f = *state;
  static const sim_access widths[] = {{1, 1, 0, 0},  {2, 1, 0, 0}, {4, 1, 0, 0}, {8, 1, 0, 0},
                                      {16, 1, 0, 0}, {1, 4, 0, 0}, {2, 2, 0, 0}, {2, 4, 0, 0},
                                      {4, 2, 0, 0},  {4, 4, 0, 0}, {8, 2, 0, 0}, {8, 4, 0, 0},
                                      {4, 8, 0, 0}};
  static const uint32_t masks[] = {UINT32_MAX, 0x80000001, 0x00F00F00};
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
    for (size_t m = 0; m < 3; m++)
      for (int pattern = 0; pattern < 2; pattern++) {
        sim_access access = widths[w];
        uint32_t bytes = (uint32_t)access.elem_bytes * access.elems;
        uint32_t planes = access.elem_bytes < 4 ? access.elems : bytes / 4;
        uint32_t keep = access.elem_bytes == 1   ? 0xFF
                        : access.elem_bytes == 2 ? 0xFFFF
                                                 : UINT32_MAX;
        sim_region_reset(&f->shared, 1);
        for (int i = 0; i < 32; i++) // in order, then scattered
          f->addr[i] = SIM_SHARED_FIRST + (uint64_t)(pattern ? i * 13 % 32 : i) * bytes;
        for (int p = 0; p < 8; p++)
          for (int i = 0; i < 32; i++)
            f->plane[p][i] = 0xA0000000u + 0x01010101u * (uint32_t)(p * 32 + i);
        assert_true(sim_mem_store(&f->view, SIM_SPACE_SHARED, f->addr, masks[m], access, f->in));
        uint32_t got[8][32], *out[8];
        memset(got, 0x55, sizeof got);
        for (int p = 0; p < 8; p++)
          out[p] = got[p];
        assert_true(sim_mem_load(&f->view, SIM_SPACE_SHARED, f->addr, masks[m], access, out));
        for (uint32_t p = 0; p < 8; p++)
          for (int i = 0; i < 32; i++) {
            bool moved = p < planes && (masks[m] >> i & 1);
            assert_int_equal(got[p][i], moved ? f->plane[p][i] & keep : 0x55555555);
          }
        // the byte image: first element of the lowest lane, little endian
        int lane = __builtin_ctz(masks[m]);
        const uint8_t *image = f->shared.data + (f->addr[lane] - SIM_SHARED_FIRST);
        assert_int_equal(image[0], f->plane[0][lane] & 0xFF);
      }
}

static void test_sink_and_generic(void **state) {
  fixture *f = *state;
  uint64_t at = global_words(f, 128, "A");
  stride(f, at, 16);
  uint32_t *some[4] = {f->plane[0], NULL, f->plane[2], NULL};
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GENERIC, f->addr, UINT32_MAX, quad, some));
  assert_int_equal(f->plane[0][3], 1012);
  assert_int_equal(f->plane[2][31], 1126);
  assert_int_equal(f->plane[1][0], 0);
  // lanes of one instruction in two spaces and two allocations
  uint64_t other = global_words(f, 4, "B");
  uint32_t value = 77;
  sim_region_write(&f->shared, 8, &value, 4);
  stride(f, at, 4);
  f->addr[5] = SIM_WINDOW_SHARED + SIM_SHARED_FIRST + 8;
  f->addr[9] = other + 12;
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GENERIC, f->addr, UINT32_MAX, word, f->out));
  assert_int_equal(f->plane[0][5], 77);
  assert_int_equal(f->plane[0][9], 1003);
  assert_int_equal(f->plane[0][31], 1031);
  uint64_t generic = SIM_WINDOW_LOCAL + 0x123;
  assert_int_equal(sim_space_of_generic(&generic), SIM_SPACE_LOCAL);
  assert_int_equal(generic, 0x123);
}

static void test_local_is_per_lane(void **state) {
  fixture *f = *state;
  stride(f, SIM_LOCAL_FIRST + 8, 0);
  for (int i = 0; i < 32; i++)
    f->plane[0][i] = (uint32_t)(i * i);
  assert_true(sim_mem_store(&f->view, SIM_SPACE_LOCAL, f->addr, UINT32_MAX, word, f->in));
  stride(f, SIM_WINDOW_LOCAL + SIM_LOCAL_FIRST + 8, 0);
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GENERIC, f->addr, UINT32_MAX, word, &f->out[1]));
  assert_int_equal(f->plane[1][31], 961);
  stride(f, SIM_LOCAL_FIRST + 64, 0);
  assert_false(sim_mem_load(&f->view, SIM_SPACE_LOCAL, f->addr, 2, word, f->out));
  expect(f, SIM_BAD_ADDRESS, 1, "0 bytes past the end of 'local' (64 bytes");
}

static void test_bounds(void **state) {
  fixture *f = *state;
  uint64_t at = global_words(f, 32, "A");
  stride(f, at, 4);
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  f->addr[17] = at + 128;
  assert_false(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  expect(f, SIM_BAD_ADDRESS, 17, "0 bytes past the end of 'A' (128 bytes");
  f->addr[17] = at + 112 + 8; // aligned to 8, straddles the end
  sim_access half = {.elem_bytes = 8, .elems = 2};
  f->addr[0] = at + 112;
  assert_false(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, 1 << 17, half, f->out));
  expect(f, SIM_MISALIGNED, 17, "not a multiple of 16");
  stride(f, at - 4, 4);
  assert_false(sim_mem_store(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->in));
  expect(f, SIM_BAD_ADDRESS, 0, "no allocation");
  stride(f, 0, 4);
  assert_false(sim_mem_load(&f->view, SIM_SPACE_GENERIC, f->addr, 1, word, f->out));
  expect(f, SIM_BAD_ADDRESS, 0, "null pointer");
  stride(f, SIM_SHARED_FIRST + 4096 - 8, 0);
  f->addr[2] = SIM_SHARED_FIRST + 4096;
  assert_false(sim_mem_store(&f->view, SIM_SPACE_SHARED, f->addr, 4, word, f->in));
  expect(f, SIM_BAD_ADDRESS, 2, "past the end of 'smem'");
  stride(f, 0, 4); // the reserved kilobyte
  assert_false(sim_mem_load(&f->view, SIM_SPACE_SHARED, f->addr, 1, word, f->out));
  expect(f, SIM_BAD_ADDRESS, 0, "before 'smem'");
  uint64_t other = global_words(f, 32, "B");
  assert_true(other >= at + 128 + 65536); // a gap, so that overruns hit nothing
  assert_int_equal(other % 256, 0);
}

static void test_bounds_unchecked(void **state) {
  fixture *f = *state;
  uint64_t at = global_words(f, 31, "A");
  f->view.check_bounds = false;
  stride(f, at, 4);
  memset(f->plane, 0x55, sizeof f->plane);
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  assert_int_equal(f->plane[0][30], 1030);
  assert_int_equal(f->plane[0][31], 0);
  assert_true(sim_mem_store(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->in));
}

static void test_freed(void **state) {
  fixture *f = *state;
  uint64_t at = global_words(f, 32, "A");
  stride(f, at, 4);
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  assert_false(sim_mem_release(f->mem, at + 4));
  assert_true(sim_mem_release(f->mem, at));
  assert_false(sim_mem_release(f->mem, at));
  assert_false(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  expect(f, SIM_BAD_ADDRESS, 0, "'A' + 0x0 was freed");
  assert_false(sim_mem_host_read(f->mem, at, f->plane, 4));
}

static void test_uninit(void **state) {
  fixture *f = *state;
  uint64_t at = sim_mem_alloc(f->mem, 256, "A");
  stride(f, at, 4);
  assert_false(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  expect(f, SIM_UNINIT_READ, 0, "'A' + 0x0 has never been written");
  assert_true(sim_mem_store(&f->view, SIM_SPACE_GLOBAL, f->addr, ~(1u << 20), word, f->in));
  assert_false(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  expect(f, SIM_UNINIT_READ, 20, "'A' + 0x50 has never been written");
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, ~(1u << 20), word, f->out));
  // single bytes: three of four written
  sim_access byte = {.elem_bytes = 1, .elems = 1};
  stride(f, at + 0x50, 1);
  assert_true(sim_mem_store(&f->view, SIM_SPACE_GLOBAL, f->addr, 7, byte, f->in));
  stride(f, at + 0x50, 0);
  assert_false(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, 1, word, f->out));
  expect(f, SIM_UNINIT_READ, 0, "'A' + 0x53 has never been written (byte 3");
  f->view.check_uninit = false;
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, 1, word, f->out));
  f->view.check_uninit = true;
  // the host writes all, then poisons one byte
  uint8_t all[256] = {0};
  assert_true(sim_mem_host_write(f->mem, at, all, 256));
  stride(f, at, 4);
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  assert_true(sim_mem_host_poison(f->mem, at + 9, all, 1));
  assert_false(sim_mem_load(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, f->out));
  expect(f, SIM_UNINIT_READ, 2, "'A' + 0x9 has");
}

static void test_param_is_read_only(void **state) {
  fixture *f = *state;
  uint64_t pointer = 0x1122334455667788;
  sim_region_write(&f->param, 8, &pointer, 8);
  sim_access wide = {.elem_bytes = 8, .elems = 1};
  stride(f, SIM_WINDOW_PARAM + SIM_PARAM_FIRST + 8, 0);
  assert_true(sim_mem_load(&f->view, SIM_SPACE_GENERIC, f->addr, UINT32_MAX, wide, f->out));
  assert_int_equal(f->plane[1][31], 0x11223344);
  assert_false(sim_mem_store(&f->view, SIM_SPACE_GENERIC, f->addr, 1, wide, f->in));
  expect(f, SIM_BAD_ADDRESS, 0, "parameter memory is read-only");
}

static void test_atomic(void **state) {
  fixture *f = *state;
  uint64_t at = global_words(f, 4, "A");
  uint8_t *host[32];
  uint32_t in_shared = 1;
  stride(f, at + 8, 0);
  assert_true(
      sim_mem_atomic(&f->view, SIM_SPACE_GLOBAL, f->addr, UINT32_MAX, word, host, &in_shared));
  assert_int_equal(in_shared, 0);
  for (int i = 0; i < 32; i++)
    ++*(uint32_t *)(void *)host[i];
  uint32_t value;
  assert_true(sim_mem_host_read(f->mem, at + 8, &value, 4));
  assert_int_equal(value, 1034);
  stride(f, SIM_SHARED_FIRST, 4);
  assert_false(sim_mem_atomic(&f->view, SIM_SPACE_SHARED, f->addr, 6, word, host, &in_shared));
  expect(f, SIM_UNINIT_READ, 1, "'smem'");
  stride(f, at + 2, 0);
  assert_false(sim_mem_atomic(&f->view, SIM_SPACE_GLOBAL, f->addr, 1, word, host, NULL));
  expect(f, SIM_MISALIGNED, 0, "multiple of 4");
}

static void test_cp_async(void **state) {
  fixture *f = *state;
  uint64_t at = global_words(f, 128, "A"), dst[32];
  uint32_t size[32];
  stride(f, at, 16);
  for (int i = 0; i < 32; i++) {
    dst[i] = SIM_SHARED_FIRST + 16 * (uint64_t)i;
    size[i] = 16;
  }
  size[3] = 4, size[4] = 0;
  f->addr[4] = 0; // not read
  assert_true(sim_mem_copy_issue(&f->view, dst, f->addr, UINT32_MAX, 16, size));
  assert_int_equal(f->shared.init[0], 0); // nothing lands at issue
  assert_true(sim_mem_copy_land(&f->view, dst, f->addr, UINT32_MAX, 16, size));
  assert_true(sim_mem_load(&f->view, SIM_SPACE_SHARED, dst, UINT32_MAX, quad, f->out));
  assert_int_equal(f->plane[3][2], 1011);
  assert_int_equal(f->plane[0][3], 1012);
  assert_int_equal(f->plane[1][3], 0);
  assert_int_equal(f->plane[0][4], 0);
  // init bits travel: the last word of the source has never been written
  uint64_t part = sim_mem_alloc(f->mem, 16, "B");
  uint32_t words[3] = {1, 2, 3};
  assert_true(sim_mem_host_write(f->mem, part, words, 12));
  f->addr[0] = part;
  assert_true(sim_mem_copy_issue(&f->view, dst, f->addr, 1, 16, NULL));
  assert_true(sim_mem_copy_land(&f->view, dst, f->addr, 1, 16, NULL));
  assert_false(sim_mem_load(&f->view, SIM_SPACE_SHARED, dst, 1, quad, f->out));
  expect(f, SIM_UNINIT_READ, 0, "'smem' + 0xc");
  // bounds and alignment at issue
  f->addr[0] = part + 16;
  assert_false(sim_mem_copy_issue(&f->view, dst, f->addr, 1, 16, NULL));
  expect(f, SIM_BAD_ADDRESS, 0, "asynchronous read");
  dst[0] += 8;
  assert_false(sim_mem_copy_issue(&f->view, dst, f->addr, 1, 16, NULL));
  expect(f, SIM_MISALIGNED, 0, "asynchronous write");
}

static void test_bank_conflicts(void **state) {
  fixture *f = *state;
  stride(f, 0x400, 4);
  assert_int_equal(sim_bank_conflicts(f->addr, UINT32_MAX, 4), 0);
  stride(f, 0x400, 128);
  assert_int_equal(sim_bank_conflicts(f->addr, UINT32_MAX, 4), 31);
  assert_int_equal(sim_bank_conflicts(f->addr, 1, 4), 0);
  stride(f, 0x400, 0); // broadcast
  assert_int_equal(sim_bank_conflicts(f->addr, UINT32_MAX, 4), 0);
  stride(f, 0x400, 8);
  assert_int_equal(sim_bank_conflicts(f->addr, UINT32_MAX, 4), 1);
  stride(f, 0x400, 16); // 16-byte accesses in order: four passes, no conflict
  assert_int_equal(sim_bank_conflicts(f->addr, UINT32_MAX, 16), 0);
  stride(f, 0x400, 128); // rows of 128 bytes without swizzle: 8 rows of a pass on the same banks
  assert_int_equal(sim_bank_conflicts(f->addr, UINT32_MAX, 16), 28);
  stride(f, 0x400, 144); // padded rows
  assert_int_equal(sim_bank_conflicts(f->addr, UINT32_MAX, 16), 0);
}

// --- matrix moves -------------------------------------------------------------------------------
// Shared byte i holds i % 251, so every byte of a small tile is told from its neighbours.
static void number_shared(fixture *f) {
  uint8_t image[4096];
  for (int i = 0; i < 4096; i++)
    image[i] = (uint8_t)(i % 251);
  sim_region_write(&f->shared, 0, image, sizeof image);
}

static uint32_t shared_byte(uint32_t row, uint32_t byte) { return (row * 48 + byte) % 251; }

static void test_ldmatrix_b16(void **state) {
  fixture *f = *state;
  number_shared(f);
  stride(f, SIM_SHARED_FIRST, 48); // row r at 48 r
  for (int count = 1; count <= 4; count *= 2)
    for (int trans = 0; trans < 2; trans++) {
      sim_matrix matrix = {SIM_M8N8_B16, (uint8_t)count, trans};
      assert_int_equal(sim_matrix_regs(matrix), count);
      assert_true(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, matrix, f->addr, f->out));
      for (int i = 0; i < count; i++)
        for (uint32_t lane = 0; lane < 32; lane++)
          for (uint32_t e = 0; e < 2; e++) {
            uint32_t g = lane / 4, q = lane % 4;
            uint32_t row = 8 * (uint32_t)i + (trans ? 2 * q + e : g), col = trans ? g : 2 * q + e;
            uint32_t want = shared_byte(row, 2 * col) | shared_byte(row, 2 * col + 1) << 8;
            assert_int_equal(f->plane[i][lane] >> 16 * e & 0xFFFF, want);
          }
    }
  f->addr[9] += 8;
  assert_true(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, (sim_matrix){SIM_M8N8_B16, 1, false},
                           f->addr,
                           f->out)); // lane 9 gives no address for x1
  assert_false(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, (sim_matrix){SIM_M8N8_B16, 2, false},
                            f->addr, f->out));
  expect(f, SIM_MISALIGNED, 9, "multiple of 16");
}

static void test_ldmatrix_b8(void **state) {
  fixture *f = *state;
  number_shared(f);
  stride(f, SIM_SHARED_FIRST, 48);
  sim_matrix matrix = {SIM_M16N16_B8, 2, true};
  assert_int_equal(sim_matrix_regs(matrix), 4);
  assert_true(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, matrix, f->addr, f->out));
  for (uint32_t r = 0; r < 4; r++)
    for (uint32_t lane = 0; lane < 32; lane++)
      for (uint32_t j = 0; j < 4; j++)
        assert_int_equal(f->plane[r][lane] >> 8 * j & 0xFF,
                         shared_byte(16 * (r / 2) + 4 * (lane % 4) + j, lane / 4 + 8 * (r % 2)));
}

// Packed elements by their bit position in the slot.
static uint32_t packed(uint32_t row, uint32_t element, uint32_t bits) {
  uint32_t value = 0;
  for (uint32_t b = 0; b < bits; b++) {
    uint32_t at = element * bits + b;
    value |= (shared_byte(row, at / 8) >> at % 8 & 1) << b;
  }
  return value;
}

static void test_ldmatrix_packed(void **state) {
  fixture *f = *state;
  number_shared(f);
  stride(f, SIM_SHARED_FIRST, 48);
  for (uint32_t bits = 4; bits <= 6; bits += 2) {
    sim_matrix rows = {bits == 4 ? SIM_M8N16_B4 : SIM_M8N16_B6, 4, false};
    assert_true(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, rows, f->addr, f->out));
    for (uint32_t i = 0; i < 4; i++)
      for (uint32_t lane = 0; lane < 32; lane++)
        for (uint32_t j = 0; j < 4; j++)
          assert_int_equal(f->plane[i][lane] >> 8 * j & 0xFF,
                           packed(8 * i + lane / 4, 4 * (lane % 4) + j, bits));
    sim_matrix columns = {bits == 4 ? SIM_M16N16_B4 : SIM_M16N16_B6, 1, true};
    assert_true(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, columns, f->addr, f->out));
    for (uint32_t i = 0; i < 2; i++)
      for (uint32_t lane = 0; lane < 32; lane++)
        for (uint32_t j = 0; j < 4; j++)
          assert_int_equal(f->plane[i][lane] >> 8 * j & 0xFF,
                           packed(4 * (lane % 4) + j, lane / 4 + 8 * i, bits));
  }
}

// Padding of a packed slot need not be initialised, its data must be.
static void test_ldmatrix_padding(void **state) {
  fixture *f = *state;
  uint8_t zeros[12] = {0};
  for (size_t row = 0; row < 8; row++)
    sim_region_write(&f->shared, 16 * row, zeros, 8);
  stride(f, SIM_SHARED_FIRST, 16);
  sim_matrix b4 = {SIM_M8N16_B4, 1, false}, b6 = {SIM_M8N16_B6, 1, false};
  assert_true(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, b4, f->addr, f->out));
  assert_false(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, b6, f->addr, f->out));
  expect(f, SIM_UNINIT_READ, 0, "'smem' + 0x8");
}

static void test_stmatrix_mirrors(void **state) {
  fixture *f = *state;
  static const sim_matrix forms[] = {{SIM_M8N8_B16, 1, false},
                                     {SIM_M8N8_B16, 2, true},
                                     {SIM_M8N8_B16, 4, false},
                                     {SIM_M8N8_B16, 4, true}};
  stride(f, SIM_SHARED_FIRST, 48);
  for (size_t t = 0; t < 4; t++) {
    for (int p = 0; p < 4; p++)
      for (int i = 0; i < 32; i++)
        f->plane[p][i] = 0x9E3779B9u * (uint32_t)(p * 32 + i + 1);
    assert_true(sim_stmatrix(&f->view, SIM_SPACE_SHARED, forms[t], f->addr, f->in));
    assert_true(sim_ldmatrix(&f->view, SIM_SPACE_SHARED, forms[t], f->addr, &f->out[4]));
    for (int p = 0; p < forms[t].count; p++)
      assert_memory_equal(f->plane[p], f->plane[4 + p], sizeof f->plane[p]);
  }
  sim_matrix b8 = {SIM_M16N8_B8, 4, true};
  assert_true(sim_stmatrix(&f->view, SIM_SPACE_SHARED, b8, f->addr, f->in));
  for (uint32_t i = 0; i < 4; i++)
    for (uint32_t lane = 0; lane < 32; lane++)
      for (uint32_t e = 0; e < 4; e++) {
        uint32_t row = 8 * i + 2 * (lane % 4) + e % 2, column = lane / 4 + 8 * (e / 2);
        assert_int_equal(f->shared.data[48 * row + column], f->plane[i][lane] >> 8 * e & 0xFF);
      }
}

static void test_movmatrix(void **state) {
  fixture *f = *state;
  for (uint32_t lane = 0; lane < 32; lane++) { // element (row, col) = 256 row + col
    uint32_t g = lane / 4, q = lane % 4;
    f->plane[0][lane] = (256 * g + 2 * q) | (256 * g + 2 * q + 1) << 16;
  }
  sim_movmatrix(f->plane[0], f->plane[0]);
  for (uint32_t lane = 0; lane < 32; lane++)
    for (uint32_t j = 0; j < 2; j++)
      assert_int_equal(f->plane[0][lane] >> 16 * j & 0xFFFF, 256 * (2 * (lane % 4) + j) + lane / 4);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      CASE(test_moves_every_width),
      CASE(test_sink_and_generic),
      CASE(test_local_is_per_lane),
      CASE(test_bounds),
      CASE(test_bounds_unchecked),
      CASE(test_freed),
      CASE(test_uninit),
      CASE(test_param_is_read_only),
      CASE(test_atomic),
      CASE(test_cp_async),
      CASE(test_bank_conflicts),
      CASE(test_ldmatrix_b16),
      CASE(test_ldmatrix_b8),
      CASE(test_ldmatrix_packed),
      CASE(test_ldmatrix_padding),
      CASE(test_stmatrix_mirrors),
      CASE(test_movmatrix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
