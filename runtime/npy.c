// .npy: a magic, a version, the length of a Python dict literal, that literal, the elements.
//
// The literal is read by looking for its three keys, as every writer in use spells them; what is
// not understood is refused with the text of the header.
#include "runtime/npy.h"
#include "lang/base/str.h"
#include "runtime/status.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";

// Types that numpy alone does not know but its extensions write by name.
static const struct {
  const char *name;
  char kind;
  int item_bytes;
} named_types[] = {
    {"bfloat16", 'V', 2},       {"float8_e4m3fn", 'V', 1}, {"float8_e5m2", 'V', 1},
    {"float8_e8m0fnu", 'V', 1}, {"float4_e2m1fn", 'V', 1},
};

// Points behind "'key':", or NULL.
static const char *value_of(const char *header, const char *key) {
  char quoted[40];
  for (const char *quote = "'\""; *quote; quote++) {
    snprintf(quoted, sizeof quoted, "%c%s%c", *quote, key, *quote);
    const char *at = strstr(header, quoted);
    if (!at)
      continue;
    at += strlen(quoted);
    while (*at == ' ')
      at++;
    if (*at != ':')
      return NULL;
    for (at++; *at == ' ';)
      at++;
    return at;
  }
  return NULL;
}

static bool parse_descr(const char *at, npy_array *out) {
  char quote = at ? *at : 0;
  if (quote != '\'' && quote != '"')
    return false; // a structured type is a list
  const char *end = strchr(at + 1, quote);
  size_t len = end ? (size_t)(end - at - 1) : 0;
  if (len < 2 || len >= sizeof out->descr)
    return false;
  memcpy(out->descr, at + 1, len);
  out->descr[len] = 0;
  for (size_t i = 0; i < sizeof named_types / sizeof *named_types; i++)
    if (strcmp(out->descr, named_types[i].name) == 0) {
      out->kind = named_types[i].kind;
      out->item_bytes = named_types[i].item_bytes;
      return true;
    }
  const char *text = out->descr;
  if (*text == '<' || *text == '|' || *text == '=')
    text++;
  out->kind = *text == '?' ? 'b' : *text;
  out->item_bytes = *text == '?' ? 1 : atoi(text + 1);
  bool known_size =
      out->item_bytes == 1 || out->item_bytes == 2 || out->item_bytes == 4 || out->item_bytes == 8;
  return strchr("fiubV", out->kind) && out->kind && known_size;
}

static bool parse_shape(const char *at, npy_array *out) {
  if (!at || *at++ != '(')
    return false;
  for (;;) {
    while (*at == ' ' || *at == ',')
      at++;
    if (*at == ')')
      return true;
    char *end;
    errno = 0;
    long long extent = isdigit((unsigned char)*at) ? strtoll(at, &end, 10) : -1;
    if (extent < 0 || errno || out->ndim == NPY_MAX_RANK)
      return false;
    out->shape[out->ndim++] = extent;
    at = *end == 'L' ? end + 1 : end;
  }
}

static bool count_bytes(npy_array *out) {
  out->bytes = (size_t)out->item_bytes;
  for (int i = 0; i < out->ndim; i++)
    if (__builtin_mul_overflow(out->bytes, (size_t)out->shape[i], &out->bytes))
      return false;
  return true;
}

static tile_status parse_header(const char *label, const char *header, npy_array *out) {
  const char *order = value_of(header, "fortran_order");
  if (*header == '{' && value_of(header, "descr") && *value_of(header, "descr") &&
      value_of(header, "descr")[1] == '>')
    return tile_fail(TILE_E_FORMAT, "%s: big-endian elements; save it with .astype('<f4') or alike",
                     label);
  if (!parse_descr(value_of(header, "descr"), out) || !order ||
      !parse_shape(value_of(header, "shape"), out) || !count_bytes(out))
    return tile_fail(TILE_E_FORMAT, "%s: an .npy header this program cannot use: %s", label,
                     header);
  out->fortran_order = *order == 'T';
  return TILE_OK;
}

tile_status npy_parse(const char *label, const void *bytes, size_t len, npy_array *out) {
  const unsigned char *at = bytes;
  *out = (npy_array){0};
  if (len < 12 || memcmp(at, magic, 6) != 0)
    return tile_fail(TILE_E_FORMAT, "%s: not an .npy file", label);
  int major = at[6];
  size_t from = major == 1 ? 10 : 12;
  size_t header_len = at[8] | (size_t)at[9] << 8;
  if (major > 1)
    header_len |= (size_t)at[10] << 16 | (size_t)at[11] << 24;
  if (major < 1 || major > 3)
    return tile_fail(TILE_E_FORMAT, "%s: .npy version %d is not known", label, major);
  if (header_len > len - from)
    return tile_fail(TILE_E_FORMAT, "%s: truncated in the header", label);
  char *header = malloc(header_len + 1);
  if (!header)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  memcpy(header, at + from, header_len);
  header[header_len] = 0;
  for (size_t end = header_len; end && isspace((unsigned char)header[end - 1]); end--)
    header[end - 1] = 0;
  tile_status status = parse_header(label, header, out);
  free(header);
  TILE_TRY(status);
  size_t there = len - from - header_len;
  if (there < out->bytes)
    return tile_fail(TILE_E_FORMAT, "%s: truncated: %zu bytes of elements, %zu announced", label,
                     there, out->bytes);
  out->data = malloc(out->bytes ? out->bytes : 1);
  if (!out->data)
    return tile_fail(TILE_E_NOMEM, "%s: out of memory: %zu bytes", label, out->bytes);
  memcpy(out->data, at + from + header_len, out->bytes);
  return TILE_OK;
}

tile_status npy_read(const char *path, npy_array *out) {
  size_t len;
  *out = (npy_array){0};
  char *bytes = tl_read_file(path, &len);
  if (!bytes)
    return tile_fail(TILE_E_IO, "%s: %s", path, strerror(errno));
  tile_status status = npy_parse(path, bytes, len, out);
  free(bytes);
  return status;
}

void npy_free(npy_array *array) {
  free(array->data);
  *array = (npy_array){0};
}

tile_status npy_write(const char *path, const char *descr, int ndim, const int64_t *shape,
                      const void *data, size_t bytes) {
  tl_buf buf = {0};
  tl_buf_write(&buf, "\x93NUMPY\x01\x00\0\0", 10);
  tl_buf_printf(&buf, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int i = 0; i < ndim; i++)
    tl_buf_printf(&buf, "%s%lld", i ? ", " : "", (long long)shape[i]);
  tl_buf_puts(&buf, ndim == 1 ? ",), }" : "), }");
  while (buf.len % 64 != 63)
    tl_buf_putc(&buf, ' ');
  tl_buf_putc(&buf, '\n');
  buf.data[8] = (char)((buf.len - 10) & 0xFF);
  buf.data[9] = (char)((buf.len - 10) >> 8);
  tl_buf_write(&buf, data, bytes);
  bool ok = tl_write_file(path, buf.data, buf.len);
  int cause = errno;
  tl_buf_free(&buf);
  return ok ? TILE_OK : tile_fail(TILE_E_IO, "%s: %s", path, strerror(cause));
}
