// Argument checking. Every message names the argument and gives both numbers.
//
// Order: types and ranks, then the plain dims (which bind the free names), then expressions over
// them. Requirements come in between for the user's sake, in select: with K = 96 "requires
// K % 128 == 0" says more than a scale tensor of a wrong extent, so tile_bind leaves the extents of
// composite dims to tile_bound_check_shapes, which select calls once a variant's requirements hold.
#include "runtime/args.h"
#include "lang/base/expr.h"
#include "lang/base/fp.h"
#include "runtime/status.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DTYPE(id, name, bits, cls, ebits, mbits, bias)                                             \
  _Static_assert((int)TILE_##id == (int)TL_##id, "tile_dtype and tl_dtype number types alike");
#include "lang/dtypes.def"
#undef DTYPE

// Inside a tile, offsets are 32-bit (language rule 5.3); no tile is longer than this along an axis
// that it does not walk with stride 1.
enum { MAX_TILE_EXTENT = 1024 };
// With strides below 2^31 and extents up to 2^31, no offset of an in-range element overflows 64
// bits.
#define MAX_EXTENT ((int64_t)1 << 30 << 1)

static const char *dtype_name(int32_t dtype) {
  return dtype > TL_NODTYPE && dtype < TL_DTYPE_COUNT ? tl_dtype_name((tl_dtype)dtype) : "no type";
}

// Bytes of `elems` elements, exact for packed types when `elems` is even.
static int64_t bytes_of(tl_dtype dtype, int64_t elems) {
  int bits = tl_dtype_bits(dtype) == 1 ? 8 : tl_dtype_bits(dtype);
  return bits >= 8 ? elems * (bits / 8) : elems / 2;
}

// --- expressions -------------------------------------------------------------------------------

bool tile_bound_lookup(void *user, const char *name, size_t len, int64_t *out) {
  const tile_bound *bound = user;
  const tile_kernel *kernel = bound->kernel;
  for (int i = 0; i < kernel->ndims; i++)
    if (strlen(kernel->dims[i]) == len && memcmp(kernel->dims[i], name, len) == 0)
      return *out = bound->dims[i], bound->has_dim[i];
  for (int i = 0; i < kernel->nparams; i++) {
    const tile_param *param = &kernel->params[i];
    if (!param->is_tensor && tl_is_int(param->dtype) && strlen(param->name) == len &&
        memcmp(param->name, name, len) == 0)
      return *out = bound->args[i].i, true;
  }
  return false;
}

tile_status tile_bound_eval(const tile_bound *bound, const char *expr, const char *what,
                            int64_t *out) {
  char error[160];
  if (tl_expr_eval(expr, tile_bound_lookup, (void *)bound, out, error, sizeof error))
    return TILE_OK;
  return tile_fail(TILE_E_SHAPE, "%s: %s: %s", what, expr, error);
}

void tile_bound_describe(const tile_bound *bound, const char *expr, char *out, size_t size) {
  size_t used = 0;
  char seen[32][40];
  int nseen = 0;
  *out = 0;
  while (*expr) {
    size_t len = 0;
    if (!isalpha((unsigned char)*expr) && *expr != '_') {
      expr += isdigit((unsigned char)*expr) ? strspn(expr, "0123456789") : 1;
      continue;
    }
    while (isalnum((unsigned char)expr[len]) || expr[len] == '_')
      len++;
    int64_t value;
    bool told = len >= sizeof seen[0] || nseen == 32;
    for (int i = 0; i < nseen && !told; i++)
      told = strlen(seen[i]) == len && memcmp(seen[i], expr, len) == 0;
    if (!told && tile_bound_lookup((void *)bound, expr, len, &value)) {
      snprintf(seen[nseen++], sizeof seen[0], "%.*s", (int)len, expr);
      int wrote = snprintf(out + used, size - used, "%s%.*s = %" PRId64, used ? ", " : "", (int)len,
                           expr, value);
      if (wrote < 0 || (size_t)wrote >= size - used)
        return;
      used += (size_t)wrote;
    }
    expr += len;
  }
}

// --- one argument ------------------------------------------------------------------------------

static tile_status check_scalar(const tile_param *param, int pos, const tile_arg *arg) {
  bool wants_float = tl_is_float(param->dtype);
  if (arg->kind != (wants_float ? TILE_ARG_FLOAT : TILE_ARG_INT))
    return tile_fail(TILE_E_DTYPE, "arg %d '%s': must be %s scalar of type %s", pos, param->name,
                     wants_float ? "a floating-point" : "an integer", tl_dtype_name(param->dtype));
  int bits = tl_dtype_bits(param->dtype);
  if (wants_float || bits == 64)
    return TILE_OK;
  bool is_signed = tl_is_signed(param->dtype) && bits > 1;
  int64_t low = is_signed ? -((int64_t)1 << (bits - 1)) : 0;
  int64_t high = is_signed ? ((int64_t)1 << (bits - 1)) - 1 : ((int64_t)1 << bits) - 1;
  if (arg->i < low || arg->i > high)
    return tile_fail(TILE_E_SHAPE, "arg %d '%s': %" PRId64 " does not fit %s", pos, param->name,
                     arg->i, tl_dtype_name(param->dtype));
  return TILE_OK;
}

static tile_status check_tensor_type(const tile_param *param, int pos, const tile_arg *arg) {
  const tile_tensor *tensor = &arg->tensor;
  if (arg->kind != TILE_ARG_TENSOR)
    return tile_fail(TILE_E_DTYPE, "arg %d '%s': must be a tensor of %s", pos, param->name,
                     tl_dtype_name(param->dtype));
  if (tensor->dtype != (int32_t)param->dtype)
    return tile_fail(TILE_E_DTYPE, "arg %d '%s': is %s, must be %s", pos, param->name,
                     dtype_name(tensor->dtype), tl_dtype_name(param->dtype));
  if (tensor->ndim != param->ndim)
    return tile_fail(TILE_E_SHAPE, "arg %d '%s': has %d dimensions, must have %d", pos, param->name,
                     tensor->ndim, param->ndim);
  if (param->ndim > 0 && !tensor->shape)
    return tile_fail(TILE_E_INVALID, "arg %d '%s': shape is NULL", pos, param->name);
  for (int i = 0; i < param->ndim; i++)
    if (tensor->shape[i] < 0 || tensor->shape[i] > MAX_EXTENT)
      return tile_fail(TILE_E_SHAPE, "arg %d '%s': shape[%d] = %" PRId64 " is %s", pos, param->name,
                       i, tensor->shape[i], tensor->shape[i] < 0 ? "negative" : "too large");
  return TILE_OK;
}

static void copy_shape(tile_bound *bound, int pos) {
  const tile_tensor *tensor = &bound->args[pos].tensor;
  int64_t dense = 1;
  for (int i = tensor->ndim - 1; i >= 0; i--) {
    bound->shape[pos][i] = tensor->shape[i];
    bound->stride[pos][i] = tensor->stride ? tensor->stride[i] : dense;
    if (tensor->shape[i] > 0 && dense <= INT64_MAX / tensor->shape[i])
      dense *= tensor->shape[i]; // beyond that every stride check fails
  }
}

// --- dims --------------------------------------------------------------------------------------

static int free_name(const tile_kernel *kernel, const char *dim) {
  for (int i = 0; i < kernel->ndims; i++)
    if (strcmp(kernel->dims[i], dim) == 0)
      return i;
  return -1;
}

static tile_status bind_plain_dims(tile_bound *bound, int pos) {
  const tile_kernel *kernel = bound->kernel;
  const tile_param *param = &kernel->params[pos];
  for (int i = 0; i < param->ndim; i++) {
    int name = free_name(kernel, param->dims[i]);
    int64_t extent = bound->shape[pos][i];
    if (name < 0)
      continue;
    if (!bound->has_dim[name]) {
      bound->has_dim[name] = true;
      bound->dims[name] = extent;
      bound->bound_by[name] = pos;
    } else if (bound->dims[name] != extent) {
      return tile_fail(TILE_E_SHAPE,
                       "arg %d '%s': '%s' is %" PRId64 " in '%s' but %" PRId64 " in '%s'", pos,
                       param->name, param->dims[i], extent, param->name, bound->dims[name],
                       kernel->params[bound->bound_by[name]].name);
    }
  }
  return TILE_OK;
}

tile_status tile_bind(const tile_kernel *kernel, const tile_arg *args, int nargs, tile_bound *out) {
  if (nargs != kernel->nparams)
    return tile_fail(TILE_E_INVALID, "'%s' takes %d arguments, %d were given", kernel->name,
                     kernel->nparams, nargs);
  memset(out, 0, sizeof *out);
  out->kernel = kernel;
  for (int i = 0; i < nargs; i++) {
    out->args[i] = args[i];
    if (!kernel->params[i].is_tensor) {
      TILE_TRY(check_scalar(&kernel->params[i], i, &args[i]));
      continue;
    }
    TILE_TRY(check_tensor_type(&kernel->params[i], i, &args[i]));
    copy_shape(out, i);
  }
  for (int i = 0; i < nargs; i++)
    TILE_TRY(bind_plain_dims(out, i));
  return TILE_OK;
}

// --- shapes, strides, addresses ----------------------------------------------------------------

bool tile_bound_is_empty(const tile_bound *bound, int pos) {
  for (int i = 0; i < bound->kernel->params[pos].ndim; i++)
    if (bound->shape[pos][i] == 0)
      return true;
  return false;
}

static tile_status check_dims(const tile_bound *bound, int pos) {
  const tile_param *param = &bound->kernel->params[pos];
  for (int i = 0; i < param->ndim; i++) {
    int64_t wanted;
    if (free_name(bound->kernel, param->dims[i]) >= 0)
      continue;
    TILE_TRY(tile_bound_eval(bound, param->dims[i], param->name, &wanted));
    if (wanted != bound->shape[pos][i]) {
      char values[160];
      tile_bound_describe(bound, param->dims[i], values, sizeof values);
      return tile_fail(TILE_E_SHAPE,
                       "arg %d '%s': shape[%d] = %" PRId64 ", must be %s = %" PRId64 "%s%s%s", pos,
                       param->name, i, bound->shape[pos][i], param->dims[i], wanted,
                       *values ? " (" : "", values, *values ? ")" : "");
    }
  }
  return TILE_OK;
}

static tile_status bad_stride(const tile_param *param, int pos, int axis, int64_t stride,
                              const char *why) {
  return tile_fail(TILE_E_SHAPE, "arg %d '%s': stride[%d] = %" PRId64 ", %s", pos, param->name,
                   axis, stride, why);
}

// Rows of 4-bit elements are whole bytes.
static tile_status check_packed(const tile_bound *bound, int pos) {
  const tile_param *param = &bound->kernel->params[pos];
  int last = param->ndim - 1;
  if (tl_dtype_bits(param->dtype) != 4 || last < 0 || bound->shape[pos][last] % 2 == 0)
    return TILE_OK;
  return tile_fail(TILE_E_SHAPE,
                   "arg %d '%s': shape[%d] = %" PRId64 ", must be even: two elements share a byte",
                   pos, param->name, last, bound->shape[pos][last]);
}

static tile_status check_stride(const tile_bound *bound, int pos, int axis) {
  const tile_param *param = &bound->kernel->params[pos];
  int64_t stride = bound->stride[pos][axis], extent = bound->shape[pos][axis], wanted;
  if (extent <= 1) // never multiplied by anything but 0
    return TILE_OK;
  if (param->strides[axis][0]) {
    TILE_TRY(tile_bound_eval(bound, param->strides[axis], param->name, &wanted));
    if (stride != wanted) {
      char why[200], values[120];
      tile_bound_describe(bound, param->strides[axis], values, sizeof values);
      snprintf(why, sizeof why, *values ? "must be %s = %" PRId64 : "must be %s",
               param->strides[axis], wanted);
      return bad_stride(param, pos, axis, stride, why);
    }
  }
  if (stride < 0)
    return bad_stride(param, pos, axis, stride, "must not be negative");
  if (tl_dtype_bits(param->dtype) == 4 && axis < param->ndim - 1 && stride % 2 != 0)
    return bad_stride(param, pos, axis, stride, "must be even: two elements share a byte");
  int64_t reach = extent < MAX_TILE_EXTENT ? extent : MAX_TILE_EXTENT;
  if (stride > INT32_MAX / reach)
    return bad_stride(param, pos, axis, stride, "too large: offsets inside a tile are 32-bit");
  return TILE_OK;
}

// Two elements of an output must not share an address: sorted by stride, each axis steps past all
// that lies below it.
static tile_status check_overlap(const tile_bound *bound, int pos) {
  const tile_param *param = &bound->kernel->params[pos];
  bool done[TILE_MAX_RANK] = {false};
  int64_t span = 1; // elements from the first to one past the last of the axes done
  for (int round = 0; round < param->ndim; round++) {
    int axis = -1;
    for (int i = 0; i < param->ndim; i++)
      if (!done[i] && (axis < 0 || bound->stride[pos][i] < bound->stride[pos][axis]))
        axis = i;
    done[axis] = true;
    if (bound->shape[pos][axis] <= 1)
      continue;
    if (bound->stride[pos][axis] < span)
      return bad_stride(param, pos, axis, bound->stride[pos][axis],
                        "makes elements of an output share an address");
    span += (bound->shape[pos][axis] - 1) * bound->stride[pos][axis];
  }
  return TILE_OK;
}

static tile_status check_address(const tile_bound *bound, int pos) {
  const tile_param *param = &bound->kernel->params[pos];
  uintptr_t address = (uintptr_t)bound->args[pos].tensor.data;
  int64_t size = bytes_of(param->dtype, 1);
  if (size > 1 && address % (uintptr_t)size != 0)
    return tile_fail(TILE_E_ALIGN,
                     "arg %d '%s': address 0x%" PRIxPTR " is not a multiple of %" PRId64
                     ", the size of %s",
                     pos, param->name, address, size, tl_dtype_name(param->dtype));
  return TILE_OK;
}

tile_status tile_bound_check_shapes(const tile_bound *bound) {
  const tile_kernel *kernel = bound->kernel;
  for (int pos = 0; pos < kernel->nparams; pos++) {
    const tile_param *param = &kernel->params[pos];
    if (!param->is_tensor)
      continue;
    TILE_TRY(check_dims(bound, pos));
    if (tile_bound_is_empty(bound, pos))
      continue; // holds nothing: its strides and address do not matter
    TILE_TRY(check_packed(bound, pos));
    for (int i = 0; i < param->ndim; i++)
      TILE_TRY(check_stride(bound, pos, i));
    if (param->dir != TILE_IN)
      TILE_TRY(check_overlap(bound, pos));
    TILE_TRY(check_address(bound, pos));
  }
  return TILE_OK;
}

tile_status tile_bound_check_align(const tile_bound *bound, int align) {
  const tile_kernel *kernel = bound->kernel;
  for (int pos = 0; pos < kernel->nparams && align > 1; pos++) {
    const tile_param *param = &kernel->params[pos];
    if (!param->is_tensor || tile_bound_is_empty(bound, pos))
      continue;
    uintptr_t address = (uintptr_t)bound->args[pos].tensor.data;
    if (address % (uintptr_t)align != 0)
      return tile_fail(TILE_E_ALIGN, "arg %d '%s': address 0x%" PRIxPTR " is not a multiple of %d",
                       pos, param->name, address, align);
    for (int i = 0; i < param->ndim; i++) {
      int64_t stride = bound->stride[pos][i];
      if (!param->strides[i][0] && bound->shape[pos][i] > 1 &&
          bytes_of(param->dtype, stride) % align != 0)
        return tile_fail(TILE_E_ALIGN,
                         "arg %d '%s': stride[%d] = %" PRId64 " is %" PRId64
                         " bytes, not a multiple of %d",
                         pos, param->name, i, stride, bytes_of(param->dtype, stride), align);
    }
  }
  return TILE_OK;
}

// --- packing -----------------------------------------------------------------------------------

static uint64_t scalar_bits(const tile_param *param, const tile_arg *arg) {
  if (tl_is_float(param->dtype))
    return tl_fp_encode(param->dtype, arg->f, TL_RN, false);
  return (uint64_t)arg->i;
}

tile_status tile_bound_pack(const tile_bound *bound, const tile_variant *variant,
                            unsigned char *params) {
  const tile_kernel *kernel = bound->kernel;
  for (int i = 0; i < variant->nabi; i++) {
    const tile_abi_item *item = &variant->abi[i];
    uint64_t bits = 0;
    switch (item->kind) {
    case TILE_ABI_PTR:
      bits = (uintptr_t)bound->args[item->index].tensor.data;
      break;
    case TILE_ABI_SCALAR:
      bits = scalar_bits(&kernel->params[item->index], &bound->args[item->index]);
      break;
    case TILE_ABI_DIM:
      bits = (uint64_t)bound->dims[item->index];
      if (item->dtype == TL_I32 && bound->dims[item->index] > INT32_MAX)
        return tile_fail(TILE_E_SHAPE, "%s = %" PRId64 " does not fit the kernel's 32-bit index",
                         kernel->dims[item->index], bound->dims[item->index]);
      break;
    case TILE_ABI_TMAP:
      continue; // the plan encodes it
    case TILE_ABI_STRIDE:
      bits = (uint64_t)bound->stride[item->index][item->axis];
      if (item->dtype == TL_I32 && (int64_t)bits > INT32_MAX)
        return tile_fail(TILE_E_SHAPE, "arg %d '%s': stride[%d] = %" PRId64 " does not fit 32 bits",
                         item->index, kernel->params[item->index].name, item->axis, (int64_t)bits);
      break;
    }
    memcpy(params + variant->offsets[i], &bits, variant->sizes[i]); // little-endian hosts only
  }
  return TILE_OK;
}
