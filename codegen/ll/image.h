// A tile as a row-major image in shared scratch: converts, reshapes, scalar exchange.
#ifndef CODEGEN_LL_IMAGE_H
#define CODEGEN_LL_IMAGE_H
#include "codegen/ll/emit.h"

typedef struct ll_image {
  const ty_type *tile;
  int64_t pitch; // bytes per row
  int elem_bytes;
  ll_v base;
} ll_image;
ll_image ll_image_of(ll_ctx *c, const ty_type *tile, int64_t offset, bool dense);
void ll_image_store(ll_ctx *c, const ll_image *image, ir_val val);
void ll_image_load(ll_ctx *c, const ll_image *image, ir_val res); // in the result's layout
// The element at coordinates that all depend on the thread.
ll_v ll_image_element(ll_ctx *c, const ll_image *image, const ll_v *at);
// reshape, slice or bitcast marked {via="shared"}.
void ll_shape_through_shared(ll_ctx *c, const ir_op *op);
#endif
