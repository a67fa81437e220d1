// Raw bytes of .npy files: ptxsim moves bytes, so element type and order do not matter to it.
#ifndef RUNTIME_SIM_PTXSIM_NPY_H
#define RUNTIME_SIM_PTXSIM_NPY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// malloc'd data behind the header; NULL with a reason.
static inline uint8_t *npy_read(const char *path, size_t *out_len, char *error, size_t error_len) {
  FILE *in = fopen(path, "rb");
  uint8_t head[12];
  size_t header = 0;
  if (!in)
    return snprintf(error, error_len, "cannot open"), NULL;
  bool ok = fread(head, 1, 10, in) == 10 && memcmp(head, "\x93NUMPY", 6) == 0;
  if (ok && head[6] == 1)
    header = 10 + (size_t)head[8] + 256 * (size_t)head[9];
  else if (ok && fread(head + 10, 1, 2, in) == 2)
    header = 12 + (size_t)head[8] + ((size_t)head[9] << 8) + ((size_t)head[10] << 16) +
             ((size_t)head[11] << 24);
  uint8_t *data = NULL;
  long end = -1;
  if (header && fseek(in, 0, SEEK_END) == 0)
    end = ftell(in);
  if (end >= 0 && (size_t)end >= header && fseek(in, (long)header, SEEK_SET) == 0) {
    *out_len = (size_t)end - header;
    data = malloc(*out_len + 1);
    if (data && fread(data, 1, *out_len, in) != *out_len)
      free(data), data = NULL;
  }
  fclose(in);
  if (!data)
    snprintf(error, error_len, "not a .npy file");
  return data;
}

static inline bool npy_write(const char *path, const uint8_t *bytes, size_t len) {
  char dict[118];
  FILE *out = fopen(path, "wb");
  if (!out)
    return false;
  int n = snprintf(dict, sizeof dict, "{'descr': '|u1', 'fortran_order': False, 'shape': (%zu,), }",
                   len);
  memset(dict + n, ' ', sizeof dict - (size_t)n);
  dict[sizeof dict - 1] = '\n'; // header of 128 bytes in all
  bool ok = fwrite("\x93NUMPY\x01\x00", 1, 8, out) == 8 && fputc(sizeof dict, out) != EOF &&
            fputc(0, out) != EOF && fwrite(dict, 1, sizeof dict, out) == sizeof dict &&
            fwrite(bytes, 1, len, out) == len;
  return fclose(out) == 0 && ok;
}
#endif
