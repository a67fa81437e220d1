// Calls with a language's own arrays, read through DLPack's C exchange table (dlpack.h 1.2 and
// later).
//
// A Python call of five torch tensors spends most of its time asking each for shape, strides and
// type. The table answers all of that in C, without making an object, and names the stream that the
// framework is working on. Only libtile's caller knows the language: it hands over the container of
// the arguments and a function that takes one out.
#include "runtime/dlpack.h"
#include "runtime/artifact.h"
#include "runtime/status.h"
#include <string.h>

typedef struct exchange_api { // dlpack.h: DLPackExchangeAPI
  struct {
    uint32_t major, minor;
    void *older;
  } header;
  void *allocate, *to_managed, *from_managed;
  int (*describe)(void *object, tile_dl_tensor *out); // NULL: not offered
  int (*current_stream)(int32_t device_type, int32_t device_id, void **out);
} exchange_api;

// Bytes and 16-bit words may stand for the narrow float that the kernel declares.
static void reinterpret_container(tile_tensor *tensor, tl_dtype wanted) {
  bool byte = tensor->dtype == TILE_U8 && tl_dtype_bits(wanted) == 8;
  bool half = tensor->dtype == TILE_U16 && tl_dtype_bits(wanted) == 16;
  if ((byte || half) && tl_is_float(wanted))
    tensor->dtype = (int32_t)wanted;
}

typedef struct wide_shape { // in elements, where the framework counts bytes
  int64_t shape[TILE_MAX_RANK], stride[TILE_MAX_RANK];
} wide_shape;

// Bytes stand for two 4-bit elements of the last dim each.
static void unpack_container(tile_tensor *tensor, tl_dtype wanted, wide_shape *wide) {
  int last = tensor->ndim - 1;
  bool bytes = tensor->dtype == TILE_U8 || tensor->dtype == TILE_I8;
  if (wanted != TL_F4E2M1 || !bytes || last < 0 || last >= TILE_MAX_RANK)
    return;
  if (tensor->stride && tensor->stride[last] != 1 && tensor->shape[last] > 1)
    return; // refused as bytes
  for (int i = 0; i <= last; i++) {
    wide->shape[i] = i == last ? 2 * tensor->shape[i] : tensor->shape[i];
    wide->stride[i] = tensor->stride ? (i == last ? 1 : 2 * tensor->stride[i]) : 0;
  }
  tensor->shape = wide->shape;
  tensor->stride = tensor->stride ? wide->stride : NULL;
  tensor->dtype = TILE_F4E2M1;
}

static tile_status describe(const exchange_api *api, const tile_param *param, void *object,
                            tile_arg *arg, wide_shape *wide, int32_t *device) {
  tile_dl_tensor dl;
  if (!object || api->describe(object, &dl) != 0)
    return tile_fail(TILE_E_INVALID, "'%s': no array", param->name);
  if (dl.device.type != TILE_DL_CUDA)
    return tile_fail(TILE_E_NO_DEVICE, "'%s': not in CUDA memory", param->name);
  if (*device >= 0 && *device != dl.device.id)
    return tile_fail(TILE_E_INVALID, "'%s' is on cuda:%d and others are on cuda:%d", param->name,
                     dl.device.id, *device);
  *device = dl.device.id;
  arg->kind = TILE_ARG_TENSOR;
  TILE_TRY(tile_from_dlpack(&dl, &arg->tensor));
  reinterpret_container(&arg->tensor, param->dtype);
  unpack_container(&arg->tensor, param->dtype, wide);
  return TILE_OK;
}

static tile_status read_scalar(const tile_objects *how, const tile_param *param, void *object,
                               tile_arg *arg) {
  if (!object)
    return tile_fail(TILE_E_INVALID, "'%s': no value", param->name);
  arg->kind = tl_is_float(param->dtype) ? TILE_ARG_FLOAT : TILE_ARG_INT;
  if (arg->kind == TILE_ARG_FLOAT)
    arg->f = how->as_float(object);
  else
    arg->i = how->as_int(object);
  return TILE_OK;
}

tile_status tile_launch_objects(const tile_objects *how, void *objects, void *const *stream) {
  if (!how || !how->kernel || !how->api || !how->get || !how->as_int || !how->as_float || !objects)
    return tile_fail(TILE_E_INVALID, "tile_launch_objects: an argument is NULL");
  const exchange_api *api = how->api;
  tile_kernel *kernel = how->kernel;
  if (api->header.major != 1 || !api->describe)
    return tile_fail(TILE_E_UNSUPPORTED, "DLPack's exchange table is of version %u%s",
                     api->header.major, api->describe ? "" : " and describes no tensors");
  tile_arg args[TILE_MAX_PARAMS];
  wide_shape wide[TILE_MAX_PARAMS];
  int32_t device = -1;
  for (int i = 0; i < kernel->nparams; i++) {
    void *object = how->get(objects, i);
    TILE_TRY(kernel->params[i].is_tensor
                 ? describe(api, &kernel->params[i], object, &args[i], &wide[i], &device)
                 : read_scalar(how, &kernel->params[i], object, &args[i]));
  }
  if (device < 0 || device >= how->ndevices || !how->devices[device])
    return tile_fail(TILE_E_NO_DEVICE, "cuda:%d has not been opened", device);
  void *current = NULL;
  if (!stream && api->current_stream(TILE_DL_CUDA, device, &current) != 0)
    return tile_fail(TILE_E_INVALID, "the framework names no current stream");
  return tile_launch(kernel, how->devices[device], args, kernel->nparams,
                     stream ? *stream : current);
}
