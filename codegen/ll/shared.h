// Addresses inside a shared buffer: one thread's part once, constant parts added or XORed.
#ifndef CODEGEN_LL_SHARED_H
#define CODEGEN_LL_SHARED_H
#include "codegen/ll/emit.h"

typedef struct ll_variant {
  int64_t rest, bits;
  ll_v value;
} ll_variant;

typedef struct ll_shared {
  const ir_layout *layout;
  const ty_type *buf; // dims[0] is the stage
  int64_t rows, row_bytes, pitch, width;
  ll_v plain;       // thread part before the swizzle
  ll_v swizzled;    // after it
  int64_t col_bits; // bits that the thread's column (bytes) can have; -1: unknown
  TL_VEC(ll_variant) variants;
  bool in_entry; // the thread part and what derives from it are built in the entry block
} ll_shared;
// `at`: thread part of the tile coordinates.
ll_shared ll_shared_open(ll_ctx *c, const ir_layout *layout, const ty_type *buf, const ll_v *at,
                         int64_t col_bits, bool in_entry);
// Pointer to the element at constant coordinates `fixed` beyond the thread's.
ll_v ll_shared_at(ll_ctx *c, ll_shared *shared, ll_v stage, const int64_t *fixed);

// Channel payload `field`: its buffer and the pointer to the producer's or consumer's slot.
typedef struct ll_field {
  const ir_op *buffer;
  const ty_type *buf;
  const ir_layout *layout;
} ll_field;
ll_field ll_field_of(ll_ctx *c, const ll_channel *channel, int index);
ll_v ll_stage(ll_ctx *c, const ll_channel *channel, const ll_field *field, bool producer);
ll_channel *ll_channel_of(ll_ctx *c, const ir_op *op);
void ll_emit_copy(ll_ctx *c, const ir_op *op);
void ll_emit_read(ll_ctx *c, const ir_op *op);
// Channels that another role fills (fed.c).
void ll_fed_open(ll_ctx *c, ll_channel *channel);
void ll_fed_copy(ll_ctx *c, const ll_channel *channel, const ir_op *op);
void ll_fed_sync(ll_ctx *c, const ll_channel *channel, const ir_op *op);
// Parts of that which channels between a user's own roles share (roles.c); `producer`: of the side
// that fills.
void ll_fed_barriers(ll_ctx *c, ll_channel *channel, int64_t full, int64_t empty); // arrivals
ll_v ll_fed_barrier(ll_ctx *c, const ll_channel *channel, bool producer, bool empty);
void ll_fed_wait(ll_ctx *c, const ll_channel *channel, bool producer);
void ll_fed_advance(ll_ctx *c, const ll_channel *channel, bool producer);
void ll_fed_boxes(ll_ctx *c, const ll_channel *channel, const ir_op *op); // by one thread
void ll_hand_open(ll_ctx *c, ll_channel *channel);
void ll_hand_op(ll_ctx *c, const ll_channel *channel, const ir_op *op);
#endif
