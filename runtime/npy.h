// NumPy's .npy files: versions 1 to 3, little-endian, C or Fortran order.
#ifndef RUNTIME_NPY_H
#define RUNTIME_NPY_H
#include "runtime/tile.h"
#include <stdbool.h>

enum { NPY_MAX_RANK = 8 };

typedef struct npy_array {
  char kind;      // 'f' float, 'i' int, 'u' uint, 'b' bool, 'V' raw bytes
  int item_bytes; // 1, 2, 4 or 8
  char descr[24]; // as the file says: "<f4", "|V1", "bfloat16"
  int ndim;
  int64_t shape[NPY_MAX_RANK];
  bool fortran_order;
  size_t bytes; // of data
  void *data;   // malloc'd; NULL only when reading failed
} npy_array;

tile_status npy_read(const char *path, npy_array *out);
tile_status npy_parse(const char *label, const void *bytes, size_t len, npy_array *out);
void npy_free(npy_array *array);
// C order. `descr` is NumPy's: "<f4". The file appears whole or not at all.
tile_status npy_write(const char *path, const char *descr, int ndim, const int64_t *shape,
                      const void *data, size_t bytes);
#endif
