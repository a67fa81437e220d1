// Arena: all memory of one compilation (or one simulated launch), freed whole.
//
// Allocation is zeroed and 16-byte aligned; running out of memory prints one line and aborts, so no
// caller checks for NULL. An arena belongs to one thread.
#ifndef LANG_BASE_ARENA_H
#define LANG_BASE_ARENA_H
#include <stdarg.h>
#include <stddef.h>

typedef struct tl_chunk tl_chunk;
typedef struct tl_arena {
  tl_chunk *head;     // newest chunk first
  char *at, *end;     // free space of the newest chunk
  size_t total_bytes; // everything handed out, for --time-report
} tl_arena;

void *tl_alloc(tl_arena *arena, size_t bytes);
char *tl_strdup(tl_arena *arena, const char *text);
char *tl_strndup(tl_arena *arena, const char *text, size_t len);
char *tl_sprintf(tl_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *tl_vsprintf(tl_arena *arena, const char *fmt, va_list args);
void tl_arena_free(tl_arena *arena); // leaves the arena empty and usable again

#define TL_NEW(arena, T) ((T *)tl_alloc((arena), sizeof(T)))
#define TL_NEW_N(arena, T, n) ((T *)tl_alloc((arena), sizeof(T) * (size_t)(n)))
#endif
