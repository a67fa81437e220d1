// A view of a DLPack tensor (DLTensor of dlpack.h, ABI 1.x) as a tile_tensor: shape and strides
// stay where they are, so the view lives as long as the DLTensor does.
#include "runtime/dlpack.h"
#include "runtime/status.h"

// DLDataTypeCode
enum { DL_INT, DL_UINT, DL_FLOAT, DL_BFLOAT = 4, DL_BOOL = 6 };
enum { DL_F8E4M3FN = 10, DL_F8E5M2 = 12, DL_F8E8M0FNU = 14, DL_F4E2M1FN = 17 };

static const struct {
  uint8_t code, bits;
  int32_t dtype;
} rows[] = {
    {DL_INT, 8, TILE_I8},          {DL_INT, 16, TILE_I16},        {DL_INT, 32, TILE_I32},
    {DL_INT, 64, TILE_I64},        {DL_UINT, 8, TILE_U8},         {DL_UINT, 16, TILE_U16},
    {DL_UINT, 32, TILE_U32},       {DL_UINT, 64, TILE_U64},       {DL_FLOAT, 16, TILE_F16},
    {DL_FLOAT, 32, TILE_F32},      {DL_FLOAT, 64, TILE_F64},      {DL_BFLOAT, 16, TILE_BF16},
    {DL_BOOL, 8, TILE_I1},         {DL_F8E4M3FN, 8, TILE_F8E4M3}, {DL_F8E5M2, 8, TILE_F8E5M2},
    {DL_F8E8M0FNU, 8, TILE_UE8M0}, {DL_F4E2M1FN, 4, TILE_F4E2M1},
};

tile_status tile_from_dlpack(const void *dl, tile_tensor *out) {
  const tile_dl_tensor *from = dl;
  if (!from || !out)
    return tile_fail(TILE_E_INVALID, "tile_from_dlpack: an argument is NULL");
  for (size_t i = 0; i < sizeof rows / sizeof *rows && from->dtype.lanes == 1; i++) {
    if (rows[i].code != from->dtype.code || rows[i].bits != from->dtype.bits)
      continue;
    *out = (tile_tensor){.data = from->data ? (char *)from->data + from->byte_offset : NULL,
                         .shape = from->shape,
                         .stride = from->strides,
                         .ndim = from->ndim,
                         .dtype = rows[i].dtype};
    return TILE_OK;
  }
  return tile_fail(TILE_E_DTYPE, "no element type for DLPack's code %d, %d bits, %d lanes",
                   from->dtype.code, from->dtype.bits, from->dtype.lanes);
}
