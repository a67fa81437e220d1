// The race detector: for every synchronisation edge one history that is ordered by it and the same
// history without it. Accesses go through mem.c, as the executor's do.
#include "runtime/sim/mem.h"
#include "runtime/sim/race.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { WARPS = 4, CTAS = 3 };

typedef struct fixture {
  sim_mem *mem;
  sim_race *race;
  sim_race_cta *cta[CTAS];
  sim_region shared[CTAS];
  sim_fault fault;
  sim_mem_view view[CTAS][WARPS];
  uint64_t global; // 64 KiB, initialised
} fixture;

static void start(fixture *f) {
  static const uint32_t grid[3] = {CTAS, 1, 1};
  sim_race_begin(f->race, WARPS, CTAS, grid, false);
  for (int c = 0; c < CTAS; c++) {
    sim_race_cta_free(f->cta[c]);
    f->cta[c] = sim_race_cta_new(f->race, (uint64_t)c, &f->shared[c]);
    for (uint32_t w = 0; w < WARPS; w++)
      f->view[c][w] = (sim_mem_view){.global = f->mem,
                                     .shared = &f->shared[c],
                                     .fault = &f->fault,
                                     .agent = sim_race_warp(f->cta[c], w),
                                     .check_bounds = true,
                                     .check_uninit = true};
  }
}

static int setup(void **state) {
  static fixture f;
  static uint8_t bytes[65536];
  memset(&f, 0, sizeof f);
  f.mem = sim_mem_new();
  f.race = sim_race_new();
  f.global = sim_mem_alloc(f.mem, sizeof bytes, "D");
  sim_mem_host_write(f.mem, f.global, bytes, sizeof bytes);
  for (int c = 0; c < CTAS; c++) {
    sim_region_init(&f.shared[c], SIM_SPACE_SHARED, SIM_SHARED_FIRST, 8192, "smem");
    sim_region_write(&f.shared[c], 0, bytes, 8192);
  }
  start(&f);
  *state = &f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  for (int c = 0; c < CTAS; c++) {
    sim_race_cta_free(f->cta[c]);
    sim_region_free(&f->shared[c]);
  }
  sim_mem_free(f->mem);
  sim_race_free(f->race);
  return 0;
}

// --- one access of one lane or all --------------------------------------------------------------
typedef enum act { READ, WRITE, ATOMIC } act;
typedef struct how {
  act what;
  uint32_t bytes, line;
  uint8_t sem, scope;
  uint32_t mask;
} how;

static bool touch(sim_mem_view *view, uint64_t address, how h) {
  uint64_t addr[32];
  uint32_t plane[8][32] = {{0}}, *out[8];
  const uint32_t *in[8];
  uint8_t *host[32];
  for (int i = 0; i < 32; i++)
    addr[i] = address + (uint64_t)i * h.bytes;
  for (int i = 0; i < 8; i++)
    in[i] = out[i] = plane[i];
  sim_access access = {.elem_bytes = (uint8_t)(h.bytes > 4 ? 4 : h.bytes),
                       .elems = (uint8_t)(h.bytes > 4 ? h.bytes / 4 : 1),
                       .sem = h.sem,
                       .scope = h.scope};
  view->line = h.line;
  sim_space space = address < UINT64_C(1) << 32 ? SIM_SPACE_SHARED : SIM_SPACE_GLOBAL;
  switch (h.what) {
  case READ:
    return sim_mem_load(view, space, addr, h.mask, access, out);
  case WRITE:
    return sim_mem_store(view, space, addr, h.mask, access, in);
  default:
    return sim_mem_atomic(view, space, addr, h.mask, access, host, NULL);
  }
}

static bool rd(sim_mem_view *view, uint64_t address, uint32_t line) {
  return touch(view, address, (how){READ, 4, line, 0, 0, UINT32_MAX});
}
static bool wr(sim_mem_view *view, uint64_t address, uint32_t line) {
  return touch(view, address, (how){WRITE, 4, line, 0, 0, UINT32_MAX});
}
static bool strong(sim_mem_view *view, act what, uint64_t address, uint8_t sem, sim_scope scope) {
  return touch(view, address, (how){what, 4, 90, sem | SIM_SEM_STRONG, (uint8_t)scope, 1});
}

static void barrier(fixture *f, int c, uint32_t id, uint32_t warps) {
  for (uint32_t w = 0; w < WARPS; w++)
    if (warps >> w & 1)
      sim_race_bar_arrive(f->view[c][w].agent, id);
  sim_race_bar_complete(f->cta[c], id, warps);
}

static void expect_race(fixture *f, bool ok, const char *const parts[]) {
  if (ok)
    fail_msg("no race found; expected %s", parts[0]);
  assert_int_equal(f->fault.verdict, SIM_RACE);
  for (int i = 0; parts[i]; i++)
    if (!strstr(f->fault.text, parts[i]))
      fail_msg("'%s' not in: %s", parts[i], f->fault.text);
  f->fault.verdict = SIM_OK;
}
#define RACE(f, call, ...) expect_race(f, call, (const char *const[]){__VA_ARGS__, NULL})

#define S SIM_SHARED_FIRST

// --- inside a CTA --------------------------------------------------------------------------------
static void test_barrier(void **state) {
  fixture *f = *state;
  sim_mem_view *w0 = &f->view[0][0], *w1 = &f->view[0][1], *w2 = &f->view[0][2];
  assert_true(wr(w0, S, 10));
  assert_true(rd(w0, S, 11)); // own writes
  RACE(f, rd(w1, S, 12), "write at PTX line 10 by warp 0 of CTA (0,0,0)",
       "read at PTX line 12 by warp 1 of CTA (0,0,0)", "'smem' + 0x0 (4 bytes)", "no barrier");
  barrier(f, 0, 0, 0xF);
  assert_true(rd(w1, S, 13));
  assert_true(rd(w2, S, 14));
  RACE(f, wr(w0, S, 15), "read at PTX line 13 by warp 1", "write at PTX line 15 by warp 0");
  barrier(f, 0, 0, 0xF);
  assert_true(wr(w0, S, 16));
  RACE(f, wr(w2, S, 17), "write at PTX line 16 by warp 0", "write at PTX line 17 by warp 2");
}

static void test_named_barriers_order_their_members_only(void **state) {
  fixture *f = *state;
  sim_mem_view *v = f->view[0];
  assert_true(wr(&v[0], S, 10));
  barrier(f, 0, 1, 3); // warps 0 and 1
  assert_true(rd(&v[1], S, 11));
  RACE(f, rd(&v[2], S, 12), "write at PTX line 10 by warp 0");
  barrier(f, 0, 2, 6); // 1 and 2: transitive
  assert_true(rd(&v[2], S, 13));
  RACE(f, rd(&v[3], S, 14), "write at PTX line 10 by warp 0");
}

// bar.arrive by the producer, bar.sync by the consumer: an edge in one direction.
static void test_arrive(void **state) {
  fixture *f = *state;
  sim_mem_view *v = f->view[0];
  assert_true(wr(&v[0], S, 10));
  sim_race_bar_arrive(v[0].agent, 3);
  assert_true(wr(&v[0], S + 128, 11)); // after the arrive: not covered
  sim_race_bar_arrive(v[1].agent, 3);
  sim_race_bar_complete(f->cta[0], 3, 2);
  assert_true(rd(&v[1], S, 12));
  RACE(f, rd(&v[1], S + 128, 13), "write at PTX line 11 by warp 0");
  RACE(f, wr(&v[0], S, 14), "read at PTX line 12 by warp 1"); // the arriver learned nothing
}

static void test_many_readers(void **state) {
  fixture *f = *state;
  sim_mem_view *v = f->view[0];
  assert_true(wr(&v[0], S, 10));
  barrier(f, 0, 0, 0xF);
  for (int round = 0; round < 3; round++)
    for (int w = 0; w < WARPS; w++)
      assert_true(rd(&v[(w + round) % WARPS], S, 20 + (uint32_t)w));
  barrier(f, 0, 1, 7); // all but warp 3
  RACE(f, wr(&v[0], S, 30), "by warp 3 of CTA (0,0,0)", "write at PTX line 30");
  barrier(f, 0, 0, 0xF);
  assert_true(wr(&v[0], S, 31));
}

static void test_bytes_of_one_word(void **state) {
  fixture *f = *state;
  sim_mem_view *v = f->view[0];
  // Four warps write four different bytes of every word; one reads its own; then overlap.
  for (uint32_t w = 0; w < WARPS; w++)
    for (uint32_t i = 0; i < 4; i++)
      assert_true(touch(&v[w], S + 4 * i + w, (how){WRITE, 1, 10 + w, 0, 0, 1}));
  assert_true(touch(&v[2], S + 2, (how){READ, 1, 20, 0, 0, 1}));
  RACE(f, touch(&v[2], S + 3, (how){READ, 1, 21, 0, 0, 1}), "write at PTX line 13 by warp 3");
  RACE(f, touch(&v[2], S + 2, (how){READ, 2, 22, 0, 0, 1}), "write at PTX line 13 by warp 3");
  RACE(f, touch(&v[0], S + 4, (how){WRITE, 4, 23, 0, 0, 1}), "warp 0 of CTA (0,0,0), lane 0");
  RACE(f, touch(&v[0], S + 2, (how){WRITE, 1, 24, 0, 0, 1}), "by warp 2");
  barrier(f, 0, 0, 0xF);
  assert_true(touch(&v[0], S, (how){WRITE, 4, 25, 0, 0, 1}));
  // halves by neighbouring lanes of one warp, then the other half by another warp
  barrier(f, 0, 0, 0xF);
  assert_true(touch(&v[0], S, (how){WRITE, 2, 30, 0, 0, 0x55555555}));
  assert_true(touch(&v[1], S, (how){WRITE, 2, 31, 0, 0, 0xAAAAAAAA}));
  RACE(f, touch(&v[1], S + 4, (how){READ, 4, 32, 0, 0, 1}), "write at PTX line 30 by warp 0");
}

static void test_lanes_of_one_store(void **state) {
  fixture *f = *state;
  uint64_t addr[32];
  uint32_t plane[32];
  const uint32_t *in[1] = {plane};
  sim_access word = {.elem_bytes = 4, .elems = 1};
  for (int i = 0; i < 32; i++) {
    addr[i] = S + 4 * (uint64_t)(i & 15);
    plane[i] = (uint32_t)(i & 15);
  }
  assert_true(sim_mem_store(&f->view[0][0], SIM_SPACE_SHARED, addr, UINT32_MAX, word, in));
  plane[20] = 99;
  RACE(f, sim_mem_store(&f->view[0][0], SIM_SPACE_SHARED, addr, UINT32_MAX, word, in),
       "lanes 4 and 20 of one instruction store different values to 'smem' + 0x10");
}

// --- cp.async -----------------------------------------------------------------------------------
static bool copy(fixture *f, sim_mem_view *view, uint64_t dst, uint64_t src, uint32_t line) {
  uint64_t to[32], from[32];
  for (int i = 0; i < 32; i++) {
    to[i] = dst + 16 * (uint64_t)i;
    from[i] = src + 16 * (uint64_t)i;
  }
  (void)f;
  view->line = line;
  return sim_mem_copy_issue(view, to, from, UINT32_MAX, 16, NULL);
}

static void test_cp_async(void **state) {
  fixture *f = *state;
  sim_mem_view *v = f->view[0];
  assert_true(copy(f, &v[0], S, f->global, 10));
  uint32_t first = sim_race_async_commit(v[0].agent);
  RACE(f, rd(&v[0], S, 11), "write at PTX line 10 by cp.async of warp 0",
       "has not executed cp.async.wait_group");
  assert_true(copy(f, &v[0], S + 512, f->global + 512, 12));
  uint32_t second = sim_race_async_commit(v[0].agent);
  sim_race_async_wait(v[0].agent, first); // wait_group 1
  assert_true(rd(&v[0], S, 13));
  RACE(f, rd(&v[0], S + 512, 14), "PTX line 12 by cp.async of warp 0");
  RACE(f, rd(&v[1], S, 15), "no cp.async.wait_group by warp 0 and barrier after it");
  barrier(f, 0, 0, 0xF);
  assert_true(rd(&v[1], S, 16));
  RACE(f, rd(&v[1], S + 512, 17), "by cp.async of warp 0"); // a barrier alone is not enough
  // the next copy into a stage others still read
  RACE(f, copy(f, &v[0], S, f->global, 18), "read at PTX line 16 by warp 1",
       "write at PTX line 18 by cp.async of warp 0");
  barrier(f, 0, 0, 0xF);
  assert_true(copy(f, &v[0], S, f->global, 19));
  sim_race_async_wait(v[0].agent, second);
  assert_true(rd(&v[0], S + 512, 20));
}

static void test_cp_async_source(void **state) {
  fixture *f = *state;
  sim_mem_view *v = f->view[0];
  assert_true(copy(f, &v[0], S, f->global, 10));
  RACE(f, wr(&v[0], f->global, 11), "read at PTX line 10 by cp.async of warp 0");
  sim_race_async_wait(v[0].agent, sim_race_async_commit(v[0].agent));
  assert_true(wr(&v[0], f->global, 12));
  // two copies to one place without a wait between
  assert_true(copy(f, &v[0], S + 1024, f->global + 1024, 13));
  RACE(f, copy(f, &v[0], S + 1024, f->global + 2048, 14), "by cp.async of warp 0");
}

// --- between CTAs -------------------------------------------------------------------------------
static void test_ctas_do_not_share(void **state) {
  fixture *f = *state;
  sim_mem_view *a = &f->view[0][0], *b = &f->view[1][2];
  assert_true(wr(a, S, 10));
  assert_true(wr(b, S, 11)); // shared memory of another CTA
  assert_true(rd(a, f->global, 12));
  assert_true(rd(b, f->global, 13)); // readers only
  assert_true(wr(a, f->global + 4096, 14));
  assert_true(wr(b, f->global + 8192, 15));
  RACE(f, wr(b, f->global + 4096, 16), "write at PTX line 14 by warp 0 of CTA (0,0,0)",
       "write at PTX line 16 by warp 2 of CTA (1,0,0)", "release and acquire only");
  RACE(f, wr(b, f->global, 17), "read at PTX line 12 by warp 0 of CTA (0,0,0)");
  RACE(f, rd(a, f->global + 8192, 18), "write at PTX line 15 by warp 2 of CTA (1,0,0)");
  // a launch ends everything
  start(f);
  assert_true(wr(&f->view[2][0], f->global + 4096, 19));
}

// Two CTAs write the two halves of the words at a tile's edge.
static void test_tile_edges(void **state) {
  fixture *f = *state;
  assert_true(touch(&f->view[0][0], f->global + 2, (how){WRITE, 2, 10, 0, 0, 1}));
  assert_true(touch(&f->view[1][0], f->global + 4, (how){WRITE, 2, 10, 0, 0, 3}));
  assert_true(touch(&f->view[2][0], f->global, (how){WRITE, 2, 10, 0, 0, 1}));
  RACE(f, touch(&f->view[2][0], f->global + 6, (how){WRITE, 2, 11, 0, 0, 1}), "CTA (1,0,0)");
}

static void test_atomics(void **state) {
  fixture *f = *state;
  uint64_t at = f->global;
  for (int c = 0; c < CTAS; c++)
    for (int w = 0; w < WARPS; w++)
      assert_true(strong(&f->view[c][w], ATOMIC, at, 0, SIM_SCOPE_GPU));
  assert_true(strong(&f->view[0][0], READ, at, 0, SIM_SCOPE_GPU)); // ld.relaxed
  RACE(f, touch(&f->view[0][0], at, (how){READ, 4, 11, 0, 0, 1}),
       "atomic or strong write at PTX line 90");
  assert_true(touch(&f->view[0][0], at + 64, (how){WRITE, 4, 12, 0, 0, 1}));
  RACE(f, strong(&f->view[1][0], ATOMIC, at + 64, 0, SIM_SCOPE_GPU), "write at PTX line 12",
       "atomic at PTX line 90 by warp 0 of CTA (1,0,0)");
}

// The last CTA of a split reads what the others wrote: data, barrier, atom.acq_rel on a counter.
static void split(fixture *f, uint8_t sem, sim_scope scope, bool fences, bool with_barrier) {
  for (int c = 0; c < 2; c++) {
    for (uint32_t w = 0; w < WARPS; w++)
      assert_true(wr(&f->view[c][w], f->global + 4096 + 1024 * (uint64_t)c + 128 * w, 10));
    if (with_barrier)
      barrier(f, c, 0, 0xF);
    if (fences)
      sim_race_fence(f->view[c][0].agent, scope);
    assert_true(strong(&f->view[c][0], ATOMIC, f->global, sem, scope));
    if (fences)
      sim_race_fence(f->view[c][0].agent, scope);
    barrier(f, c, 0, 0xF);
  }
}

static void test_release_acquire(void **state) {
  fixture *f = *state;
  uint8_t both = SIM_SEM_ACQUIRE | SIM_SEM_RELEASE;
  sim_mem_view *reader = &f->view[1][3];
  split(f, both, SIM_SCOPE_GPU, false, true);
  assert_true(rd(reader, f->global + 4096 + 128 * 2, 20));
  start(f);
  split(f, 0, SIM_SCOPE_GPU, true, true); // __threadfence and a relaxed atomic
  assert_true(rd(reader, f->global + 4096 + 128 * 2, 21));
  start(f);
  split(f, 0, SIM_SCOPE_GPU, false, true); // relaxed only
  RACE(f, rd(reader, f->global + 4096, 22), "write at PTX line 10", "release and acquire only");
  start(f);
  split(f, both, SIM_SCOPE_CTA, false, true); // too narrow a scope
  RACE(f, rd(reader, f->global + 4096, 23), "write at PTX line 10");
  start(f);
  split(f, both, SIM_SCOPE_GPU, false, false); // other warps' writes are not released by warp 0
  assert_true(rd(reader, f->global + 4096, 24));
  RACE(f, rd(reader, f->global + 4096 + 128 * 2, 25), "write at PTX line 10 by warp 2");
}

// A flag inside the CTA, and a plain store that ends a release sequence.
static void test_flags(void **state) {
  fixture *f = *state;
  sim_mem_view *v = f->view[0];
  assert_true(wr(&v[0], S, 10));
  assert_true(strong(&v[0], WRITE, S + 512, SIM_SEM_RELEASE, SIM_SCOPE_CTA));
  assert_true(strong(&v[1], READ, S + 512, SIM_SEM_ACQUIRE, SIM_SCOPE_CTA));
  assert_true(rd(&v[1], S, 11));
  assert_true(strong(&v[2], WRITE, S + 512, 0, SIM_SCOPE_CTA)); // relaxed: overwrites the flag
  assert_true(strong(&v[3], READ, S + 512, SIM_SEM_ACQUIRE, SIM_SCOPE_CTA));
  RACE(f, rd(&v[3], S, 12), "write at PTX line 10 by warp 0");
  sim_race_release(v[0].agent, 42);
  sim_race_acquire(v[3].agent, 42);
  assert_true(rd(&v[3], S, 13));
}

// --- against a plain detector -------------------------------------------------------------------
// The same rules without
// epochs, sets or memos: every byte keeps all accesses of all warps.
enum { BYTES = 256, EVENTS = 64 };
typedef struct event {
  uint32_t warp, clock;
  bool is_write;
} event;
typedef struct oracle {
  uint32_t vc[WARPS][WARPS];
  event log[BYTES][EVENTS];
  uint32_t count[BYTES];
} oracle;

static bool oracle_touch(oracle *o, uint32_t warp, uint32_t at, uint32_t bytes, bool is_write) {
  for (uint32_t b = at; b < at + bytes; b++)
    for (uint32_t i = 0; i < o->count[b]; i++) {
      event *e = &o->log[b][i];
      if ((e->is_write || is_write) && o->vc[warp][e->warp] < e->clock)
        return false;
    }
  for (uint32_t b = at; b < at + bytes; b++)
    o->log[b][o->count[b]++] = (event){warp, o->vc[warp][warp], is_write};
  return true;
}

static void test_random_histories(void **state) {
  fixture *f = *state;
  oracle *o = malloc(sizeof *o);
  uint64_t seed = 7;
  long races = 0, checked = 0;
  for (int history = 0; history < 1500; history++) {
    start(f);
    memset(o->count, 0, sizeof o->count);
    memset(o->vc, 0, sizeof o->vc);
    for (int w = 0; w < WARPS; w++)
      o->vc[w][w] = 1;
    for (int step = 0; step < 60; step++) {
      seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
      uint32_t r = (uint32_t)(seed >> 33), warp = r & 3;
      if ((r >> 2 & 3) == 0) { // a barrier of some warps
        uint32_t set = (r >> 8 & 15) | (r >> 12 & 15) | 1u << warp, join[WARPS] = {0};
        barrier(f, 0, r >> 5 & 3, set);
        for (uint32_t w = 0; w < WARPS; w++)
          for (int i = 0; i < WARPS && (set >> w & 1); i++)
            join[i] = join[i] > o->vc[w][i] ? join[i] : o->vc[w][i];
        for (uint32_t w = 0; w < WARPS; w++) {
          if (!(set >> w & 1))
            continue;
          uint32_t own = o->vc[w][w] + 1;
          memcpy(o->vc[w], join, sizeof join);
          o->vc[w][w] = own;
        }
        continue;
      }
      static const uint32_t sizes[] = {1, 2, 4, 8};
      uint32_t bytes = sizes[r >> 5 & 3], lanes = r >> 24 & 3 ? 1 : 32;
      uint32_t at = (r >> 8) % (BYTES / (bytes * lanes)) * bytes * lanes;
      bool is_write = (r >> 20 & 7) == 0;
      bool want = oracle_touch(o, warp, at, bytes * lanes, is_write);
      bool got = touch(&f->view[0][warp], S + at,
                       (how){is_write ? WRITE : READ, bytes, 5, 0, 0, lanes == 1 ? 1 : UINT32_MAX});
      checked++;
      if (got != want)
        fail_msg("history %d step %d: found %d, expected %d", history, step, got, want);
      if (!got) {
        races++;
        break;
      }
    }
  }
  print_message("%ld accesses, %ld races\n", checked, races);
  assert_true(races > 200 && checked > 10000);
  free(o);
}

// Sets of readers are dropped when no cell names them any more.
static void test_set_collection(void **state) {
  fixture *f = *state;
  for (uint32_t i = 0; i < 300000; i++) {
    sim_mem_view *v = f->view[0];
    assert_true(touch(&v[0], S, (how){READ, 4, i % 1000, 0, 0, 1}));
    assert_true(touch(&v[1], S, (how){READ, 4, i % 1001, 0, 0, 1}));
    assert_true(touch(&v[2], S + 4, (how){READ, 4, 3, 0, 0, 1}));
    if (i % 3 == 0)
      barrier(f, 0, 0, 3);
  }
  RACE(f, wr(&f->view[0][3], S, 1), "read at PTX line");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      CASE(test_barrier),
      CASE(test_named_barriers_order_their_members_only),
      CASE(test_arrive),
      CASE(test_many_readers),
      CASE(test_bytes_of_one_word),
      CASE(test_lanes_of_one_store),
      CASE(test_cp_async),
      CASE(test_cp_async_source),
      CASE(test_ctas_do_not_share),
      CASE(test_tile_edges),
      CASE(test_atomics),
      CASE(test_release_acquire),
      CASE(test_flags),
      CASE(test_random_histories),
      CASE(test_set_collection),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
