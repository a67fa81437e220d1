// smem_alloc: byte offsets of buffers and of scratch inside the CTA's dynamic shared memory.
//
// Input   sir with layouts.   Output  {offset} on buffer, convert, reduce, ...; func->smem_bytes.
// Why last  lifetimes are read off the final order of operations.
//
// A buffer lives from the first to the last operation on its channel, in program order; scratch
// lives at its own operation only. Scratch may therefore lie where a channel's slots lie before or
// after it: nothing put into a channel outlives its loop. Where it does, the channel's first puts
// wait for the whole CTA (acquire barrier=1), since a warp may still be reading the scratch.
#include "ir/layout.h"
#include "ir/pass_list.h"
#include "ir/scratch.h"
#include "ir/verify_channel.h"

typedef struct range {
  ir_op *op;         // buffer, or the operation that needs scratch
  ir_op *channel;    // of a buffer
  const ir_op *role; // that uses it: what two roles use is alive at any time
  int from, to;      // program points, inclusive
  bool is_slots;     // of a channel that another role fills
  bool at_end;       // scratch behind the last slot that this CTA will ever see
  const char *attr;  // where the operation says its offset; NULL: "offset"
  int64_t offset, bytes;
} range;

typedef struct plan {
  ir_pass_ctx *ctx;
  ir_func *func;
  TL_VEC(range) buffers;
  TL_VEC(range) scratch;
  int now;
} plan;

static void add_channel(plan *p, ir_op *channel) {
  for (uint32_t i = 0; i < channel->nargs; i++) {
    ir_op *buffer = ir_def(p->func, channel->args[i]);
    const ty_type *type = ir_type(p->func, channel->args[i]);
    const ir_layout *layout = ir_info_of(p->func, channel->args[i])->layout;
    range r = {.op = buffer, .channel = channel, .from = INT32_MAX, .to = -1};
    r.bytes = ir_stage_bytes(layout, type) * type->dims[0];
    r.is_slots = ir_channel_is_fed(channel);
    tl_push(p->ctx->scratch, &p->buffers, r);
  }
  if (!ir_channel_is_fed(channel))
    return;
  range barriers = {.op = channel, .channel = channel, .from = INT32_MAX, .to = -1};
  barriers.bytes = ir_int(channel, "depth", 1) * 16; // one full and one empty mbarrier per slot
  tl_push(p->ctx->scratch, &p->buffers, barriers);
}

static void touch_channel(plan *p, ir_val handle, const ir_op *role) {
  ir_op *channel = ir_def(p->func, handle);
  for (uint32_t i = 0; i < p->buffers.len; i++) {
    range *r = &p->buffers.data[i];
    if (r->channel != channel)
      continue;
    r->role = role;
    if (p->now < r->from)
      r->from = p->now;
    if (p->now > r->to)
      r->to = p->now;
  }
}

// Other CTAs write into it whenever they are ready.
static void add_inbox(plan *p, ir_op *op) {
  range inbox = {.op = op, .channel = op, .role = ir_role_around(op), .to = INT32_MAX, .attr = "inbox"};
  inbox.bytes = ir_inbox_bytes(p->func, op);
  if (inbox.bytes)
    tl_push(p->ctx->scratch, &p->buffers, inbox);
}

static void number(ir_op *op, void *user) {
  plan *p = user;
  p->now++;
  if (op->code == IR_CHANNEL)
    add_channel(p, op);
  if ((op->code >= IR_ACQUIRE && op->code <= IR_RELEASE) || op->code == IR_WGMMA)
    touch_channel(p, op->args[0], ir_role_around(op));
  add_inbox(p, op);
  int64_t bytes = ir_scratch_bytes(p->func, op);
  if (!bytes)
    return;
  if (op->code == IR_STORE) { // TMA reads the image until the next tile's, or the end
    range image = {.op = op,
                   .channel = op,
                   .role = ir_role_around(op),
                   .from = 0,
                   .to = INT32_MAX,
                   .bytes = bytes};
    tl_push(p->ctx->scratch, &p->buffers, image);
    return;
  }
  range r = {.op = op, .role = ir_role_around(op), .from = p->now, .to = p->now, .bytes = bytes};
  r.at_end = ir_int(op, "last", 0);
  tl_push(p->ctx->scratch, &p->scratch, r);
}

static int64_t align_up(int64_t value) { return (value + 1023) / 1024 * 1024; }

// Where a CTA has one tile (pass split_k), all slots have been filled and read behind its loop, and
// nothing will be put into them any more.
static bool overlaps(const range *a, const range *b) {
  if ((a->at_end && b->is_slots) || (b->at_end && a->is_slots))
    return false;
  return a->role != b->role || (a->from <= b->to && b->from <= a->to);
}

// Lowest offset where `r` meets none of the placed ranges that live at the same time.
static int64_t lowest_offset(const range *r, const range *placed, uint32_t count) {
  int64_t offset = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (uint32_t i = 0; i < count; i++) {
      const range *other = &placed[i];
      bool clash = overlaps(r, other) && offset < other->offset + other->bytes &&
                   other->offset < offset + r->bytes;
      if (clash)
        offset = align_up(other->offset + other->bytes), moved = true;
    }
  }
  return offset;
}

// Beside the buffers alive with it, and beside the scratch of all other roles.
static int64_t place_scratch(plan *p, uint32_t index) {
  TL_VEC(range) placed = {0};
  for (uint32_t i = 0; i < p->buffers.len; i++)
    tl_push(p->ctx->scratch, &placed, p->buffers.data[i]);
  for (uint32_t i = 0; i < index && ir_has_own_roles(p->func); i++)
    tl_push(p->ctx->scratch, &placed, p->scratch.data[i]);
  return lowest_offset(&p->scratch.data[index], placed.data, placed.len);
}

typedef struct aliased {
  ir_func *func;
  ir_op *channel;
} aliased;

// Puts before the channel's loop are not ordered behind the scratch's readers by the loop's own
// waits; a put inside the loop comes after such a wait.
static void wait_for_readers(ir_op *op, void *user) {
  aliased *a = user;
  bool ours = op->code == IR_ACQUIRE && ir_def(a->func, op->args[0]) == a->channel;
  if (ours && !ir_int(op, "steady", 0))
    ir_set_int(a->func, op, "barrier", 1);
}

static bool share_bytes(const range *a, const range *b) {
  return !overlaps(a, b) && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static void guard(plan *p, const range *buffer) {
  aliased a = {p->func, buffer->channel};
  ir_walk(p->func->body, wait_for_readers, &a);
}

static void guard_aliases(plan *p) {
  for (uint32_t i = 0; i < p->buffers.len; i++) {
    const range *mine = &p->buffers.data[i];
    for (uint32_t j = 0; j < p->scratch.len; j++)
      if (share_bytes(mine, &p->scratch.data[j]))
        guard(p, mine);
    for (uint32_t j = 0; j < p->buffers.len; j++)
      if (p->buffers.data[j].channel != mine->channel && share_bytes(mine, &p->buffers.data[j]))
        guard(p, mine);
  }
}

// Shared memory of one pipeline stage, over all channels: what one stage less would save.
static void report_over_budget(plan *p, int64_t total) {
  int64_t per_stage = 0;
  int depth = 0;
  tl_span where = {0};
  for (uint32_t i = 0; i < p->buffers.len; i++) {
    int stages = (int)ir_int(p->buffers.data[i].channel, "depth", 1);
    if (stages < depth)
      continue;
    if (stages > depth)
      per_stage = 0;
    depth = stages;
    per_stage += p->buffers.data[i].bytes / stages;
    where = p->buffers.data[i].channel->loc;
  }
  int budget = p->func->target->smem_cta_bytes;
  const char *fits = ": use a smaller tile";
  for (int stages = depth - 1; stages >= 2; stages--)
    if (total - (depth - stages) * per_stage <= budget) {
      fits = tl_sprintf(p->ctx->diags->arena, ": %d stages -> %d fits", depth, stages);
      break;
    }
  tl_report(p->ctx->diags, where, DIAG_E0401, (int)total, budget, p->func->target->name, fits);
}

bool pass_smem_alloc(ir_pass_ctx *ctx) {
  plan p = {.ctx = ctx, .func = ctx->func};
  ir_walk(ctx->func->body, number, &p);
  for (uint32_t i = 0; i < p.buffers.len; i++)
    if (ir_channel_is_fed(p.buffers.data[i].channel)) // filled by another role: at any time
      p.buffers.data[i].from = 0, p.buffers.data[i].to = p.now;
  int64_t total = 0;
  for (uint32_t i = 0; i < p.buffers.len; i++) {
    range *r = &p.buffers.data[i];
    r->offset = lowest_offset(r, p.buffers.data, i);
    ir_set_int(p.func, r->op, r->attr ? r->attr : "offset", r->offset);
    if (r->offset + r->bytes > total)
      total = r->offset + r->bytes;
  }
  for (uint32_t i = 0; i < p.scratch.len; i++) {
    range *r = &p.scratch.data[i];
    r->offset = place_scratch(&p, i);
    ir_set_int(p.func, r->op, "offset", r->offset);
    if (r->offset + r->bytes > total)
      total = r->offset + r->bytes;
  }
  guard_aliases(&p);
  p.func->smem_bytes = total;
  if (total > p.func->target->smem_cta_bytes)
    report_over_budget(&p, total);
  return true;
}
