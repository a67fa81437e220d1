// Arguments from words: NAME=VALUE into shapes, layouts and contents.
//
// Dims are known in three steps: named ones (M=77), files and written extents in declaration order,
// then whatever the kernel's own expressions give for the rest. A tensor is laid out as its file
// is, if the kernel accepts that, else in the strides the kernel asks for, run-time strides dense.
#include "runtime/tilerun.h"
#include "lang/base/str.h"
#include "runtime/npy.h"
#include "runtime/status.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// --- words -------------------------------------------------------------------------------------

static int complain(const char *fmt, const char *a, const char *b) {
  fputs("tilerun: ", stderr);
  fprintf(stderr, fmt, a, b);
  fputc('\n', stderr);
  return RUN_USAGE;
}

// "randn[77,384;512,1]" and "randn"; the parts between the brackets go to the tensor.
static bool parse_fill(tl_arena *arena, const char *text, run_tensor *out) {
  static const char *const words[] = {"zeros", "randn", "poison"};
  for (int i = 0; i < 3; i++) {
    size_t len = strlen(words[i]);
    if (strncmp(text, words[i], len) != 0)
      continue;
    out->fill = (run_fill)i;
    text += len;
    if (!*text)
      return true;
    size_t inside = strlen(text);
    if (*text != '[' || text[inside - 1] != ']')
      return false;
    char *extents = tl_strndup(arena, text + 1, inside - 2), *semicolon = strchr(extents, ';');
    if (semicolon) {
      *semicolon = 0;
      out->steps = semicolon + 1;
    }
    out->extents = extents;
    return true;
  }
  return false;
}

static int parse_tensor(run_case *call, int pos, const char *text) {
  run_tensor *tensor = &call->tensors[pos];
  tensor->given = true;
  if (*text == '@') {
    const char *semicolon = strrchr(text, ';');
    tensor->fill = RUN_FILE;
    tensor->path = text + 1;
    if (semicolon) {
      tensor->path = tl_strndup(&call->arena, text + 1, (size_t)(semicolon - text) - 1);
      tensor->steps = semicolon + 1;
    }
    return RUN_OK;
  }
  if (parse_fill(&call->arena, text, tensor))
    return RUN_OK;
  return complain("'%s' is a tensor: @FILE.npy, zeros[DIMS], randn[DIMS] or poison[DIMS], not '%s'",
                  tensor->param->name, text);
}

static bool parse_integer(const char *text, int64_t *out) {
  char *end;
  errno = 0;
  *out = strtoll(text, &end, 0);
  return *text && !*end && !errno;
}

static int parse_scalar(run_case *call, int pos, const char *text) {
  const tile_param *param = &call->kernel->params[pos];
  tile_arg *arg = &call->bound.args[pos];
  call->tensors[pos].given = true;
  char *end;
  if (tl_is_float(param->dtype)) {
    *arg = (tile_arg){.kind = TILE_ARG_FLOAT, .f = strtod(text, &end)};
    return *text && !*end ? RUN_OK : complain("'%s' is a number, not '%s'", param->name, text);
  }
  *arg = (tile_arg){.kind = TILE_ARG_INT};
  return parse_integer(text, &arg->i)
             ? RUN_OK
             : complain("'%s' is a whole number, not '%s'", param->name, text);
}

static int unknown_name(const tile_kernel *kernel, const char *name) {
  const char *names[TILE_MAX_PARAMS + TILE_MAX_DIMS];
  size_t count = 0;
  for (int i = 0; i < kernel->nparams; i++)
    names[count++] = kernel->params[i].name;
  for (int i = 0; i < kernel->ndims; i++)
    names[count++] = kernel->dims[i];
  const char *nearest = name[1] ? tl_nearest(name, names, count) : NULL; // one letter is near all
  if (nearest)
    return complain("the kernel has no '%s'; did you mean '%s'?", name, nearest);
  tl_buf buf = {0};
  for (size_t i = 0; i < count; i++)
    tl_buf_printf(&buf, "%s%s", i ? ", " : "", names[i]);
  int code = complain("the kernel has no '%s'; it has: %s", name, buf.data ? buf.data : "nothing");
  tl_buf_free(&buf);
  return code;
}

static int param_of(const tile_kernel *kernel, const char *name) {
  for (int i = 0; i < kernel->nparams; i++)
    if (strcmp(kernel->params[i].name, name) == 0)
      return i;
  return -1;
}

static int take_value(run_case *call, const run_pair *pair) {
  tile_kernel *kernel = call->kernel;
  int pos = param_of(kernel, pair->name);
  if (pos >= 0)
    return kernel->params[pos].is_tensor ? parse_tensor(call, pos, pair->value)
                                         : parse_scalar(call, pos, pair->value);
  for (int i = 0; i < kernel->ndims; i++)
    if (strcmp(kernel->dims[i], pair->name) == 0) {
      call->bound.has_dim[i] = true;
      call->bound.bound_by[i] = -1;
      return parse_integer(pair->value, &call->bound.dims[i]) && call->bound.dims[i] >= 0
                 ? RUN_OK
                 : complain("'%s' is a dim, not '%s'", pair->name, pair->value);
    }
  return unknown_name(kernel, pair->name);
}

// --- shapes ------------------------------------------------------------------------------------

// Plain dims bind their names where nothing did before. Contradictions are left to the launch,
// which names both arguments.
static void bind_names(run_case *call, int pos) {
  const tile_param *param = &call->kernel->params[pos];
  for (int axis = 0; axis < param->ndim; axis++)
    for (int i = 0; i < call->kernel->ndims; i++)
      if (strcmp(call->kernel->dims[i], param->dims[axis]) == 0 && !call->bound.has_dim[i]) {
        call->bound.has_dim[i] = true;
        call->bound.dims[i] = call->tensors[pos].shape[axis];
        call->bound.bound_by[i] = pos;
      }
}

static tile_status check_extent(const char *name, int64_t extent) {
  if (extent < 0 || extent > INT32_MAX)
    return tile_fail(TILE_E_SHAPE, "'%s': an extent of %lld", name, (long long)extent);
  return TILE_OK;
}

// "77, K/128" into numbers, one for each axis.
static tile_status eval_list(run_case *call, const tile_param *param, const char *text,
                             int64_t *out) {
  const char *rest = text;
  for (int axis = 0;; axis++) {
    int depth = 0;
    size_t len = 0;
    for (; rest[len] && (rest[len] != ',' || depth); len++)
      depth += rest[len] == '(' ? 1 : rest[len] == ')' ? -1 : 0;
    if (axis >= param->ndim && (axis || strspn(rest, " ") < len))
      return tile_fail(TILE_E_SHAPE, "'%s' has %d dimensions, not those of [%s]", param->name,
                       param->ndim, text);
    if (param->ndim == 0)
      return TILE_OK;
    TILE_TRY(tile_bound_eval(&call->bound, tl_strndup(&call->arena, rest, len), param->name,
                             &out[axis]));
    TILE_TRY(check_extent(param->name, out[axis]));
    if (!rest[len]) {
      if (axis + 1 < param->ndim)
        return tile_fail(TILE_E_SHAPE, "'%s' has %d dimensions, not those of [%s]", param->name,
                         param->ndim, text);
      return TILE_OK;
    }
    rest += len + 1;
  }
}

static tile_status derive_shape(run_case *call, int pos) {
  const tile_param *param = &call->kernel->params[pos];
  for (int axis = 0; axis < param->ndim; axis++) {
    if (tile_bound_eval(&call->bound, param->dims[axis], param->name,
                        &call->tensors[pos].shape[axis]) != TILE_OK)
      return tile_fail_in(TILE_E_SHAPE, "a shape does not follow from the other arguments");
    TILE_TRY(check_extent(param->name, call->tensors[pos].shape[axis]));
  }
  return TILE_OK;
}

// --- layouts -----------------------------------------------------------------------------------

// The strides the kernel asks for, run-time ones dense around them from the last axis on.
static tile_status required_strides(run_case *call, int pos, int64_t *out) {
  const tile_param *param = &call->kernel->params[pos];
  const int64_t *shape = call->tensors[pos].shape;
  int64_t span = 1;
  for (int axis = 0; axis < param->ndim; axis++) {
    if (!param->strides[axis][0])
      continue;
    TILE_TRY(tile_bound_eval(&call->bound, param->strides[axis], param->name, &out[axis]));
    if (out[axis] < 0)
      return tile_fail(TILE_E_SHAPE, "'%s': stride[%d] = %lld", param->name, axis,
                       (long long)out[axis]);
    span += shape[axis] > 0 ? (shape[axis] - 1) * out[axis] : 0;
  }
  for (int axis = param->ndim - 1; axis >= 0; axis--)
    if (!param->strides[axis][0]) {
      if (tl_dtype_bits(param->dtype) == 4 && span % 2) // rows of packed elements start at a byte
        span += span > 1;
      out[axis] = span;
      span += shape[axis] > 0 ? (shape[axis] - 1) * span : 0;
    }
  return TILE_OK;
}

static bool fixed_strides_agree(const tile_param *param, const int64_t *shape, const int64_t *have,
                                const int64_t *want) {
  for (int axis = 0; axis < param->ndim; axis++)
    if (param->strides[axis][0] && shape[axis] > 1 && have[axis] != want[axis])
      return false;
  return true;
}

static tile_status allocate(run_tensor *tensor) {
  const tile_param *param = tensor->param;
  int64_t elems = 1;
  for (int i = 0; i < param->ndim; i++) {
    int64_t more = tensor->shape[i] > 0 ? (tensor->shape[i] - 1) * tensor->stride[i] : -elems;
    if (__builtin_add_overflow(elems, more, &elems) || elems > (int64_t)1 << 40)
      return tile_fail(TILE_E_NOMEM, "'%s': too large", param->name);
    if (tensor->shape[i] == 0)
      break;
  }
  int bits = tl_dtype_bits(param->dtype);
  tensor->bytes =
      bits == 4 ? (size_t)(elems + 1) / 2 : (size_t)elems * (bits < 8 ? 1 : (size_t)bits / 8);
  tensor->host = malloc(tensor->bytes ? tensor->bytes : 1);
  if (!tensor->host)
    return tile_fail(TILE_E_NOMEM, "'%s': out of memory: %zu bytes", param->name, tensor->bytes);
  bool gaps = tensor->fill == RUN_FILE && tensor->steps; // what lies there is nobody's value
  memset(tensor->host, tensor->fill == RUN_POISON || gaps ? 0xFF : 0, tensor->bytes);
  return TILE_OK;
}

// --- files -------------------------------------------------------------------------------------

// 1- and 2-byte types travel as raw bytes of their size; others must be what they are.
static bool file_type_fits(const npy_array *array, tl_dtype dtype) {
  int bits = tl_dtype_bits(dtype);
  int bytes = bits < 8 ? 1 : bits / 8;
  bool is_number = array->kind == 'f' || array->kind == 'i' || array->kind == 'u';
  if (array->item_bytes != bytes)
    return false;
  if (array->kind == 'V' || bytes == 1)
    return true;
  if (bytes == 2 && array->kind != 'f')
    return is_number;
  bool wants_float = bytes == 2 ? dtype == TL_F16 : tl_is_float(dtype);
  return is_number && (array->kind == 'f') == wants_float;
}

static tile_status check_file(const run_tensor *tensor, const npy_array *array) {
  const tile_param *param = tensor->param;
  if (!file_type_fits(array, param->dtype))
    return tile_fail(TILE_E_DTYPE, "'%s': %s holds '%s', the kernel wants %s", param->name,
                     tensor->path, array->descr, tl_dtype_name(param->dtype));
  if (array->ndim != param->ndim)
    return tile_fail(TILE_E_SHAPE, "'%s': %s has %d dimensions, must have %d", param->name,
                     tensor->path, array->ndim, param->ndim);
  for (int axis = 0; axis < array->ndim; axis++)
    TILE_TRY(check_extent(param->name, array->shape[axis]));
  return TILE_OK;
}

static void natural_strides(const npy_array *array, int64_t *out) {
  int64_t step = 1;
  for (int i = 0; i < array->ndim; i++) {
    int axis = array->fortran_order ? i : array->ndim - 1 - i;
    out[axis] = step;
    step *= array->shape[axis] > 0 ? array->shape[axis] : 1;
  }
}

// Reads what only needs the file: type and shape.
static tile_status read_file(run_tensor *tensor, npy_array *array) {
  const tile_param *param = tensor->param;
  TILE_TRY(npy_read(tensor->path, array));
  TILE_TRY(check_file(tensor, array));
  for (int axis = 0; axis < param->ndim; axis++)
    tensor->shape[axis] = array->shape[axis];
  if (tl_dtype_bits(param->dtype) == 4 && param->ndim)
    tensor->shape[param->ndim - 1] *= 2;
  return TILE_OK;
}

static uint64_t file_bits(const npy_array *array, const int64_t *strides, const int64_t *at,
                          bool packed) {
  int64_t offset = 0;
  for (int i = 0; i < array->ndim; i++)
    offset += (packed && i == array->ndim - 1 ? at[i] / 2 : at[i]) * strides[i];
  uint64_t bits = 0;
  memcpy(&bits, (unsigned char *)array->data + offset * array->item_bytes,
         (size_t)array->item_bytes);
  return packed ? bits >> (array->ndim ? at[array->ndim - 1] % 2 * 4 : 0) & 15 : bits;
}

// Values keep their place in the logical tensor; only addresses change.
static void copy_elements(run_tensor *tensor, const npy_array *array, const int64_t *strides) {
  const tile_param *param = tensor->param;
  int64_t at[TILE_MAX_RANK] = {0}, count = 1;
  for (int i = 0; i < param->ndim; i++)
    count *= tensor->shape[i];
  for (int64_t n = 0; n < count; n++) {
    int64_t offset = 0;
    for (int i = 0; i < param->ndim; i++)
      offset += at[i] * tensor->stride[i];
    run_put_bits(param->dtype, tensor->host, offset,
                 file_bits(array, strides, at, tl_dtype_bits(param->dtype) == 4));
    for (int i = param->ndim - 1; i >= 0 && ++at[i] == tensor->shape[i]; i--)
      at[i] = 0;
  }
}

static tile_status lay_out(run_case *call, int pos, const npy_array *array) {
  run_tensor *tensor = &call->tensors[pos];
  const tile_param *param = tensor->param;
  int64_t natural[TILE_MAX_RANK];
  if (tensor->steps)
    TILE_TRY(eval_list(call, param, tensor->steps, tensor->stride));
  else
    TILE_TRY(required_strides(call, pos, tensor->stride));
  if (tensor->fill != RUN_FILE)
    return allocate(tensor);
  natural_strides(array, natural);
  bool packed = tl_dtype_bits(param->dtype) == 4;
  if (!packed && !tensor->steps && fixed_strides_agree(param, tensor->shape, natural, tensor->stride))
    memcpy(tensor->stride, natural, sizeof *natural * (size_t)param->ndim);
  TILE_TRY(allocate(tensor));
  copy_elements(tensor, array, natural);
  return TILE_OK;
}

// --- the case ----------------------------------------------------------------------------------

static tile_status make_tensors(run_case *call, npy_array *arrays) {
  tile_kernel *kernel = call->kernel;
  for (int pos = 0; pos < kernel->nparams; pos++) {
    run_tensor *tensor = &call->tensors[pos];
    if (!tensor->param->is_tensor || !tensor->given ||
        (tensor->fill != RUN_FILE && !tensor->extents))
      continue;
    TILE_TRY(tensor->fill == RUN_FILE
                 ? read_file(tensor, &arrays[pos])
                 : eval_list(call, tensor->param, tensor->extents, tensor->shape));
    bind_names(call, pos);
  }
  for (int pos = 0; pos < kernel->nparams; pos++) {
    run_tensor *tensor = &call->tensors[pos];
    if (!tensor->param->is_tensor)
      continue;
    if (tensor->fill != RUN_FILE && !tensor->extents)
      TILE_TRY(derive_shape(call, pos));
    TILE_TRY(lay_out(call, pos, &arrays[pos]));
    if (tensor->fill == RUN_RANDN)
      run_fill_random(tensor, call->seed);
  }
  return TILE_OK;
}

static int check_all_given(const run_case *call) {
  const tile_kernel *kernel = call->kernel;
  for (int pos = 0; pos < kernel->nparams; pos++) {
    const tile_param *param = &kernel->params[pos];
    if (!call->tensors[pos].given && !(param->is_tensor && param->dir == TILE_OUT))
      return complain("'%s' is missing: give %s", param->name,
                      param->is_tensor ? "@FILE.npy, zeros, randn or poison" : "a number");
  }
  return RUN_OK;
}

int run_make_case(const run_options *options, tile_kernel *kernel, run_case *out) {
  memset(out, 0, sizeof *out);
  out->kernel = kernel;
  out->bound.kernel = kernel;
  out->seed = options->seed;
  for (int pos = 0; pos < kernel->nparams; pos++) {
    out->tensors[pos].param = &kernel->params[pos];
    out->tensors[pos].fill = RUN_POISON;
  }
  for (int i = 0; i < options->nvalues; i++) {
    int code = take_value(out, &options->values[i]);
    if (code != RUN_OK)
      return code;
  }
  int code = check_all_given(out);
  if (code != RUN_OK)
    return code;
  npy_array arrays[TILE_MAX_PARAMS] = {{0}};
  tile_status status = make_tensors(out, arrays);
  for (int pos = 0; pos < kernel->nparams; pos++)
    npy_free(&arrays[pos]);
  return status == TILE_OK ? RUN_OK : run_report(status);
}

void run_free_case(run_case *call) {
  for (int pos = 0; pos < TILE_MAX_PARAMS; pos++) {
    free(call->tensors[pos].host);
    free(call->tensors[pos].result);
    free(call->tensors[pos].reference);
    free(call->tensors[pos].written);
  }
  tl_arena_free(&call->arena);
}

// --- results -----------------------------------------------------------------------------------

check_array run_array(const run_tensor *tensor, const unsigned char *bytes,
                      const unsigned char *written) {
  return (check_array){.dtype = tensor->param->dtype,
                       .ndim = tensor->param->ndim,
                       .shape = tensor->shape,
                       .stride = tensor->stride,
                       .data = bytes,
                       .was_poison = tensor->fill == RUN_POISON,
                       .written = written};
}

static const char *npy_descr(tl_dtype dtype) {
  switch (dtype) {
  case TL_I1:
    return "|b1";
  case TL_I8:
    return "|i1";
  case TL_I16:
    return "<i2";
  case TL_I32:
    return "<i4";
  case TL_I64:
    return "<i8";
  case TL_U32:
    return "<u4";
  case TL_U64:
    return "<u8";
  case TL_F16:
    return "<f2";
  case TL_F32:
  case TL_TF32:
    return "<f4";
  case TL_F64:
    return "<f8";
  case TL_U16:
  case TL_BF16:
    return "<u2";
  default:
    return "|u1"; // the bits of the 8-bit floats, and packed 4-bit types
  }
}

tile_status run_write_npy(const char *path, const run_tensor *tensor, const unsigned char *bytes) {
  const tile_param *param = tensor->param;
  check_array array = run_array(tensor, bytes, NULL);
  int64_t shape[TILE_MAX_RANK], at[TILE_MAX_RANK] = {0}, count = 1;
  for (int i = 0; i < param->ndim; i++) {
    shape[i] = tensor->shape[i];
    count *= shape[i];
  }
  int bits = tl_dtype_bits(param->dtype);
  if (bits == 4 && param->ndim) {
    if (shape[param->ndim - 1] % 2)
      return tile_fail(TILE_E_SHAPE,
                       "'%s': %s packs two elements in a byte, the last extent is odd", param->name,
                       tl_dtype_name(param->dtype));
    shape[param->ndim - 1] /= 2;
  }
  size_t size =
      bits == 4 ? (size_t)(count + 1) / 2 : (size_t)count * (bits < 8 ? 1 : (size_t)bits / 8);
  unsigned char *dense = calloc(size ? size : 1, 1);
  if (!dense)
    return tile_fail(TILE_E_NOMEM, "out of memory: %zu bytes", size);
  for (int64_t n = 0; n < count; n++) {
    run_put_bits(param->dtype, dense, n, check_element_bits(&array, at));
    for (int i = param->ndim - 1; i >= 0 && ++at[i] == tensor->shape[i]; i--)
      at[i] = 0;
  }
  tile_status status = npy_write(path, npy_descr(param->dtype), param->ndim, shape, dense, size);
  free(dense);
  return status;
}
