// Interned types: equal types are equal pointers within one ty_ctx.
//
//   f32            scalar (a tile of rank 0)       f32[128,64]    tile
//   ptr<bf16>      global pointer                  tensor<bf16,2> tensor: base, dims and strides
//   buf<bf16>[4,128,64]  shared-memory buffer      chan           channel handle     none  no value
#ifndef LANG_TYPE_H
#define LANG_TYPE_H
#include "lang/base/arena.h"
#include "lang/base/str.h"
#include "lang/dtype.h"
#include <stdint.h>

enum { TY_MAX_RANK = 5 };

typedef enum ty_kind { TY_NONE, TY_TILE, TY_PTR, TY_TENSOR, TY_BUF, TY_CHAN } ty_kind;

typedef struct ty_type {
  ty_kind kind;
  tl_dtype dtype;           // element; TL_NODTYPE for none and chan
  int rank;                 // tile, buf: number of dims; tensor: its rank
  int64_t dims[TY_MAX_RANK]; // tile, buf only
  struct ty_type *next;     // intern chain
} ty_type;

typedef struct ty_ctx {
  tl_arena *arena;
  ty_type *buckets[256];
} ty_ctx;

void ty_init(ty_ctx *ctx, tl_arena *arena);
const ty_type *ty_none(ty_ctx *ctx);
const ty_type *ty_scalar(ty_ctx *ctx, tl_dtype dtype);
const ty_type *ty_tile(ty_ctx *ctx, tl_dtype dtype, int rank, const int64_t *dims);
const ty_type *ty_ptr(ty_ctx *ctx, tl_dtype dtype);
const ty_type *ty_tensor(ty_ctx *ctx, tl_dtype dtype, int rank);
const ty_type *ty_buf(ty_ctx *ctx, tl_dtype dtype, int rank, const int64_t *dims);
const ty_type *ty_chan(ty_ctx *ctx);
const ty_type *ty_with_dtype(ty_ctx *ctx, const ty_type *type, tl_dtype dtype); // same shape
int64_t ty_elems(const ty_type *type); // product of dims; 1 for a scalar
int64_t ty_row_bytes(const ty_type *type); // of the last dim, packed as in memory
static inline bool ty_is_scalar(const ty_type *t) { return t->kind == TY_TILE && t->rank == 0; }
static inline bool ty_is_tile(const ty_type *t) { return t->kind == TY_TILE && t->rank > 0; }
bool ty_same_shape(const ty_type *a, const ty_type *b);
void ty_print(const ty_type *type, tl_buf *out);
const char *ty_text(tl_arena *arena, const ty_type *type);
// Reads a type at *text and moves past it; NULL when there is none.
const ty_type *ty_parse(ty_ctx *ctx, const char **text);
#endif
