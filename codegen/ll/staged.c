// A tile that leaves by TMA (ir/pass/specialize_store.c): fragments go to an image in shared memory
// by stmatrix, one thread of each warpgroup sends its 64-row panels off.
//
//   before: that thread waits until TMA has read what the last tile left, then all of its warpgroup
//   after:  all make their writes visible to TMA and meet, then that thread issues the copies
//
// A transposed accumulator has 64 columns of the tile in each warpgroup: its panels are as high as the
// tile, and stmatrix transposes.
//
// Warpgroups do not wait for each other: each has panels of its own. The image of block b of
// warpgroup g, panel p stands at ((b * groups + g) * panels + p) * 64 rows.
#include "codegen/ll/emit.h"

// Barriers 0 and 1 are those of the CTA and of the role.
enum { GROUP_THREADS = 128, PANEL_ROWS = 64, FIRST_BARRIER = 2 };

typedef struct image {
  const ir_op *op;
  bool trans;
  int groups, blocks, panels; // a block: what the warpgroups hold side by side; its panels for each
  int64_t rows, columns;      // of the tile
  int64_t width, panel_bytes;
  ll_v group, base; // of the warpgroup's first panel
} image;

static image image_of(ll_ctx *c, const ir_op *op, const ty_type *tile) {
  image m = {.op = op, .groups = c->func->warps / 4, .width = ir_int(op, "swizzle", 128)};
  m.rows = tile->dims[0], m.columns = tile->dims[1];
  m.trans = ir_int(op, "trans", 0);
  m.blocks = (int)((m.trans ? m.columns : m.rows) / (PANEL_ROWS * m.groups));
  m.panels = m.trans ? 1 : (int)(m.columns * 2 / m.width);
  m.panel_bytes = (m.trans ? m.rows : PANEL_ROWS) * m.width;
  m.group = LLVMBuildLShr(c->b, c->warp, ll_i32(c, 2), "");
  ll_v start = ll_offset(c, c->smem, ll_i32(c, ir_int(op, "offset", 0)));
  m.base = ll_offset(c, start, ll_mul(c, m.group, ll_i32(c, m.panels * m.panel_bytes)));
  return m;
}

static int64_t panel_at(const image *m, int block, int64_t panel) {
  return ((int64_t)block * m->groups * m->panels + panel) * m->panel_bytes;
}

static void meet(ll_ctx *c, const image *m) {
  ll_v barrier = ll_add(c, m->group, ll_i32(c, FIRST_BARRIER));
  ll_convergent(
      c, LL_CALL(c, "llvm.nvvm.barrier.cta.sync.aligned.count", barrier, ll_i32(c, GROUP_THREADS)));
}

static LLVMBasicBlockRef begin_speaker(ll_ctx *c) {
  ll_v index = LLVMBuildAnd(c->b, c->tid, ll_i32(c, GROUP_THREADS - 1), "");
  return ll_begin_if(c, LLVMBuildICmp(c->b, LLVMIntEQ, index, ll_i32(c, 0), ""));
}

// --- fragments to the image ---------------------------------------------------------------------

// Lane l names row l % 8 of 8x8 matrix l / 8; matrices alternate between rows 0-7 and 8-15 of the
// warp, then go on to the next 8 columns: just the order of the accumulator's words. In a panel of
// W bytes, 16-byte unit u of row r lies at unit u ^ swizzle(r).
static ll_v lane_address(ll_ctx *c, const image *m) {
  ll_v row = LLVMBuildAnd(c->b, c->lane, ll_i32(c, 15), "");
  row = ll_add(c, row, ll_mul(c, LLVMBuildAnd(c->b, c->warp, ll_i32(c, 3), ""), ll_i32(c, 16)));
  ll_v offset = ll_mul(c, row, ll_i32(c, m->width));
  ll_v bits = LLVMBuildLShr(c->b, offset, ll_i32(c, 7), "");
  bits = LLVMBuildAnd(c->b, bits, ll_i32(c, m->width / 16 - 1), "");
  ll_v unit = LLVMBuildXor(c->b, bits, LLVMBuildLShr(c->b, c->lane, ll_i32(c, 4), ""), "");
  return ll_add(c, offset, LLVMBuildShl(c->b, unit, ll_i32(c, 4), ""));
}

// The same of a transposed accumulator, in a panel of 128 bytes: matrices alternate between the warp's
// first and second 8 columns, then go on to the next 8 rows.
static ll_v transposed_address(ll_ctx *c) {
  ll_v within = LLVMBuildAnd(c->b, c->lane, ll_i32(c, 7), "");
  ll_v row = ll_add(c, ll_mul(c, LLVMBuildLShr(c->b, c->lane, ll_i32(c, 4), ""), ll_i32(c, 8)), within);
  ll_v half = LLVMBuildAnd(c->b, LLVMBuildLShr(c->b, c->lane, ll_i32(c, 3), ""), ll_i32(c, 1), "");
  ll_v unit = ll_mul(c, LLVMBuildAnd(c->b, c->warp, ll_i32(c, 3), ""), ll_i32(c, 2));
  unit = LLVMBuildXor(c->b, ll_add(c, unit, half), within, "");
  return ll_add(c, ll_mul(c, row, ll_i32(c, 128)), ll_mul(c, unit, ll_i32(c, 16)));
}

static void store_transposed(ll_ctx *c, const image *m, ll_v *words) {
  ll_v lane = transposed_address(c);
  int64_t atoms = m->rows / 8;
  for (int block = 0; block < m->blocks; block++)
    for (int64_t atom = 0; atom < atoms; atom += 2) {
      int count = atom + 1 < atoms ? 4 : 2;
      ll_v base = ll_offset(c, m->base, ll_i32(c, panel_at(m, block, 0) + atom * 8 * 128));
      ll_v *word = words + (block * atoms + atom) * 2;
      ll_v args[5] = {ll_offset(c, base, lane)};
      memcpy(args + 1, word, sizeof *word * (size_t)count);
      const char *name =
          count == 4 ? "llvm.nvvm.stmatrix.sync.aligned.m8n8.x4.trans.b16" : "llvm.nvvm.stmatrix.sync.aligned.m8n8.x2.trans.b16";
      ll_convergent(c, ll_intrinsic(c, name, &c->t_shared, 1, args, 1 + count));
    }
}

static void store_matrices(ll_ctx *c, const image *m, ll_v *words) {
  ll_v lane = lane_address(c, m);
  int64_t per_panel = m->width / 2, words_per_block = m->columns / 4;
  for (int block = 0; block < m->blocks; block++)
    for (int64_t column = 0; column < m->columns; column += 16) {
      int64_t unit = column % per_panel / 8;
      ll_v at = LLVMBuildXor(c->b, lane, ll_i32(c, unit * 16), "");
      ll_v base = ll_offset(c, m->base, ll_i32(c, panel_at(m, block, column / per_panel)));
      ll_v *word = words + block * words_per_block + column / 4;
      ll_v args[] = {ll_offset(c, base, at), word[0], word[1], word[2], word[3]};
      ll_convergent(c, ll_intrinsic(c, "llvm.nvvm.stmatrix.sync.aligned.m8n8.x4.b16", &c->t_shared,
                                    1, args, 5));
    }
}

// --- the image to global memory -----------------------------------------------------------------

static void send_panels(ll_ctx *c, const image *m) {
  ir_access access = ir_access_of(c->func, m->op);
  ll_v map = LLVMGetParam(c->fn, (unsigned)ir_int(m->op, "map", 0));
  for (int block = 0; block < m->blocks; block++)
    for (int panel = 0; panel < m->panels; panel++) {
      ll_v args[4 + TY_MAX_RANK] = {ll_offset(c, m->base, ll_i32(c, panel_at(m, block, panel))),
                                    map};
      int n = 2, dim = 1; // innermost first: the tile's columns, then its rows
      for (int d = access.rank - 1; d >= 0; d--) {
        ll_v at = ll_scalar(c, m->op->args[access.first_sub + d]);
        if (access.subs[d] == 'r' && dim-- == (m->trans ? 0 : 1))
          at = ll_add(c, at, ll_i32(c, panel * m->width / 2));
        else if (access.subs[d] == 'r')
          at = ll_add(
              c, at,
              ll_mul(c, ll_add(c, m->group, ll_i32(c, block * m->groups)), ll_i32(c, PANEL_ROWS)));
        args[n++] = at;
      }
      args[n++] = ll_i64(c, 0); // no cache hint
      args[n++] = ll_i1(c, false);
      ll_intrinsic(c,
                   tl_sprintf(c->arena, "llvm.nvvm.cp.async.bulk.tensor.s2g.tile.%dd", access.rank),
                   NULL, 0, args, n);
    }
  ll_intrinsic(c, "llvm.nvvm.cp.async.bulk.commit.group", NULL, 0, NULL, 0);
}

void ll_emit_staged_store(ll_ctx *c, const ir_op *op) {
  ir_val value = ir_access_of(c->func, op).value;
  image m = image_of(c, op, ir_type(c->func, value));
  ll_v *words = ll_words(c, value);
  LLVMBasicBlockRef after = begin_speaker(c);
  LL_CALL(c, "llvm.nvvm.cp.async.bulk.wait.group.read", ll_i32(c, 0));
  ll_end_if(c, after);
  meet(c, &m);
  if (m.trans)
    store_transposed(c, &m, words);
  else
    store_matrices(c, &m, words);
  ll_intrinsic(c, "llvm.nvvm.fence.proxy.async.shared_cta", NULL, 0, NULL, 0);
  meet(c, &m);
  after = begin_speaker(c);
  send_panels(c, &m);
  ll_end_if(c, after);
  c->stores_in_flight = true;
}

// Shared memory must outlive the copies out of it; that they have arrived, the end of the grid
// says.
void ll_finish_stores(ll_ctx *c) {
  if (!c->stores_in_flight)
    return;
  LLVMBasicBlockRef after = begin_speaker(c);
  LL_CALL(c, "llvm.nvvm.cp.async.bulk.wait.group.read", ll_i32(c, 0));
  ll_end_if(c, after);
}
