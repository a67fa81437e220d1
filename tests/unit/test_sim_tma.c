// Tensor maps and tiles against a model written element by element: loads, stores and reductions
// of random maps of every rank, type and swizzle, and what the driver would refuse.
#include "runtime/sim/sim_api.h"
#include "runtime/sim/tma.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { TILE = 32768, TENSOR = 1 << 16, SHARED = 1024 }; // SHARED: where the tile starts

static uint64_t rng = 7;
static uint32_t draw(uint32_t n) {
  rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(rng >> 33) % n;
}

// --- the swizzles, bit by bit -------------------------------------------------------------------
static uint64_t flip(uint64_t address, int to, int from) {
  return address ^ ((address >> from & 1) << to);
}

static uint64_t model_swizzle(int mode, uint64_t a) {
  switch (mode) {
  case SIM_TMA_32B:
    return flip(a, 4, 7);
  case SIM_TMA_64B:
    return flip(flip(a, 4, 7), 5, 8);
  case SIM_TMA_128B:
    return flip(flip(flip(a, 4, 7), 5, 8), 6, 9);
  case SIM_TMA_128B_ATOM_32B:
    return flip(flip(a, 5, 7), 6, 8);
  case SIM_TMA_128B_ATOM_32B_FLIP_8B:
    return flip(flip(flip(a, 5, 7), 6, 8), 3, 7);
  case SIM_TMA_128B_ATOM_64B:
    return flip(a, 6, 7);
  default:
    return a;
  }
}

static void test_swizzles(void **state) {
  (void)state;
  for (int mode = 0; mode < SIM_TMA_SWIZZLES; mode++)
    for (uint64_t a = 0; a < 4096; a++)
      assert_int_equal(sim_tma_swizzled((uint8_t)mode, a), model_swizzle(mode, a));
  // examples of the manual
  assert_int_equal(sim_tma_swizzled(SIM_TMA_32B, 195), 211);
  assert_int_equal(sim_tma_swizzled(SIM_TMA_64B, 340), 372);
  assert_int_equal(sim_tma_swizzled(SIM_TMA_128B, 424), 408);
}

// --- what is refused ----------------------------------------------------------------------------
static sim_tensor_map plain_map(void) {
  sim_tensor_map map = {.address = 4096,
                        .rank = 2,
                        .type = SIM_TMA_BF16,
                        .swizzle = SIM_TMA_128B,
                        .dims = {256, 64},
                        .strides = {0, 512},
                        .box = {64, 8},
                        .elem_strides = {1, 1}};
  return map;
}

static void test_refused(void **state) {
  (void)state;
  sim_tensor_map m = plain_map();
  assert_null(sim_tensor_map_check(&m));
#define REFUSED(change)                                                                            \
  do {                                                                                             \
    m = plain_map();                                                                               \
    change;                                                                                        \
    assert_non_null(sim_tensor_map_check(&m));                                                     \
  } while (0)
  REFUSED(m.rank = 0);
  REFUSED(m.rank = 6);
  REFUSED(m.address = 8);
  REFUSED(m.box[1] = 257);
  REFUSED(m.box[1] = 0);
  REFUSED(m.box[0] = 65);      // 130 bytes
  REFUSED(m.box[0] = 72);      // wider than the swizzle
  REFUSED(m.strides[1] = 520); // no multiple of 16
  REFUSED(m.strides[1] = UINT64_C(1) << 40);
  REFUSED(m.dims[0] = 0);
  REFUSED(m.dims[1] = (UINT64_C(1) << 32) + 1);
  REFUSED(m.elem_strides[1] = 9);
  REFUSED(m.type = SIM_TMA_TYPES);
  REFUSED((m.type = SIM_TMA_U16, m.nan_fill = true));
  REFUSED((m.type = SIM_TMA_U4_ALIGN16B, m.box[0] = 64));
#undef REFUSED
  sim_tensor_map back;
  uint8_t bytes[SIM_TENSOR_MAP_BYTES];
  m = plain_map();
  m.dims[1] = UINT64_C(1) << 32;
  m.nan_fill = true;
  sim_tensor_map_encode(&m, bytes);
  assert_true(sim_tensor_map_decode(bytes, &back));
  uint8_t again[SIM_TENSOR_MAP_BYTES]; // not the structs: they have padding
  sim_tensor_map_encode(&back, again);
  assert_memory_equal(bytes, again, sizeof bytes);
  assert_true(back.nan_fill && back.dims[1] == m.dims[1] && back.type == m.type);
  bytes[9] ^= 1;
  assert_false(sim_tensor_map_decode(bytes, &back));
}

// --- tiles on the machine -----------------------------------------------------------------------
static const char kernel[] =
    ".version 9.0\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .align 64 .b8 map[128], .param .u64 image, .param .u32 bytes,\n"
    "  .param .s32 c0, .param .s32 c1, .param .s32 c2, .param .s32 c3, .param .s32 c4)\n"
    "{\n"
    "  .reg .pred %%p, %%done;\n"
    "  .reg .b32 %%t, %%s, %%b, %%v, %%n, %%c<5>;\n"
    "  .reg .b64 %%m, %%g, %%off, %%x;\n"
    "  .shared .align 1024 .b8 tile[32768];\n"
    "  .shared .align 8 .b64 bar;\n"
    "  mov.b64 %%m, map;\n  cvta.param.u64 %%m, %%m;\n"
    "  ld.param.u64 %%g, [image];\n  ld.param.u32 %%n, [bytes];\n"
    "  ld.param.s32 %%c0, [c0];\n  ld.param.s32 %%c1, [c1];\n  ld.param.s32 %%c2, [c2];\n"
    "  ld.param.s32 %%c3, [c3];\n  ld.param.s32 %%c4, [c4];\n"
    "  mov.u32 %%s, tile;\n  mov.u32 %%b, bar;\n  mov.u32 %%t, %%tid.x;\n"
    "  setp.eq.u32 %%p, %%t, 0;\n"
    "  mul.lo.u32 %%t, %%t, 4;\n  cvt.u64.u32 %%off, %%t;\n"
    "  add.s64 %%g, %%g, %%off;\n  add.u32 %%t, %%t, %%s;\n  add.u32 %%v, %%s, 32768;\n"
    "%s"
    "  ret;\n}\n";

static const char load_body[] =
    "  @%p mbarrier.init.shared::cta.b64 [%b], 1;\n"
    "  bar.sync 0;\n"
    "  @%p mbarrier.arrive.expect_tx.shared::cta.b64 %x, [%b], %n;\n"
    "  @%p cp.async.bulk.tensor.RANKd.shared::cta.global.mbarrier::complete_tx::bytes"
    " [%s], [%m, {COORDS}], [%b];\n"
    "WAIT:\n"
    "  mbarrier.try_wait.parity.shared::cta.b64 %done, [%b], 0;\n"
    "  @!%done bra WAIT;\n"
    "COPY:\n"
    "  ld.shared.b32 %n, [%t];\n  st.global.b32 [%g], %n;\n"
    "  add.u32 %t, %t, 1024;\n  add.s64 %g, %g, 1024;\n"
    "  setp.lt.u32 %p, %t, %v;\n  @%p bra COPY;\n";

static const char store_body[] =
    "COPY:\n"
    "  ld.global.b32 %n, [%g];\n  st.shared.b32 [%t], %n;\n"
    "  add.u32 %t, %t, 1024;\n  add.s64 %g, %g, 1024;\n"
    "  setp.lt.u32 %done, %t, %v;\n  @%done bra COPY;\n"
    "  fence.proxy.async.shared::cta;\n"
    "  bar.sync 0;\n"
    "  @%p REDUCE.async.bulk.tensor.RANKd.global.shared::cta<op>.bulk_group [%m, {COORDS}], [%s];\n"
    "  @%p cp.async.bulk.commit_group;\n"
    "  @%p cp.async.bulk.wait_group 0;\n";

static char *replaced(char *text, const char *word, const char *with) {
  char *at = strstr(text, word), *out = malloc(strlen(text) + strlen(with) + 1);
  assert_non_null(at);
  sprintf(out, "%.*s%s%s", (int)(at - text), text, with, at + strlen(word));
  free(text);
  return out;
}

static char *kernel_text(bool store, int rank, const char *op) {
  char digit[2] = {(char)('0' + rank), 0}, coords[40] = "%c0", out[8192];
  for (int i = 1; i < rank; i++)
    sprintf(coords + strlen(coords), ", %%c%d", i);
  char *body = strdup(store ? store_body : load_body);
  body = replaced(body, "RANK", digit);
  body = replaced(body, "COORDS", coords);
  if (store) {
    body = replaced(body, "REDUCE", op ? "cp.reduce" : "cp");
    body = replaced(body, "<op>", op ? op : "");
  }
  snprintf(out, sizeof out, kernel, body);
  free(body);
  return strdup(out);
}

static const int type_bits[SIM_TMA_TYPES] = {8,  16, 32, 32, 64, 64, 16, 32,
                                             64, 16, 32, 32, 32, 4,  4,  6};
static const int spans[SIM_TMA_SWIZZLES] = {0, 32, 64, 128, 128, 128, 128};

typedef struct tile_case {
  sim_tensor_map map;
  int32_t coords[5];
  int size, pitch;
  uint32_t count[5]; // elements copied
  uint64_t rows, tx;
} tile_case;

static bool random_case(tile_case *c, bool store, uint64_t address) {
  static const int simple[] = {SIM_TMA_U8,  SIM_TMA_U16, SIM_TMA_S32,  SIM_TMA_U64,    SIM_TMA_F16,
                               SIM_TMA_F32, SIM_TMA_F64, SIM_TMA_BF16, SIM_TMA_F32_FTZ};
  memset(c, 0, sizeof *c);
  sim_tensor_map *m = &c->map;
  m->type = (uint8_t)simple[draw(9)];
  m->rank = (uint8_t)(1 + draw(5));
  m->swizzle = (uint8_t)draw(SIM_TMA_SWIZZLES);
  m->nan_fill = m->type >= SIM_TMA_F16 && draw(2);
  m->address = address;
  c->size = type_bits[m->type] / 8;
  uint64_t stride = 0;
  c->rows = 1;
  for (int i = 0; i < m->rank; i++) {
    int unit = 16 / c->size;
    m->dims[i] = i ? 1 + draw(5) : 1 + draw(40);
    m->elem_strides[i] = draw(3) ? 1 : 1 + draw(3);
    uint32_t inner = (uint32_t)(spans[m->swizzle] ? spans[m->swizzle] : 128) / 16;
    m->box[i] = i ? 1 + draw(5) : (uint32_t)unit * (1 + draw(inner));
    if (m->box[i] > 256)
      return false;
    m->strides[i] = i ? stride : 0;
    stride = i ? stride * m->dims[i] : (m->dims[0] * (uint64_t)c->size + 31) / 16 * 16;
    c->coords[i] = store ? (int32_t)draw(3) : (int32_t)draw(7) - 3;
    if (i == 0)
      c->coords[i] *= unit;
    c->count[i] = i ? (m->box[i] + m->elem_strides[i] - 1) / m->elem_strides[i] : m->box[0];
    if (i)
      c->rows *= c->count[i];
  }
  c->pitch = spans[m->swizzle] ? spans[m->swizzle] : (int)m->box[0] * c->size;
  c->tx = c->rows * m->box[0] * (uint64_t)c->size;
  return c->rows * (uint64_t)c->pitch <= TILE && stride <= TENSOR && !sim_tensor_map_check(m);
}

// Calls visit for every element: its place in the tile's image, and in the tensor (-1: outside).
typedef void (*visit_fn)(const tile_case *c, uint64_t in_image, int64_t in_tensor, void *ctx);
static void for_elements(const tile_case *c, bool store, visit_fn visit, void *ctx) {
  const sim_tensor_map *m = &c->map;
  int64_t dim0 = (int64_t)m->dims[0];
  if (store)
    dim0 = (dim0 * c->size + 15) / 16 * 16 / c->size;
  for (uint64_t row = 0; row < c->rows; row++)
    for (uint32_t x = 0; x < m->box[0]; x++) {
      int64_t c0 = (int64_t)c->coords[0] + x, at = c0 * c->size;
      bool inside = c0 >= 0 && c0 < dim0;
      uint64_t rest = row;
      for (int i = 1; i < m->rank; i++) {
        int64_t ci = (int64_t)c->coords[i] + (int64_t)(rest % c->count[i]) * m->elem_strides[i];
        rest /= c->count[i];
        inside &= ci >= 0 && ci < (int64_t)m->dims[i];
        at += ci * (int64_t)m->strides[i];
      }
      uint64_t linear = SHARED + row * (uint64_t)c->pitch + x * (uint64_t)c->size;
      visit(c, model_swizzle(m->swizzle, linear) - SHARED, inside ? at : -1, ctx);
    }
}

typedef struct images {
  const uint8_t *tensor;
  uint8_t *out;
  const uint8_t *source;
} images;

static void visit_load(const tile_case *c, uint64_t in_image, int64_t in_tensor, void *ctx) {
  images *im = ctx;
  for (int b = 0; b < c->size; b++)
    im->out[in_image + (uint64_t)b] = in_tensor >= 0     ? im->tensor[in_tensor + b]
                                      : !c->map.nan_fill ? 0
                                      : b & 1            ? 0x7F
                                                         : 0xF7;
}

static void visit_store(const tile_case *c, uint64_t in_image, int64_t in_tensor, void *ctx) {
  images *im = ctx;
  if (in_tensor >= 0)
    memcpy(im->out + in_tensor, im->source + in_image, (size_t)c->size);
}

static void visit_add(const tile_case *c, uint64_t in_image, int64_t in_tensor, void *ctx) {
  images *im = ctx;
  uint64_t a = 0, b = 0;
  if (in_tensor < 0)
    return;
  memcpy(&a, im->out + in_tensor, (size_t)c->size);
  memcpy(&b, im->source + in_image, (size_t)c->size);
  a += b;
  memcpy(im->out + in_tensor, &a, (size_t)c->size);
}

// Runs the kernel on a tensor and an image of the tile; both are read back.
static sim_verdict run_tile(const tile_case *c, bool store, const char *op, uint8_t *tensor,
                            uint8_t *image, char *error, size_t error_len) {
  sim_options options;
  sim_options_default(&options);
  options.check_uninit = false; // gaps of narrow rows are dumped too
  options.async = (sim_async)draw(3);
  options.seed = draw(100);
  sim_machine *machine = sim_create("sm_90a", &options);
  uint64_t t = sim_alloc(machine, 2 * TENSOR, "tensor"), i = sim_alloc(machine, TILE, "image");
  sim_write(machine, t, tensor, 2 * TENSOR);
  sim_write(machine, i, image, TILE);
  struct {
    uint8_t map[128];
    uint64_t image;
    uint32_t bytes;
    int32_t coords[5];
  } params;
  sim_tensor_map map = c->map;
  map.address = t + TENSOR / 2;
  sim_tensor_map_encode(&map, params.map);
  params.image = i;
  params.bytes = (uint32_t)c->tx;
  memcpy(params.coords, c->coords, sizeof params.coords);
  char *text = kernel_text(store, c->map.rank, op);
  sim_verdict verdict;
  sim_module *module = sim_load_ptx(machine, "tile.ptx", text, strlen(text), &verdict);
  if (module) {
    sim_launch_desc desc = {.entry = "k",
                            .grid = {1, 1, 1},
                            .block = {256, 1, 1},
                            .params = &params,
                            .params_bytes = sizeof params};
    verdict = sim_launch(module, &desc);
  }
  snprintf(error, error_len, "%s", sim_error(machine));
  sim_read(machine, t, tensor, 2 * TENSOR);
  sim_read(machine, i, image, TILE);
  sim_unload(module);
  sim_destroy(machine);
  free(text);
  return verdict;
}

static uint8_t tensor[2 * TENSOR], image[TILE], want[2 * TENSOR], want_image[TILE];

static void fill_random(uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++)
    bytes[i] = (uint8_t)draw(256);
}

static void test_loads(void **state) {
  (void)state;
  char error[2000];
  for (int n = 0; n < 150;) {
    tile_case c;
    if (!random_case(&c, false, 4096))
      continue;
    n++;
    fill_random(tensor, sizeof tensor);
    memset(image, 0xEE, sizeof image);
    // Bytes that the box does not cover keep what the machine poisoned them with: compare the rest.
    memset(want_image, 0, sizeof want_image);
    static uint8_t covered[TILE];
    images im = {tensor + TENSOR / 2, want_image, NULL};
    for_elements(&c, false, visit_load, &im);
    memset(covered, 0, sizeof covered);
    for (uint64_t row = 0; row < c.rows; row++)
      for (uint32_t x = 0; x < c.map.box[0] * (uint32_t)c.size; x++)
        covered[model_swizzle(c.map.swizzle, SHARED + row * (uint64_t)c.pitch + x) - SHARED] = 1;
    sim_verdict verdict = run_tile(&c, false, NULL, tensor, image, error, sizeof error);
    if (verdict != SIM_OK)
      print_error("%s\n", error);
    assert_int_equal(verdict, SIM_OK);
    for (size_t i = 0; i < TILE; i++)
      if (covered[i])
        assert_int_equal(image[i], want_image[i]);
  }
}

static void stores(const char *op, visit_fn visit, int cases) {
  char error[2000];
  for (int n = 0; n < cases;) {
    tile_case c;
    if (!random_case(&c, true, 4096))
      continue;
    if (op && c.map.type != SIM_TMA_S32 && c.map.type != SIM_TMA_U64)
      continue;
    n++;
    c.map.nan_fill = false;
    fill_random(tensor, sizeof tensor);
    fill_random(image, sizeof image);
    memcpy(want, tensor, sizeof want);
    images im = {NULL, want + TENSOR / 2, image};
    for_elements(&c, true, visit, &im);
    sim_verdict verdict = run_tile(&c, true, op, tensor, image, error, sizeof error);
    if (verdict != SIM_OK)
      print_error("%s\n", error);
    assert_int_equal(verdict, SIM_OK);
    assert_memory_equal(tensor, want, sizeof want);
  }
}

static void test_stores(void **state) {
  (void)state;
  stores(NULL, visit_store, 150);
}
static void test_reductions(void **state) {
  (void)state;
  stores(".add", visit_add, 60);
}

// --- packed types -------------------------------------------------------------------------------
// Four- and six-bit elements: 16 of them fill 8 or 12 bytes of each 16 in shared memory.
static void test_padded(void **state) {
  (void)state;
  char error[2000];
  static const uint8_t swizzles[] = {SIM_TMA_PLAIN, SIM_TMA_128B, SIM_TMA_128B_ATOM_32B};
  for (int n = 0; n < 6; n++) {
    tile_case c = {0};
    bool six = n & 1;
    uint32_t unit = six ? 12 : 8;
    c.map = (sim_tensor_map){.rank = 2,
                             .address = 4096,
                             .type = six ? SIM_TMA_U6_ALIGN16B : SIM_TMA_U4_ALIGN16B,
                             .swizzle = swizzles[n / 2],
                             .dims = {256, 7},
                             .strides = {0, 224},
                             .box = {128, 5},
                             .elem_strides = {1, 1}};
    assert_null(sim_tensor_map_check(&c.map));
    c.coords[0] = 128;
    c.coords[1] = 3; // rows 3 .. 6 lie inside, row 7 does not
    c.tx = 5 * 8 * unit;
    fill_random(tensor, sizeof tensor);
    sim_verdict verdict = run_tile(&c, false, NULL, tensor, image, error, sizeof error);
    if (verdict != SIM_OK)
      print_error("%s\n", error);
    assert_int_equal(verdict, SIM_OK);
    for (uint32_t row = 0; row < 5; row++)
      for (uint32_t b = 0; b < 8 * unit; b++) {
        uint64_t at = SHARED + row * 128 + b / unit * 16 + b % unit;
        const uint8_t *from = tensor + TENSOR / 2 + (row + 3) * 224 + 8 * unit + b;
        assert_int_equal(image[model_swizzle(c.map.swizzle, at) - SHARED], row < 4 ? *from : 0);
      }
    c.coords[0] = 64;
    assert_int_equal(run_tile(&c, false, NULL, tensor, image, error, sizeof error), SIM_MISALIGNED);
  }
}

// --- starts the hardware refuses ----------------------------------------------------------------
static void test_bad_starts(void **state) {
  (void)state;
  char error[2000];
  tile_case c = {.map = plain_map(), .tx = 1024, .rows = 8, .size = 2, .pitch = 128};
  c.coords[0] = 4; // 8 bytes
  assert_int_equal(run_tile(&c, false, NULL, tensor, image, error, sizeof error), SIM_MISALIGNED);
  c.coords[0] = -8;
  assert_int_equal(run_tile(&c, false, NULL, tensor, image, error, sizeof error), SIM_OK);
  assert_int_equal(run_tile(&c, true, NULL, tensor, image, error, sizeof error), SIM_BAD_ADDRESS);
  c.coords[0] = 0;
  c.tx = 1008; // the barrier gets more bytes than it expects
  assert_int_equal(run_tile(&c, false, NULL, tensor, image, error, sizeof error), SIM_TX_OVERFLOW);
  c.tx = 1040; // it waits for bytes that never come
  assert_int_equal(run_tile(&c, false, NULL, tensor, image, error, sizeof error), SIM_DEADLOCK);
  assert_non_null(strstr(error, "16 bytes due"));
}

static void test_tf32(void **state) {
  (void)state;
  static const uint32_t in[] = {0x3F801000, 0x3F801001, 0x3F800FFF, 0x3F803000,
                                0x7F800000, 0x00001001, 0xFF7FFFFF, 0x7F800001};
  static const uint32_t out[] = {0x3F800000, 0x3F802000, 0x3F800000, 0x3F804000,
                                 0x7F800000, 0x00002000, 0xFF800000};
  uint32_t x[8];
  memcpy(x, in, sizeof x);
  sim_tma_convert(SIM_TMA_TF32, (uint8_t *)x, sizeof x);
  assert_memory_equal(x, out, sizeof out);
  assert_true((x[7] & 0x7FFFFFFF) > 0x7F800000); // a NaN stays one
  memcpy(x, in, sizeof x);
  sim_tma_convert(SIM_TMA_F32_FTZ, (uint8_t *)x, sizeof x);
  assert_memory_equal(x, in, sizeof in); // nothing is flushed
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_swizzles),   cmocka_unit_test(test_refused),
      cmocka_unit_test(test_loads),      cmocka_unit_test(test_stores),
      cmocka_unit_test(test_reductions), cmocka_unit_test(test_padded),
      cmocka_unit_test(test_bad_starts), cmocka_unit_test(test_tf32),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
