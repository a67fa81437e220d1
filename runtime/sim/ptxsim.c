// ptxsim: runs the entry of any PTX file on the simulated machine, as a launch file says.
//
// The launch file (JSON) names the PTX, the grid, buffers and parameters; see `ptxsim --help`.
// Relative paths in it are relative to its own folder.
#include "lang/base/str.h"
#include "runtime/sim/ptxsim_npy.h"
#include "runtime/sim/sim_api.h"
#include "runtime/sim/tma.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_INPUT = 1, EXIT_USAGE = 2, EXIT_CHECK = 3, MAX_BUFFERS = 64 };

static const char help_text[] =
    "usage: ptxsim LAUNCH.json [options]\n"
    "       ptxsim --forms FILE.ptx|LAUNCH.json\n"
    "  --seed=N             seed of schedules and junk in memory (default 0)\n"
    "  --schedules=N        run under N seeds; all outputs must have identical bits\n"
    "  --schedule=rr|random|greedy|starve:WARP\n"
    "  --async=eager|lazy|random   when asynchronous copies land (default lazy)\n"
    "  --check=all|none|LIST       of bounds,uninit,race (default all)\n"
    "  --arch=sm_90a|sm_100a|sm_120a   (default: what .target of the PTX says)\n"
    "  --step-limit=N       warp instructions per CTA (default none)\n"
    "  --stats              counters by instruction form\n"
    "  --trace=FILE         one line per warp instruction ('-': standard error)\n"
    "  --forms              list which instruction forms of the file are supported\n"
    "launch file:\n"
    "  { \"ptx\": \"k.ptx\", \"entry\": \"name\", \"grid\": [8,1,1], \"block\": [128,1,1], "
    "\"smem\": 0,\n"
    "    \"buffers\": { \"a\": {\"npy\": \"a.npy\"}, \"d\": {\"bytes\": 64, \"fill\": "
    "\"poison\"},\n"
    "                 \"x\": {\"f32\": [1.5, 2]}, \"h\": {\"hex\": \"00ff\"} },\n"
    "    \"params\": [ {\"buffer\": \"d\", \"offset\": 0}, {\"u32\": 256}, {\"i64\": 7}, {\"f32\": "
    "1.0}, {\"bytes\": \"00ff\"},\n"
    "      {\"tensormap\": {\"buffer\": \"a\", \"offset\": 0, \"dtype\": \"bf16\", \"dims\": [64, "
    "128], "
    "\"strides_bytes\": [128],\n"
    "        \"box\": [64, 64], \"elem_strides\": [1, 1], \"swizzle\": \"128B\", \"fill\": "
    "\"zeros\"}},\n"
    "      {\"struct\": [ {\"at\": 0, \"u32\": 4}, {\"at\": 8, \"buffer\": \"d\"} ]} ],\n"
    "    \"outputs\": { \"d\": \"d.npy\" }, \"print\": { \"d\": \"f32\" } }\n"
    "exit status: 0 ok, 1 wrong input, 2 usage, 3 a check failed, 70 internal error\n";

typedef struct buffer {
  const char *name;
  uint8_t *bytes; // NULL: poison
  size_t len;
  uint64_t address;
  uint8_t *first; // its bits after the first schedule
} buffer;

typedef struct run {
  const char *launch_path, *arch, *trace_path;
  char *dir;
  json_t *root;
  sim_options options;
  uint64_t schedules;
  bool forms;
  buffer buffers[MAX_BUFFERS];
  int nbuffers;
  char *ptx_path, *ptx_text;
  size_t ptx_len;
} run;

static int input_error(const run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int input_error(const run *r, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  fprintf(stderr, "%s: error: ", r->launch_path);
  vfprintf(stderr, fmt, args);
  fputc('\n', stderr);
  va_end(args);
  return EXIT_INPUT;
}

// --- options ------------------------------------------------------------------------------------
static const char *value_of(const char *arg, const char *name) {
  size_t len = strlen(name);
  return strncmp(arg, name, len) == 0 && arg[len] == '=' ? arg + len + 1 : NULL;
}

static bool parse_number(const char *text, uint64_t *out) {
  char *end;
  errno = 0;
  *out = strtoull(text, &end, 0);
  return *text && *text != '-' && !*end && !errno;
}

static bool parse_schedule(const char *text, sim_options *options) {
  uint64_t warp;
  if (strcmp(text, "rr") == 0)
    options->schedule = SIM_RR;
  else if (strcmp(text, "random") == 0)
    options->schedule = SIM_RANDOM;
  else if (strcmp(text, "greedy") == 0)
    options->schedule = SIM_GREEDY;
  else if (strncmp(text, "starve:", 7) == 0 && parse_number(text + 7, &warp) && warp < 32)
    options->schedule = SIM_STARVE, options->starve_warp = (int)warp;
  else
    return false;
  return true;
}

static bool parse_checks(const char *text, sim_options *options) {
  bool all = strcmp(text, "all") == 0;
  options->check_bounds = options->check_uninit = options->check_race = all;
  if (all || strcmp(text, "none") == 0)
    return true;
  for (const char *p = text; *p;) {
    size_t len = strcspn(p, ",");
    if (len == 6 && strncmp(p, "bounds", len) == 0)
      options->check_bounds = true;
    else if (len == 6 && strncmp(p, "uninit", len) == 0)
      options->check_uninit = true;
    else if (len == 4 && strncmp(p, "race", len) == 0)
      options->check_race = true;
    else
      return false;
    p += len + (p[len] == ',');
  }
  return true;
}

static bool parse_option(run *r, const char *arg) {
  const char *value;
  sim_options *o = &r->options;
  if ((value = value_of(arg, "--seed")))
    return parse_number(value, &o->seed);
  if ((value = value_of(arg, "--schedules")))
    return parse_number(value, &r->schedules) && r->schedules > 0;
  if ((value = value_of(arg, "--step-limit")))
    return parse_number(value, &o->step_limit);
  if ((value = value_of(arg, "--schedule")))
    return parse_schedule(value, o);
  if ((value = value_of(arg, "--check")))
    return parse_checks(value, o);
  if ((value = value_of(arg, "--arch")))
    return r->arch = value, true;
  if ((value = value_of(arg, "--trace")))
    return r->trace_path = value, true;
  if ((value = value_of(arg, "--async"))) {
    o->async = strcmp(value, "eager") == 0    ? SIM_ASYNC_EAGER
               : strcmp(value, "random") == 0 ? SIM_ASYNC_RANDOM
                                              : SIM_ASYNC_LAZY;
    return o->async != SIM_ASYNC_LAZY || strcmp(value, "lazy") == 0;
  }
  if (strcmp(arg, "--stats") == 0)
    return o->stats = true;
  if (strcmp(arg, "--forms") == 0)
    return r->forms = true;
  return false;
}

// --- buffers and parameters ---------------------------------------------------------------------
static char *resolve(const run *r, const char *path) {
  tl_buf text = {0};
  if (path[0] == '/' || !r->dir[0])
    tl_buf_puts(&text, path);
  else
    tl_buf_printf(&text, "%s/%s", r->dir, path);
  return text.data;
}

static bool parse_hex(const char *text, uint8_t **out, size_t *out_len) {
  size_t len = strlen(text);
  if (len % 2)
    return false;
  *out = malloc(len / 2 + 1);
  *out_len = len / 2;
  for (size_t i = 0; i < len / 2; i++) {
    unsigned byte;
    char pair[3] = {text[2 * i], text[2 * i + 1], 0}, extra;
    if (sscanf(pair, "%2x%c", &byte, &extra) != 1)
      return false;
    (*out)[i] = (uint8_t)byte;
  }
  return true;
}

// One number of a type word into `out`; its size, or 0 when the word is no type.
static size_t pack_number(const char *type, const json_t *value, uint8_t *out) {
  static const struct {
    const char *word;
    size_t bytes;
  } ints[] = {{"u8", 1},  {"i8", 1},  {"s8", 1},  {"b8", 1},  {"u16", 2}, {"i16", 2},
              {"s16", 2}, {"b16", 2}, {"u32", 4}, {"i32", 4}, {"s32", 4}, {"b32", 4},
              {"u64", 8}, {"i64", 8}, {"s64", 8}, {"b64", 8}};
  uint64_t bits = (uint64_t)json_integer_value(value);
  if (json_is_string(value))
    bits = strtoull(json_string_value(value), NULL, 0); // "0x..." for 64 bits
  for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
    if (strcmp(type, ints[i].word) == 0)
      return memcpy(out, &bits, ints[i].bytes), ints[i].bytes;
  if (strcmp(type, "f32") == 0) {
    float f = (float)json_number_value(value);
    return memcpy(out, &f, 4), 4;
  }
  if (strcmp(type, "f64") == 0) {
    double f = json_number_value(value);
    return memcpy(out, &f, 8), 8;
  }
  return 0;
}

static int load_buffer(run *r, buffer *b, json_t *spec) {
  const char *key;
  json_t *value;
  if ((value = json_object_get(spec, "npy"))) {
    if (!json_is_string(value))
      return input_error(r, "buffer '%s': npy needs a path", b->name);
    char *path = resolve(r, json_string_value(value)), error[256];
    b->bytes = npy_read(path, &b->len, error, sizeof error);
    int failed = b->bytes ? 0 : input_error(r, "buffer '%s': %s: %s", b->name, path, error);
    free(path);
    return failed;
  }
  if ((value = json_object_get(spec, "hex"))) {
    if (json_is_string(value) && parse_hex(json_string_value(value), &b->bytes, &b->len))
      return 0;
    return input_error(r, "buffer '%s': bad hex", b->name);
  }
  if ((value = json_object_get(spec, "bytes"))) {
    const char *fill = json_string_value(json_object_get(spec, "fill"));
    if (!json_is_integer(value) || json_integer_value(value) < 0)
      return input_error(r, "buffer '%s': bad size", b->name);
    b->len = (size_t)json_integer_value(value);
    if (!fill || strcmp(fill, "poison") == 0)
      return 0;
    if (strcmp(fill, "zeros") != 0 && strcmp(fill, "zero") != 0)
      return input_error(r, "buffer '%s': unknown fill '%s'", b->name, fill);
    b->bytes = calloc(b->len + 1, 1);
    return 0;
  }
  json_object_foreach(spec, key, value) { // {"f32": [...]}
    uint8_t one[8];
    if (!json_is_array(value))
      continue;
    b->bytes = malloc(json_array_size(value) * 8 + 1);
    for (size_t i = 0; i < json_array_size(value); i++) {
      size_t bytes = pack_number(key, json_array_get(value, i), one);
      if (!bytes)
        return input_error(r, "buffer '%s': unknown type '%s'", b->name, key);
      memcpy(b->bytes + b->len, one, bytes);
      b->len += bytes;
    }
    return 0;
  }
  return input_error(r, "buffer '%s' has neither npy, bytes, hex nor data", b->name);
}

static buffer *find_buffer(run *r, const char *name) {
  for (int i = 0; i < r->nbuffers && name; i++)
    if (strcmp(r->buffers[i].name, name) == 0)
      return &r->buffers[i];
  return NULL;
}

static int load_buffers(run *r) {
  const char *name;
  json_t *spec;
  json_object_foreach(json_object_get(r->root, "buffers"), name, spec) {
    if (r->nbuffers == MAX_BUFFERS)
      return input_error(r, "more than %d buffers", MAX_BUFFERS);
    buffer *b = &r->buffers[r->nbuffers++];
    b->name = name;
    int failed = load_buffer(r, b, spec);
    if (failed)
      return failed;
  }
  return 0;
}

static void place_buffers(run *r, sim_machine *machine) {
  for (int i = 0; i < r->nbuffers; i++) {
    buffer *b = &r->buffers[i];
    b->address = sim_alloc(machine, b->len, b->name);
    if (b->bytes)
      sim_write(machine, b->address, b->bytes, b->len);
  }
}

// --- tensor maps
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

static const char *word_of(const json_t *spec, const char *key, const char *otherwise) {
  const json_t *value = json_object_get(spec, key);
  return !value ? otherwise : json_is_string(value) ? json_string_value(value) : "";
}

static int pack_tensormap(run *r, size_t index, json_t *spec, uint8_t *out, uint32_t room) {
  sim_tensor_map map = {0};
  uint64_t box[SIM_TMA_RANK], steps[SIM_TMA_RANK];
  const buffer *b = find_buffer(r, json_string_value(json_object_get(spec, "buffer")));
  size_t rank = json_array_size(json_object_get(spec, "dims"));
  const char *fill = word_of(spec, "fill", "zeros");
  if (!b)
    return input_error(r, "parameter %zu: tensormap: unknown buffer", index), -1;
  if (rank < 1 || rank > SIM_TMA_RANK)
    return input_error(r, "parameter %zu: tensormap: dims needs 1 to 5 numbers", index), -1;
  if (!read_numbers(json_object_get(spec, "dims"), map.dims, rank, 0) ||
      !read_numbers(json_object_get(spec, "box"), box, rank, 0) ||
      !read_numbers(json_object_get(spec, "elem_strides"), steps, rank, 1) ||
      (rank > 1 &&
       !read_numbers(json_object_get(spec, "strides_bytes"), map.strides + 1, rank - 1, 0)))
    return input_error(r,
                       "parameter %zu: tensormap: dims, box, elem_strides need %zu numbers, "
                       "strides_bytes %zu",
                       index, rank, rank - 1),
           -1;
  for (size_t i = 0; i < rank; i++) {
    map.box[i] = box[i] > 1 << 20 ? 1 << 20 : (uint32_t)box[i];
    map.elem_strides[i] = steps[i] > 1 << 20 ? 1 << 20 : (uint32_t)steps[i];
  }
  map.rank = (uint8_t)rank;
  map.address = b->address + (uint64_t)json_integer_value(json_object_get(spec, "offset"));
  if (!sim_tma_type_of_name(word_of(spec, "dtype", ""), &map.type))
    return input_error(r, "parameter %zu: tensormap: unknown dtype", index), -1;
  if (!sim_tma_swizzle_of_name(word_of(spec, "swizzle", "none"), &map.swizzle))
    return input_error(r, "parameter %zu: tensormap: unknown swizzle", index), -1;
  if (strcmp(fill, "zeros") != 0 && strcmp(fill, "nan") != 0)
    return input_error(r, "parameter %zu: tensormap: unknown fill '%s'", index, fill), -1;
  map.nan_fill = strcmp(fill, "nan") == 0;
  map.interleave = strcmp(word_of(spec, "interleave", "none"), "none") != 0;
  const char *error = sim_tensor_map_check(&map);
  if (error)
    return input_error(r, "parameter %zu: tensormap: %s", index, error), -1;
  if (room >= SIM_TENSOR_MAP_BYTES)
    sim_tensor_map_encode(&map, out);
  return SIM_TENSOR_MAP_BYTES;
}

static int pack_param(run *r, size_t index, json_t *spec, uint8_t *out, uint32_t room);

// A struct: members at their offsets, zeros between; it fills the parameter.
static int pack_struct(run *r, size_t index, const json_t *members, uint8_t *out, uint32_t room) {
  size_t i;
  json_t *member;
  if (!json_is_array(members))
    return input_error(r, "parameter %zu: struct needs a list of members", index), -1;
  memset(out, 0, room);
  json_array_foreach(members, i, member) {
    const json_t *at = json_object_get(member, "at");
    json_int_t offset = json_integer_value(at);
    if (!json_is_integer(at) || offset < 0 || offset > room)
      return input_error(r, "parameter %zu: member %zu has no place 'at' inside", index, i), -1;
    json_t *rest = json_copy(member);
    json_object_del(rest, "at");
    int bytes = pack_param(r, index, rest, out + offset, room - (uint32_t)offset);
    json_decref(rest);
    if (bytes < 0)
      return -1;
    if ((uint32_t)bytes > room - (uint32_t)offset)
      return input_error(r, "parameter %zu: member %zu does not fit", index, i), -1;
  }
  return (int)room;
}

// The bytes of one parameter; its size or -1.
static int pack_param(run *r, size_t index, json_t *spec, uint8_t *out, uint32_t room) {
  const char *key;
  json_t *value;
  if ((value = json_object_get(spec, "buffer"))) {
    buffer *b = find_buffer(r, json_string_value(value));
    if (!b)
      return input_error(r, "parameter %zu: unknown buffer", index), -1;
    uint64_t address = b->address + (uint64_t)json_integer_value(json_object_get(spec, "offset"));
    if (room < 8)
      return 8;
    return memcpy(out, &address, 8), 8;
  }
  if ((value = json_object_get(spec, "bytes"))) {
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (!json_is_string(value) || !parse_hex(json_string_value(value), &bytes, &len))
      return free(bytes), input_error(r, "parameter %zu: bad hex", index), -1;
    if (len <= room)
      memcpy(out, bytes, len);
    return free(bytes), (int)len;
  }
  if ((value = json_object_get(spec, "tensormap")))
    return pack_tensormap(r, index, value, out, room);
  if ((value = json_object_get(spec, "struct")))
    return pack_struct(r, index, value, out, room);
  json_object_foreach(spec, key, value) {
    uint8_t number[8];
    size_t bytes = pack_number(key, value, number);
    if (bytes && bytes <= room)
      memcpy(out, number, bytes);
    if (bytes)
      return (int)bytes;
  }
  return input_error(r, "parameter %zu: unknown kind", index), -1;
}

static int pack_params(run *r, const sim_module *module, const char *entry, uint8_t **out,
                       size_t *out_len) {
  int count;
  const uint32_t *offsets, *sizes;
  json_t *params = json_object_get(r->root, "params");
  if (!sim_entry_params(module, entry, &count, &offsets, &sizes))
    return input_error(r, "no entry '%s' in %s", entry, r->ptx_path);
  if ((int)json_array_size(params) != count)
    return input_error(r, "entry '%s' takes %d parameters, got %zu", entry, count,
                       json_array_size(params));
  *out_len = count ? offsets[count - 1] + sizes[count - 1] : 0;
  *out = calloc(*out_len + 16, 1);
  for (int i = 0; i < count; i++) {
    int bytes =
        pack_param(r, (size_t)i, json_array_get(params, (size_t)i), *out + offsets[i], sizes[i]);
    if (bytes < 0)
      return EXIT_INPUT;
    if ((uint32_t)bytes != sizes[i])
      return input_error(r, "parameter %d has %u bytes, got %d", i, sizes[i], bytes);
  }
  return 0;
}

static int read_dims(run *r, const char *key, uint32_t out[3]) {
  json_t *dims = json_object_get(r->root, key);
  out[0] = out[1] = out[2] = 1;
  if (!dims)
    return 0;
  if (!json_is_array(dims) || json_array_size(dims) > 3)
    return input_error(r, "%s: expected up to three numbers", key);
  for (size_t i = 0; i < json_array_size(dims); i++) {
    json_int_t value = json_integer_value(json_array_get(dims, i));
    if (value < 1 || value > UINT32_MAX)
      return input_error(r, "%s: expected positive numbers", key);
    out[i] = (uint32_t)value;
  }
  return 0;
}

// --- one run under one seed ---------------------------------------------------------------------
static int compare_schedules(run *r, sim_machine *machine, uint64_t seed) {
  for (int i = 0; i < r->nbuffers; i++) {
    buffer *b = &r->buffers[i];
    uint8_t *now = malloc(b->len + 1);
    sim_read(machine, b->address, now, b->len);
    if (!b->first) {
      b->first = now;
      continue;
    }
    size_t at = 0;
    while (at < b->len && now[at] == b->first[at])
      at++;
    free(now);
    if (at == b->len)
      continue;
    fprintf(stderr, "%s: buffer '%s' differs at byte %zu between schedules (seed %" PRIu64 ")\n",
            r->launch_path, b->name, at, seed);
    return EXIT_CHECK;
  }
  return 0;
}

static int exit_of(sim_verdict verdict) {
  return verdict == SIM_OK ? 0
         : verdict == SIM_UNSUPPORTED || verdict == SIM_BAD_PTX || verdict == SIM_BAD_LAUNCH
             ? EXIT_INPUT
             : EXIT_CHECK;
}

static int run_once(run *r, uint64_t index) {
  sim_options options = r->options;
  options.seed += index;
  if (index && options.schedule == SIM_RR)
    options.schedule = SIM_RANDOM; // other seeds mean other orders
  sim_machine *machine = sim_create(r->arch, &options);
  if (!machine)
    return input_error(r, "unknown architecture '%s'", r->arch);
  sim_verdict verdict;
  sim_module *module = sim_load_ptx(machine, r->ptx_path, r->ptx_text, r->ptx_len, &verdict);
  int status = exit_of(verdict);
  if (!module) {
    fprintf(stderr, "%s\n", sim_error(machine));
    sim_destroy(machine);
    return status;
  }
  sim_launch_desc desc = {.entry = json_string_value(json_object_get(r->root, "entry"))};
  uint8_t *params = NULL;
  place_buffers(r, machine);
  if (!desc.entry)
    status = input_error(r, "no \"entry\"");
  if (!status)
    status = read_dims(r, "grid", desc.grid);
  if (!status)
    status = read_dims(r, "block", desc.block);
  if (!status)
    status = read_dims(r, "cluster", desc.cluster);
  if (!status)
    status = pack_params(r, module, desc.entry, &params, &desc.params_bytes);
  if (!status) {
    desc.dynamic_smem_bytes = (uint32_t)json_integer_value(json_object_get(r->root, "smem"));
    desc.params = params;
    verdict = sim_launch(module, &desc);
    fflush(stdout);
    status = exit_of(verdict);
    if (verdict != SIM_OK)
      fprintf(stderr, "%s\n", sim_error(machine));
    if (verdict != SIM_OK && r->schedules > 1)
      fprintf(stderr, "  seed %" PRIu64 "\n", options.seed);
    if (options.stats)
      sim_print_stats(machine, stderr);
    if (!status)
      status = compare_schedules(r, machine, options.seed);
  }
  free(params);
  sim_unload(module);
  sim_destroy(machine);
  return status;
}

// --- outputs ------------------------------------------------------------------------------------
static void print_buffer(const buffer *b, const char *type) {
  size_t bytes = strchr(type, '8') ? 1 : strstr(type, "16") ? 2 : strstr(type, "32") ? 4 : 8;
  printf("%s:", b->name);
  for (size_t at = 0; at + bytes <= b->len; at += bytes) {
    uint64_t value = 0;
    float f;
    double g;
    memcpy(&value, b->first + at, bytes);
    memcpy(&f, &value, 4);
    memcpy(&g, &value, 8);
    if (type[0] == 'f' && bytes == 4)
      printf(" %.9g", (double)f);
    else if (type[0] == 'f' && bytes == 8)
      printf(" %.17g", g);
    else if (type[0] == 'i' || type[0] == 's')
      printf(" %" PRId64, (int64_t)(value << (64 - 8 * bytes)) >> (64 - 8 * bytes));
    else if (type[0] == 'u')
      printf(" %" PRIu64, value);
    else
      printf(" %0*" PRIx64, (int)(2 * bytes), value);
  }
  putchar('\n');
}

static int write_outputs(run *r) {
  const char *name;
  json_t *value;
  json_object_foreach(json_object_get(r->root, "outputs"), name, value) {
    buffer *b = find_buffer(r, name);
    if (!b || !json_is_string(value))
      return input_error(r, "output '%s': no such buffer", name);
    char *path = resolve(r, json_string_value(value));
    bool ok = npy_write(path, b->first, b->len);
    if (!ok)
      fprintf(stderr, "%s: %s\n", path, strerror(errno));
    free(path);
    if (!ok)
      return EXIT_INPUT;
  }
  json_object_foreach(json_object_get(r->root, "print"), name, value) {
    buffer *b = find_buffer(r, name);
    if (!b || !json_is_string(value))
      return input_error(r, "print '%s': no such buffer", name);
    print_buffer(b, json_string_value(value));
  }
  return 0;
}

// --- main ---------------------------------------------------------------------------------------
static const char *arch_of_target(const char *text) {
  const char *target = strstr(text, "\n.target");
  int number = 0;
  if (target && (target = strstr(target, "sm_")))
    number = atoi(target + 3);
  return number >= 120 ? "sm_120a" : number >= 100 ? "sm_100a" : "sm_90a";
}

static int load_ptx(run *r) {
  const char *path = r->launch_path;
  if (r->root) {
    path = json_string_value(json_object_get(r->root, "ptx"));
    if (!path)
      return input_error(r, "no \"ptx\"");
    r->ptx_path = resolve(r, path);
  } else {
    r->ptx_path = strdup(path);
  }
  r->ptx_text = tl_read_file(r->ptx_path, &r->ptx_len);
  if (!r->ptx_text)
    return fprintf(stderr, "%s: %s\n", r->ptx_path, strerror(errno)), EXIT_INPUT;
  if (!r->arch)
    r->arch = arch_of_target(r->ptx_text);
  return 0;
}

static int load_launch(run *r) {
  json_error_t error;
  r->root = json_load_file(r->launch_path, 0, &error);
  if (!r->root)
    return fprintf(stderr, "%s:%d:%d: error: %s\n", r->launch_path, error.line, error.column,
                   error.text),
           EXIT_INPUT;
  if (!json_is_object(r->root))
    return input_error(r, "expected an object");
  return 0;
}

static int run_all(run *r) {
  const char *slash = strrchr(r->launch_path, '/');
  r->dir = slash ? strndup(r->launch_path, (size_t)(slash - r->launch_path)) : strdup("");
  if (slash == r->launch_path)
    free(r->dir), r->dir = strdup("/.");
  bool bare = r->forms && tl_ends_with(r->launch_path, ".ptx");
  int status = bare ? 0 : load_launch(r);
  if (!status)
    status = load_ptx(r);
  if (status)
    return status;
  if (r->forms)
    return sim_print_forms(r->ptx_path, r->ptx_text, r->ptx_len, stdout) == 0 ? 0 : EXIT_INPUT;
  status = load_buffers(r);
  if (r->trace_path && !status) {
    r->options.trace = strcmp(r->trace_path, "-") == 0 ? stderr : fopen(r->trace_path, "w");
    if (!r->options.trace)
      return fprintf(stderr, "%s: %s\n", r->trace_path, strerror(errno)), EXIT_INPUT;
  }
  for (uint64_t i = 0; i < r->schedules && !status; i++)
    status = run_once(r, i);
  if (!status)
    status = write_outputs(r);
  if (r->options.trace && r->options.trace != stderr)
    fclose(r->options.trace);
  return status;
}

int main(int argc, char **argv) {
  static run r = {.schedules = 1};
  sim_options_default(&r.options);
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0)
      return fputs(help_text, stdout), 0;
    if (strcmp(argv[i], "--version") == 0)
      return puts("ptxsim " TILE_VERSION), 0;
    if (argv[i][0] != '-' && !r.launch_path) {
      r.launch_path = argv[i];
    } else if (!parse_option(&r, argv[i])) {
      fprintf(stderr, "ptxsim: bad argument '%s' (try --help)\n", argv[i]);
      return EXIT_USAGE;
    }
  }
  if (!r.launch_path)
    return fputs("ptxsim: no launch file (try --help)\n", stderr), EXIT_USAGE;
  int status = run_all(&r);
  for (int i = 0; i < r.nbuffers; i++)
    free(r.buffers[i].bytes), free(r.buffers[i].first);
  json_decref(r.root);
  free(r.dir);
  free(r.ptx_path);
  free(r.ptx_text);
  return status;
}
