// Reading launch files (see launch_file.h).
#include "runtime/sim/launch_file.h"
#include "runtime/sim/ptxsim_npy.h"
#include "runtime/sim/tma.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BUFFER_BYTES = 1 << 30 }; // simulated memory is memory of the host

__attribute__((format(printf, 2, 3))) static bool refuse(sim_launch_file *f, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  f->error.len = 0;
  tl_buf_printf(&f->error, "%s: error: ", f->path);
  tl_buf_vprintf(&f->error, fmt, args);
  va_end(args);
  return false;
}

// The string, or "" for anything else.
static const char *text_of(const json_t *value) {
  return json_is_string(value) ? json_string_value(value) : "";
}

static const char *word_of(const json_t *spec, const char *key, const char *otherwise) {
  const json_t *value = json_object_get(spec, key);
  return value ? text_of(value) : otherwise;
}

char *sim_launch_resolve(const sim_launch_file *f, const char *path) {
  const char *slash = strrchr(f->path, '/');
  tl_buf text = {0};
  if (path[0] != '/' && slash)
    tl_buf_printf(&text, "%.*s", (int)(slash - f->path) + 1, f->path);
  tl_buf_puts(&text, path);
  return text.data;
}

sim_launch_buffer *sim_launch_find(sim_launch_file *f, const char *name) {
  for (int i = 0; i < f->nbuffers; i++)
    if (strcmp(f->buffers[i].name, name) == 0)
      return &f->buffers[i];
  return NULL;
}

// --- numbers ------------------------------------------------------------------------------------
static bool parse_hex(const char *text, uint8_t **out, size_t *out_len) {
  size_t len = strlen(text);
  if (len % 2)
    return false;
  *out = malloc(len / 2 + 1);
  *out_len = len / 2;
  for (size_t i = 0; i < len / 2; i++) {
    unsigned byte;
    char pair[3] = {text[2 * i], text[2 * i + 1], 0}, extra;
    if (pair[0] == '-' || pair[0] == '+' || sscanf(pair, "%2x%c", &byte, &extra) != 1)
      return false;
    (*out)[i] = (uint8_t)byte;
  }
  return true;
}

// Bytes of a type word, 0 when it is none.
static size_t bytes_of_type(const char *type) {
  static const char *const words[] = {"u8",  "i8",  "s8",  "b8",  "u16", "i16",
                                      "s16", "b16", "u32", "i32", "s32", "b32",
                                      "f32", "u64", "i64", "s64", "b64", "f64"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(type, words[i]) == 0)
      return (size_t)atoi(type + 1) / 8;
  return 0;
}

// One number of a type into `out`; false: no number. 64-bit values may be strings, "0x...".
static bool pack_number(const char *type, const json_t *value, uint8_t *out) {
  size_t bytes = bytes_of_type(type);
  if (!bytes || (!json_is_number(value) && !json_is_string(value)))
    return false;
  if (type[0] == 'f') {
    double g = json_number_value(value);
    float f = (float)g;
    memcpy(out, bytes == 4 ? (const void *)&f : &g, bytes);
    return json_is_number(value);
  }
  char *end = "";
  uint64_t bits = json_is_string(value) ? strtoull(json_string_value(value), &end, 0)
                                        : (uint64_t)json_integer_value(value);
  memcpy(out, &bits, bytes);
  return !*end && !json_is_real(value);
}

// `count` non-negative integers; without a list all are `otherwise`, unless that is 0.
static bool read_numbers(const json_t *list, uint64_t *out, size_t count, uint64_t otherwise) {
  for (size_t i = 0; i < count; i++)
    out[i] = otherwise;
  if (!list)
    return otherwise != 0;
  if (!json_is_array(list) || json_array_size(list) != count)
    return false;
  for (size_t i = 0; i < count; i++) {
    const json_t *value = json_array_get(list, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
      return false;
    out[i] = (uint64_t)json_integer_value(value);
  }
  return true;
}

static bool read_dims(sim_launch_file *f, const char *key, uint32_t out[3]) {
  const json_t *dims = json_object_get(f->root, key);
  out[0] = out[1] = out[2] = 1;
  if (!dims)
    return true;
  if (!json_is_array(dims) || json_array_size(dims) > 3)
    return refuse(f, "%s: expected up to three numbers", key);
  for (size_t i = 0; i < json_array_size(dims); i++) {
    const json_t *value = json_array_get(dims, i);
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > UINT32_MAX)
      return refuse(f, "%s: expected positive numbers", key);
    out[i] = (uint32_t)json_integer_value(value);
  }
  return true;
}

// --- buffers ------------------------------------------------------------------------------------
static bool read_npy(sim_launch_file *f, sim_launch_buffer *b, const json_t *value, bool open) {
  char error[256];
  if (!json_is_string(value))
    return refuse(f, "buffer '%s': npy needs a path", b->name);
  if (!open)
    return true;
  char *path = sim_launch_resolve(f, json_string_value(value));
  b->bytes = npy_read(path, &b->len, error, sizeof error);
  bool ok = b->bytes || refuse(f, "buffer '%s': %s: %s", b->name, path, error);
  free(path);
  return ok;
}

static bool read_fill(sim_launch_file *f, sim_launch_buffer *b, const json_t *spec) {
  const json_t *size = json_object_get(spec, "bytes");
  const char *fill = word_of(spec, "fill", "poison");
  if (!json_is_integer(size) || json_integer_value(size) < 0 ||
      json_integer_value(size) > MAX_BUFFER_BYTES)
    return refuse(f, "buffer '%s': bytes: expected a number up to 2^30", b->name);
  b->len = (size_t)json_integer_value(size);
  b->zeros = strcmp(fill, "zeros") == 0 || strcmp(fill, "zero") == 0;
  return b->zeros || strcmp(fill, "poison") == 0 ||
         refuse(f, "buffer '%s': unknown fill '%s'", b->name, fill);
}

static bool read_list(sim_launch_file *f, sim_launch_buffer *b, const char *type,
                      const json_t *list) {
  size_t bytes = bytes_of_type(type), count = json_array_size(list);
  if (!bytes)
    return refuse(f, "buffer '%s': unknown type '%s'", b->name, type);
  b->bytes = malloc(count * bytes + 1);
  b->len = count * bytes;
  for (size_t i = 0; i < count; i++)
    if (!pack_number(type, json_array_get(list, i), b->bytes + i * bytes))
      return refuse(f, "buffer '%s': element %zu is no %s", b->name, i, type);
  return true;
}

static bool read_buffer(sim_launch_file *f, sim_launch_buffer *b, json_t *spec, bool open) {
  const char *key;
  json_t *value;
  if ((value = json_object_get(spec, "npy")))
    return read_npy(f, b, value, open);
  if ((value = json_object_get(spec, "hex")))
    return (json_is_string(value) && parse_hex(json_string_value(value), &b->bytes, &b->len)) ||
           refuse(f, "buffer '%s': bad hex", b->name);
  if (json_object_get(spec, "bytes"))
    return read_fill(f, b, spec);
  json_object_foreach(spec, key, value) if (json_is_array(value)) // {"f32": [...]}
      return read_list(f, b, key, value);
  return refuse(f, "buffer '%s' has neither npy, bytes, hex nor data", b->name);
}

bool sim_launch_outputs(sim_launch_file *f, const char *key, sim_launch_each each, void *ctx) {
  const char *name;
  json_t *value;
  json_object_foreach(json_object_get(f->root, key), name, value) {
    const sim_launch_buffer *b = sim_launch_find(f, name);
    if (!b || !json_is_string(value))
      return refuse(f, "%s: no buffer '%s', or its value is no text", key, name);
    if (!each(ctx, b, json_string_value(value)))
      return false;
  }
  return true;
}

static bool any_value(void *ctx, const sim_launch_buffer *buffer, const char *value) {
  (void)ctx, (void)buffer, (void)value;
  return true;
}

bool sim_launch_read_buffers(sim_launch_file *f, bool read_files) {
  const char *name;
  json_t *spec, *buffers = json_object_get(f->root, "buffers");
  if (buffers && !json_is_object(buffers))
    return refuse(f, "buffers: expected an object");
  json_object_foreach(buffers, name, spec) {
    if (f->nbuffers == SIM_LAUNCH_BUFFERS)
      return refuse(f, "more than %d buffers", SIM_LAUNCH_BUFFERS);
    sim_launch_buffer *b = &f->buffers[f->nbuffers++];
    b->name = name;
    if (!read_buffer(f, b, spec, read_files))
      return false;
  }
  return sim_launch_outputs(f, "outputs", any_value, NULL) &&
         sim_launch_outputs(f, "print", any_value, NULL);
}

// --- parameters ---------------------------------------------------------------------------------
// Packs one parameter into `room` bytes at `out`; its size, or -1 when it is refused. A parameter
// of another size writes nothing.
static int pack_param(sim_launch_file *f, size_t index, json_t *spec, uint8_t *out, uint32_t room);

static int refuse_param(sim_launch_file *f, size_t index, const char *what, const char *name) {
  refuse(f, "parameter %zu: %s '%s'", index, what, name);
  return -1;
}

static int put(uint8_t *out, uint32_t room, const void *bytes, size_t len) {
  if (len <= room)
    memcpy(out, bytes, len);
  return (int)len;
}

static int pack_tensormap(sim_launch_file *f, size_t index, const json_t *spec, uint8_t *out,
                          uint32_t room) {
  sim_tensor_map map = {0};
  uint64_t box[SIM_TMA_RANK], steps[SIM_TMA_RANK];
  const char *name = word_of(spec, "buffer", ""), *fill = word_of(spec, "fill", "zeros");
  const char *dtype = word_of(spec, "dtype", ""), *swizzle = word_of(spec, "swizzle", "none");
  const char *interleave = word_of(spec, "interleave", "none");
  const sim_launch_buffer *b = sim_launch_find(f, name);
  size_t rank = json_array_size(json_object_get(spec, "dims"));
  uint8_t bytes[SIM_TENSOR_MAP_BYTES];
  if (!b)
    return refuse_param(f, index, "tensormap: unknown buffer", name);
  if (rank < 1 || rank > SIM_TMA_RANK) {
    refuse(f, "parameter %zu: tensormap: dims needs 1 to 5 numbers", index);
    return -1;
  }
  const struct {
    const char *key;
    uint64_t *to;
    size_t count;
    uint64_t otherwise;
  } lists[] = {{"dims", map.dims, rank, 0},
               {"box", box, rank, 0},
               {"elem_strides", steps, rank, 1},
               {"strides_bytes", map.strides + 1, rank - 1, 0}};
  for (size_t i = 0; i < (rank > 1 ? 4 : 3); i++)
    if (!read_numbers(json_object_get(spec, lists[i].key), lists[i].to, lists[i].count,
                      lists[i].otherwise)) {
      refuse(f, "parameter %zu: tensormap: %s needs %zu numbers", index, lists[i].key,
             lists[i].count);
      return -1;
    }
  for (size_t i = 0; i < rank; i++) {
    map.box[i] = box[i] > 1 << 20 ? 1 << 20 : (uint32_t)box[i];
    map.elem_strides[i] = steps[i] > 1 << 20 ? 1 << 20 : (uint32_t)steps[i];
  }
  map.rank = (uint8_t)rank;
  map.address = b->address + (uint64_t)json_integer_value(json_object_get(spec, "offset"));
  if (!sim_tma_type_of_name(dtype, &map.type))
    return refuse_param(f, index, "tensormap: unknown dtype", dtype);
  if (!sim_tma_swizzle_of_name(swizzle, &map.swizzle))
    return refuse_param(f, index, "tensormap: unknown swizzle", swizzle);
  if (strcmp(fill, "zeros") != 0 && strcmp(fill, "nan") != 0)
    return refuse_param(f, index, "tensormap: unknown fill", fill);
  map.nan_fill = strcmp(fill, "nan") == 0;
  map.interleave = strcmp(interleave, "none") != 0;
  const char *error = sim_tensor_map_check(&map);
  if (error) {
    refuse(f, "parameter %zu: tensormap: %s", index, error);
    return -1;
  }
  sim_tensor_map_encode(&map, bytes);
  return put(out, room, bytes, sizeof bytes);
}

// A struct: members at their offsets, zeros between; it fills the parameter.
static int pack_struct(sim_launch_file *f, size_t index, const json_t *members, uint8_t *out,
                       uint32_t room) {
  size_t i;
  json_t *member;
  if (!json_is_array(members)) {
    refuse(f, "parameter %zu: struct needs a list of members", index);
    return -1;
  }
  memset(out, 0, room);
  json_array_foreach(members, i, member) {
    const json_t *at = json_object_get(member, "at");
    json_int_t offset = json_integer_value(at);
    if (!json_is_integer(at) || offset < 0 || offset > room) {
      refuse(f, "parameter %zu: member %zu has no place 'at' inside", index, i);
      return -1;
    }
    if (json_object_get(member, "struct")) {
      refuse(f, "parameter %zu: member %zu is a struct itself", index, i);
      return -1;
    }
    json_t *rest = json_copy(member);
    json_object_del(rest, "at");
    int bytes = pack_param(f, index, rest, out + offset, room - (uint32_t)offset);
    json_decref(rest);
    if (bytes < 0)
      return -1;
    if ((uint32_t)bytes > room - (uint32_t)offset) {
      refuse(f, "parameter %zu: member %zu does not fit", index, i);
      return -1;
    }
  }
  return (int)room;
}

static int pack_bytes(sim_launch_file *f, size_t index, const json_t *value, uint8_t *out,
                      uint32_t room) {
  uint8_t *bytes = NULL;
  size_t len = 0;
  int packed = -1;
  if (!json_is_string(value) || !parse_hex(json_string_value(value), &bytes, &len))
    refuse(f, "parameter %zu: bad hex", index);
  else
    packed = put(out, room, bytes, len);
  free(bytes);
  return packed;
}

static int pack_param(sim_launch_file *f, size_t index, json_t *spec, uint8_t *out, uint32_t room) {
  const char *key;
  json_t *value;
  if ((value = json_object_get(spec, "buffer"))) {
    const sim_launch_buffer *b = sim_launch_find(f, text_of(value));
    if (!b)
      return refuse_param(f, index, "unknown buffer", text_of(value));
    uint64_t address = b->address + (uint64_t)json_integer_value(json_object_get(spec, "offset"));
    return put(out, room, &address, 8);
  }
  if ((value = json_object_get(spec, "bytes")))
    return pack_bytes(f, index, value, out, room);
  if ((value = json_object_get(spec, "tensormap")))
    return pack_tensormap(f, index, value, out, room);
  if ((value = json_object_get(spec, "struct")))
    return pack_struct(f, index, value, out, room);
  json_object_foreach(spec, key, value) {
    uint8_t number[8];
    if (!bytes_of_type(key))
      return refuse_param(f, index, "unknown kind", key);
    if (!pack_number(key, value, number))
      return refuse_param(f, index, "the value is no", key);
    return put(out, room, number, bytes_of_type(key));
  }
  refuse(f, "parameter %zu: it says nothing", index);
  return -1;
}

bool sim_launch_params(sim_launch_file *f, int count, const uint32_t *offsets,
                       const uint32_t *sizes, uint8_t **out, size_t *out_len) {
  json_t *params = json_object_get(f->root, "params");
  if ((int)json_array_size(params) != count)
    return refuse(f, "entry '%s' takes %d parameters, got %zu", f->entry, count,
                  json_array_size(params));
  *out_len = count ? offsets[count - 1] + sizes[count - 1] : 0;
  *out = calloc(*out_len + 16, 1);
  for (int i = 0; i < count; i++) {
    int bytes =
        pack_param(f, (size_t)i, json_array_get(params, (size_t)i), *out + offsets[i], sizes[i]);
    if (bytes < 0)
      return false;
    if ((uint32_t)bytes != sizes[i])
      return refuse(f, "parameter %d has %u bytes, got %d", i, sizes[i], bytes);
  }
  return true;
}

// --- the file -----------------------------------------------------------------------------------
static bool read_root(sim_launch_file *f, const json_error_t *error) {
  if (!f->root) {
    tl_buf_printf(&f->error, "%s:%d:%d: error: %s", f->path, error->line, error->column,
                  error->text);
    return false;
  }
  if (!json_is_object(f->root))
    return refuse(f, "expected an object");
  f->ptx = word_of(f->root, "ptx", NULL);
  f->entry = word_of(f->root, "entry", NULL);
  const json_t *smem = json_object_get(f->root, "smem");
  if (!f->ptx)
    return refuse(f, "no \"ptx\"");
  if (!f->entry)
    return refuse(f, "no \"entry\"");
  f->desc.entry = f->entry;
  if (smem && (!json_is_integer(smem) || json_integer_value(smem) < 0 ||
               json_integer_value(smem) > INT32_MAX))
    return refuse(f, "smem: expected a number of bytes");
  f->desc.dynamic_smem_bytes = (uint32_t)json_integer_value(smem);
  return read_dims(f, "grid", f->desc.grid) && read_dims(f, "block", f->desc.block) &&
         read_dims(f, "cluster", f->desc.cluster);
}

bool sim_launch_load(sim_launch_file *f, const char *path) {
  json_error_t error;
  *f = (sim_launch_file){.path = path, .root = json_load_file(path, 0, &error)};
  return read_root(f, &error);
}

bool sim_launch_parse(sim_launch_file *f, const char *path, const char *text, size_t len) {
  json_error_t error;
  *f = (sim_launch_file){.path = path, .root = json_loadb(text, len, 0, &error)};
  return read_root(f, &error);
}

void sim_launch_close(sim_launch_file *f) {
  for (int i = 0; i < f->nbuffers; i++)
    free(f->buffers[i].bytes);
  json_decref(f->root);
  tl_buf_free(&f->error);
}
