// Interning by a small hash over kind, element and shape; the text form is what IR dumps print.
#include "lang/type.h"
#include "lang/base/assert.h"
#include <string.h>

static uint32_t hash_of(const ty_type *type) {
  uint32_t hash = (uint32_t)type->kind * 31 + (uint32_t)type->dtype;
  hash = hash * 31 + (uint32_t)type->rank;
  if (type->kind == TY_TILE || type->kind == TY_BUF)
    for (int i = 0; i < type->rank; i++)
      hash = hash * 0x9E3779B1u + (uint32_t)type->dims[i];
  return (hash ^ hash >> 15) & 255;
}

static bool equal(const ty_type *a, const ty_type *b) {
  return a->kind == b->kind && a->dtype == b->dtype && a->rank == b->rank &&
         !memcmp(a->dims, b->dims, sizeof a->dims);
}

static const ty_type *intern(ty_ctx *ctx, const ty_type *type) {
  uint32_t hash = hash_of(type);
  for (ty_type *at = ctx->buckets[hash]; at; at = at->next)
    if (equal(at, type))
      return at;
  ty_type *fresh = TL_NEW(ctx->arena, ty_type);
  *fresh = *type;
  fresh->next = ctx->buckets[hash];
  ctx->buckets[hash] = fresh;
  return fresh;
}

static const ty_type *shaped(ty_ctx *ctx, ty_kind kind, tl_dtype dtype, int rank,
                             const int64_t *dims) {
  TL_ASSERT(rank >= 0 && rank <= TY_MAX_RANK, "type of rank %d", rank);
  ty_type type = {.kind = kind, .dtype = dtype, .rank = rank};
  for (int i = 0; i < rank && dims; i++)
    type.dims[i] = dims[i];
  return intern(ctx, &type);
}

void ty_init(ty_ctx *ctx, tl_arena *arena) { *ctx = (ty_ctx){.arena = arena}; }

const ty_type *ty_none(ty_ctx *ctx) { return shaped(ctx, TY_NONE, TL_NODTYPE, 0, NULL); }

const ty_type *ty_scalar(ty_ctx *ctx, tl_dtype dtype) {
  return shaped(ctx, TY_TILE, dtype, 0, NULL);
}

const ty_type *ty_tile(ty_ctx *ctx, tl_dtype dtype, int rank, const int64_t *dims) {
  return shaped(ctx, TY_TILE, dtype, rank, dims);
}

const ty_type *ty_ptr(ty_ctx *ctx, tl_dtype dtype) { return shaped(ctx, TY_PTR, dtype, 0, NULL); }

const ty_type *ty_tensor(ty_ctx *ctx, tl_dtype dtype, int rank) {
  return shaped(ctx, TY_TENSOR, dtype, rank, NULL);
}

const ty_type *ty_buf(ty_ctx *ctx, tl_dtype dtype, int rank, const int64_t *dims) {
  return shaped(ctx, TY_BUF, dtype, rank, dims);
}

const ty_type *ty_chan(ty_ctx *ctx) { return shaped(ctx, TY_CHAN, TL_NODTYPE, 0, NULL); }

const ty_type *ty_with_dtype(ty_ctx *ctx, const ty_type *type, tl_dtype dtype) {
  return shaped(ctx, type->kind, dtype, type->rank, type->dims);
}

int64_t ty_elems(const ty_type *type) {
  int64_t count = 1;
  if (type->kind == TY_TILE || type->kind == TY_BUF)
    for (int i = 0; i < type->rank; i++)
      count *= type->dims[i];
  return count;
}

int64_t ty_row_bytes(const ty_type *type) {
  return type->dims[type->rank - 1] * tl_dtype_bits(type->dtype) / 8;
}

bool ty_same_shape(const ty_type *a, const ty_type *b) {
  return a->kind == b->kind && a->rank == b->rank && !memcmp(a->dims, b->dims, sizeof a->dims);
}

// --- text ---------------------------------------------------------------------------------------

static void print_dims(const ty_type *type, tl_buf *out) {
  if (!type->rank)
    return;
  for (int i = 0; i < type->rank; i++)
    tl_buf_printf(out, "%c%lld", i ? ',' : '[', (long long)type->dims[i]);
  tl_buf_putc(out, ']');
}

void ty_print(const ty_type *type, tl_buf *out) {
  switch (type->kind) {
  case TY_NONE:
    tl_buf_puts(out, "none");
    return;
  case TY_CHAN:
    tl_buf_puts(out, "chan");
    return;
  case TY_TILE:
    tl_buf_puts(out, tl_dtype_name(type->dtype));
    print_dims(type, out);
    return;
  case TY_PTR:
    tl_buf_printf(out, "ptr<%s>", tl_dtype_name(type->dtype));
    return;
  case TY_TENSOR:
    tl_buf_printf(out, "tensor<%s,%d>", tl_dtype_name(type->dtype), type->rank);
    return;
  case TY_BUF:
    tl_buf_printf(out, "buf<%s>", tl_dtype_name(type->dtype));
    print_dims(type, out);
    return;
  }
  TL_UNREACHABLE("type kind %d", (int)type->kind);
}

const char *ty_text(tl_arena *arena, const ty_type *type) {
  tl_buf buf = {0};
  ty_print(type, &buf);
  char *text = tl_strndup(arena, buf.data, buf.len);
  tl_buf_free(&buf);
  return text;
}

static size_t word_length(const char *text) {
  size_t len = 0;
  while ((text[len] >= 'a' && text[len] <= 'z') || (text[len] >= 'A' && text[len] <= 'Z') ||
         (text[len] >= '0' && text[len] <= '9') || text[len] == '_')
    len++;
  return len;
}

static bool read_word(const char **text, char *out, size_t size) {
  size_t len = word_length(*text);
  if (len == 0 || len >= size)
    return false;
  memcpy(out, *text, len);
  out[len] = 0;
  *text += len;
  return true;
}

// A positive decimal number that fits a tile dimension.
static bool read_number(const char **text, int64_t *out) {
  const char *at = *text;
  int64_t value = 0;
  while (*at >= '0' && *at <= '9' && value < INT32_MAX)
    value = value * 10 + (*at++ - '0');
  if (at == *text || value > INT32_MAX)
    return false;
  *text = at;
  *out = value;
  return true;
}

static bool read_char(const char **text, char c) {
  if (**text != c)
    return false;
  ++*text;
  return true;
}

// "[a,b,c]"; no bracket: rank 0. More elements than 2^40 are refused: products stay in range.
static bool read_dims(const char **text, int *out_rank, int64_t *dims) {
  int64_t room = (int64_t)1 << 40;
  *out_rank = 0;
  if (!read_char(text, '['))
    return true;
  do {
    if (*out_rank == TY_MAX_RANK || !read_number(text, &dims[*out_rank]) || dims[*out_rank] < 1 ||
        dims[*out_rank] > room)
      return false;
    room /= dims[*out_rank];
    ++*out_rank;
  } while (read_char(text, ','));
  return read_char(text, ']');
}

static bool read_element(const char **text, tl_dtype *out) {
  char word[16];
  if (!read_char(text, '<') || !read_word(text, word, sizeof word))
    return false;
  *out = tl_dtype_by_name(word);
  return *out != TL_NODTYPE;
}

static const ty_type *parse(ty_ctx *ctx, const char **text) {
  char word[16];
  int rank = 0;
  int64_t dims[TY_MAX_RANK] = {0}, number = 0;
  tl_dtype dtype;
  if (!read_word(text, word, sizeof word))
    return NULL;
  if (!strcmp(word, "none"))
    return ty_none(ctx);
  if (!strcmp(word, "chan"))
    return ty_chan(ctx);
  if (!strcmp(word, "ptr"))
    return read_element(text, &dtype) && read_char(text, '>') ? ty_ptr(ctx, dtype) : NULL;
  if (!strcmp(word, "tensor")) {
    if (!read_element(text, &dtype) || !read_char(text, ',') || !read_number(text, &number) ||
        number > TY_MAX_RANK || !read_char(text, '>'))
      return NULL;
    return ty_tensor(ctx, dtype, (int)number);
  }
  if (!strcmp(word, "buf")) {
    if (!read_element(text, &dtype) || !read_char(text, '>') || !read_dims(text, &rank, dims))
      return NULL;
    return ty_buf(ctx, dtype, rank, dims);
  }
  dtype = tl_dtype_by_name(word);
  if (dtype == TL_NODTYPE || !read_dims(text, &rank, dims))
    return NULL;
  return ty_tile(ctx, dtype, rank, dims);
}

const ty_type *ty_parse(ty_ctx *ctx, const char **text) {
  const char *at = *text;
  const ty_type *type = parse(ctx, &at);
  if (type)
    *text = at;
  return type;
}
