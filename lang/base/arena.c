// Bump allocation in growing chunks. calloc hands out zeroed pages lazily, so a large chunk costs
// only what is touched.
#include "lang/base/arena.h"
#include "lang/base/assert.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, FIRST_CHUNK_BYTES = 64 << 10, LAST_CHUNK_BYTES = 4 << 20 };

struct tl_chunk {
  tl_chunk *next;
  size_t bytes;
};

static void out_of_memory(size_t bytes) {
  if (tl_escape_to)
    TL_UNREACHABLE("out of memory (%zu bytes wanted)", bytes);
  fprintf(stderr, "out of memory (%zu bytes wanted)\n", bytes);
  abort();
}

static void add_chunk(tl_arena *arena, size_t wanted) {
  size_t bytes = arena->head ? arena->head->bytes * 2 : FIRST_CHUNK_BYTES;
  if (bytes > LAST_CHUNK_BYTES)
    bytes = LAST_CHUNK_BYTES;
  size_t header = (sizeof(tl_chunk) + ALIGN - 1) / ALIGN * ALIGN;
  if (wanted > bytes - header)
    bytes = wanted + header;
  tl_chunk *chunk = calloc(1, bytes);
  if (!chunk)
    out_of_memory(bytes);
  chunk->next = arena->head;
  chunk->bytes = bytes;
  arena->head = chunk;
  arena->at = (char *)chunk + header;
  arena->end = (char *)chunk + bytes;
}

void *tl_alloc(tl_arena *arena, size_t bytes) {
  if (bytes > SIZE_MAX / 2)
    out_of_memory(bytes);
  size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN;
  if (!arena->head || rounded > (size_t)(arena->end - arena->at))
    add_chunk(arena, rounded);
  void *block = arena->at;
  arena->at += rounded;
  arena->total_bytes += bytes;
  return block;
}

char *tl_strndup(tl_arena *arena, const char *text, size_t len) {
  char *copy = tl_alloc(arena, len + 1);
  if (len)
    memcpy(copy, text, len);
  return copy;
}

char *tl_strdup(tl_arena *arena, const char *text) { return tl_strndup(arena, text, strlen(text)); }

char *tl_vsprintf(tl_arena *arena, const char *fmt, va_list args) {
  va_list again;
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, fmt, args);
  if (len < 0)
    len = 0;
  char *text = tl_alloc(arena, (size_t)len + 1);
  vsnprintf(text, (size_t)len + 1, fmt, again);
  va_end(again);
  return text;
}

char *tl_sprintf(tl_arena *arena, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  char *text = tl_vsprintf(arena, fmt, args);
  va_end(args);
  return text;
}

void tl_arena_free(tl_arena *arena) {
  for (tl_chunk *chunk = arena->head, *next; chunk; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
  *arena = (tl_arena){0};
}
