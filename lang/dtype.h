// Element types as an enum with their facts; rows in lang/dtypes.def.
#ifndef LANG_DTYPE_H
#define LANG_DTYPE_H
#include <stdbool.h>

typedef enum tl_dtype {
  TL_NODTYPE,
#define DTYPE(id, name, bits, cls, ebits, mbits, bias) TL_##id,
#include "lang/dtypes.def"
#undef DTYPE
  TL_DTYPE_COUNT
} tl_dtype;

typedef enum tl_dclass { TL_CLASS_NONE, TL_CLASS_INT, TL_CLASS_UINT, TL_CLASS_FLOAT } tl_dclass;

typedef struct tl_dtype_info {
  const char *name;
  int bits; // storage bits of one element (4 for packed types)
  tl_dclass cls;
  int exponent_bits, fraction_bits, bias; // floats only
} tl_dtype_info;

const tl_dtype_info *tl_dtype_of(tl_dtype type); // never NULL for a valid type
tl_dtype tl_dtype_by_name(const char *name);     // TL_NODTYPE when unknown
static inline const char *tl_dtype_name(tl_dtype type) { return tl_dtype_of(type)->name; }
static inline int tl_dtype_bits(tl_dtype type) { return tl_dtype_of(type)->bits; }
static inline bool tl_is_float(tl_dtype type) { return tl_dtype_of(type)->cls == TL_CLASS_FLOAT; }
static inline bool tl_is_signed(tl_dtype type) { return tl_dtype_of(type)->cls == TL_CLASS_INT; }
static inline bool tl_is_int(tl_dtype type) { return !tl_is_float(type); } // i1 included
#endif
