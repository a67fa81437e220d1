// Growable arrays on an arena: TL_VEC(int) v = {0}; tl_push(arena, &v, 3); v.data[i], v.len.
// Growth leaves the old block to the arena.
#ifndef LANG_BASE_VEC_H
#define LANG_BASE_VEC_H
#include "lang/base/arena.h"
#include <stdint.h>
#include <string.h>

#define TL_VEC(T)                                                                                  \
  struct {                                                                                         \
    T *data;                                                                                       \
    uint32_t len, cap;                                                                             \
  }

static inline void *tl_vec_grow(tl_arena *arena, void *data, uint32_t len, uint32_t *cap,
                                size_t size) {
  uint32_t wanted = *cap ? *cap * 2 : 8;
  void *fresh = tl_alloc(arena, wanted * size);
  if (len)
    memcpy(fresh, data, len * size);
  *cap = wanted;
  return fresh;
}

#define tl_push(arena, v, item)                                                                    \
  ((v)->len == (v)->cap                                                                            \
       ? ((v)->data = tl_vec_grow((arena), (v)->data, (v)->len, &(v)->cap, sizeof *(v)->data))     \
       : (v)->data,                                                                                \
   (v)->data[(v)->len++] = (item))
#define tl_pop(v) ((v)->data[--(v)->len])
#define tl_last(v) ((v)->data[(v)->len - 1])
#endif
