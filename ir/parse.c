// Reads what ir_print wrote. Recursive descent over the bytes; the first mistake ends the reading
// with its position, everything after it sees the end of the text. What is accepted has known
// operations with the operand, result and region counts of ops.def and values defined before their
// use; the rest is ir_verify's business.
#include "ir/ir.h"
#include "ir/layout.h"
#include <stdlib.h>

enum { MAX_DEPTH = 100, MAX_OPERANDS = 4096, MAX_FILES = 1 << 16, MAX_LAYOUTS = 1 << 16 };

typedef struct reader {
  tl_arena *arena;
  ir_module *module;
  ir_func *func;
  const char *text, *at, *end; // *end is NUL
  const char *error;           // NULL: none so far
  uint32_t max_number;
  int depth;
  ir_map vals;                       // by printed number
  TL_VEC(uint32_t) files;            // by printed number
  TL_VEC(const ir_layout *) layouts; // by printed number
} reader;

typedef struct val_name {
  uint32_t number;
  const char *hint;
} val_name;
typedef TL_VEC(val_name) name_list;
typedef TL_VEC(ir_val) val_list;
typedef TL_VEC(const ty_type *) type_list;
typedef TL_VEC(const ir_layout *) layout_list;

// --- characters and words ----------------------------------------------------------------------

__attribute__((format(printf, 2, 3))) static bool fail(reader *r, const char *fmt, ...) {
  if (r->error)
    return false;
  int line = 1, col = 1;
  for (const char *at = r->text; at < r->at; at++) {
    line += *at == '\n';
    col = *at == '\n' ? 1 : col + 1;
  }
  va_list args;
  va_start(args, fmt);
  const char *reason = tl_vsprintf(r->arena, fmt, args);
  va_end(args);
  r->error = tl_sprintf(r->arena, "%d:%d: %s", line, col, reason);
  r->at = r->end;
  return false;
}

// Blanks, line ends and comments ("//" to the end of the line, for files written by hand).
static void skip(reader *r) {
  for (;;) {
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')
      r->at++;
    if (r->at[0] != '/' || r->at[1] != '/')
      return;
    while (*r->at && *r->at != '\n')
      r->at++;
  }
}

static bool word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool accept(reader *r, const char *token) {
  skip(r);
  size_t len = strlen(token);
  if (strncmp(r->at, token, len) || (word_char(token[0]) && word_char(r->at[len])))
    return false;
  r->at += len;
  return true;
}

static bool expect(reader *r, const char *token) {
  return accept(r, token) || fail(r, "expected '%s'", token);
}

static const char *read_word(reader *r) {
  size_t len = 0;
  skip(r);
  while (word_char(r->at[len]))
    len++;
  if (!len) {
    fail(r, "expected a name");
    return "";
  }
  r->at += len;
  return tl_strndup(r->arena, r->at - len, len);
}

static int64_t read_int(reader *r) {
  skip(r);
  char *stop;
  const char *digits = r->at + (*r->at == '-');
  if (*digits < '0' || *digits > '9') {
    fail(r, "expected an integer");
    return 0;
  }
  int64_t value = strtoll(r->at, &stop, 10);
  r->at = stop;
  return value;
}

static int read_small(reader *r, int low, int high) {
  int64_t value = read_int(r);
  if (value < low || value > high) {
    fail(r, "number out of range (%d to %d)", low, high);
    return low;
  }
  return (int)value;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One character of a string, escapes resolved; -1: malformed.
static int read_string_char(reader *r) {
  char c = *r->at++;
  if (c != '\\')
    return (unsigned char)c;
  c = *r->at++;
  if (c == 'n')
    return '\n';
  if (c == '"' || c == '\\')
    return c;
  if (c != 'x')
    return -1;
  int high = hex_digit(r->at[0]), low = high < 0 ? -1 : hex_digit(r->at[1]);
  if (low < 0 || high + low == 0)
    return -1;
  r->at += 2;
  return high * 16 + low;
}

static const char *read_string(reader *r) {
  skip(r);
  if (*r->at != '"') {
    fail(r, "expected a string");
    return "";
  }
  const char *close = ++r->at;
  while (*close && *close != '"')
    close += close[0] == '\\' && close[1] ? 2 : 1;
  char *out = tl_alloc(r->arena, (size_t)(close - r->at) + 1), *to = out;
  while (*r->at && *r->at != '"' && *r->at != '\n') {
    int c = read_string_char(r);
    if (c < 0) {
      fail(r, "bad escape in a string");
      return "";
    }
    *to++ = (char)c;
  }
  expect(r, "\"");
  return out;
}

// --- values ------------------------------------------------------------------------------------

static val_name read_val_name(reader *r) {
  val_name name = {0};
  if (!expect(r, "%"))
    return name;
  name.number = (uint32_t)read_small(r, 1, (int)r->max_number);
  if (*r->at == '.' && word_char(r->at[1])) {
    r->at++;
    name.hint = read_word(r);
  }
  return name;
}

static ir_val read_use(reader *r) {
  val_name name = read_val_name(r);
  ir_val val = name.number < r->vals.len ? r->vals.data[name.number] : (ir_val){0};
  if (!ir_some(val))
    fail(r, "%%%u is not defined before this use", name.number);
  return val;
}

static void bind_name(reader *r, val_name name, ir_val val) {
  if (r->error)
    return;
  while (r->vals.len <= name.number)
    tl_push(r->arena, &r->vals, (ir_val){0});
  if (ir_some(r->vals.data[name.number])) {
    fail(r, "%%%u is defined twice", name.number);
    return;
  }
  r->vals.data[name.number] = val;
  r->func->vals.data[val.id].hint = name.hint;
}

static const ty_type *read_type(reader *r, const ir_layout **out_layout) {
  skip(r);
  *out_layout = NULL;
  const ty_type *type = ty_parse(&r->module->types, &r->at);
  if (!type) {
    fail(r, "expected a type");
    return ty_none(&r->module->types);
  }
  if (accept(r, "@L")) {
    uint32_t number = (uint32_t)read_small(r, 0, MAX_LAYOUTS);
    if (number < r->layouts.len)
      *out_layout = r->layouts.data[number];
    if (!*out_layout)
      fail(r, "layout L%u is not defined", number);
  }
  return type;
}

// --- attributes --------------------------------------------------------------------------------

static void read_ints(reader *r, ir_op *op, const char *name) {
  TL_VEC(int64_t) ints = {0};
  expect(r, "[");
  if (!accept(r, "]")) {
    do {
      int64_t value = read_int(r);
      tl_push(r->arena, &ints, value);
    } while (accept(r, ","));
    expect(r, "]");
  }
  ir_set_ints(r->func, op, name, (int)ints.len, ints.data);
}

// "-12" is an integer; "0x1.8p+1", "1.5", "2e3", "nan", "inf" and "-inf" are floats.
static void read_number(reader *r, ir_op *op, const char *name) {
  static const char float_marks[] = ".xXeEpPnN";
  char *stop;
  double value = strtod(r->at, &stop);
  bool is_float = false;
  for (const char *at = r->at; at < stop; at++)
    is_float |= strchr(float_marks, *at) != NULL;
  if (!is_float) {
    int64_t integer = read_int(r);
    ir_set_int(r->func, op, name, integer);
    return;
  }
  r->at = stop;
  ir_set_float(r->func, op, name, value);
}

static void read_attrs(reader *r, ir_op *op) {
  do {
    const char *name = read_word(r);
    if (ir_attr_find(op, name))
      fail(r, "attribute '%s' given twice", name);
    expect(r, "=");
    skip(r);
    if (*r->at == '"')
      ir_set_str(r->func, op, name, read_string(r));
    else if (*r->at == '[')
      read_ints(r, op, name);
    else
      read_number(r, op, name);
  } while (!r->error && accept(r, ","));
  expect(r, "}");
}

// A brace opens attributes when "name =" follows, a region otherwise.
static bool accept_attrs(reader *r) {
  skip(r);
  if (*r->at != '{')
    return false;
  const char *brace = r->at++;
  skip(r);
  const char *name = r->at;
  while (word_char(*r->at))
    r->at++;
  bool found = r->at > name;
  skip(r);
  found = found && *r->at == '=';
  r->at = found ? name : brace;
  return found;
}

// --- operations --------------------------------------------------------------------------------

static bool find_code(const char *name, ir_code *out) {
  for (int i = 0; i < IR_CODE_COUNT; i++)
    if (!strcmp(ir_info((ir_code)i)->name, name)) {
      *out = (ir_code)i;
      return true;
    }
  return false;
}

static tl_span read_loc(reader *r) {
  tl_span none = {0};
  if (!accept(r, "loc"))
    return none;
  expect(r, "(");
  uint32_t number = (uint32_t)read_small(r, 0, MAX_FILES);
  expect(r, ":");
  int line = read_small(r, 0, (1 << (31 - TL_SPAN_COL_BITS)) - 1);
  expect(r, ":");
  int col = read_small(r, 0, (1 << TL_SPAN_COL_BITS) - 1);
  expect(r, ")");
  if (number >= r->files.len || !r->files.data[number]) {
    fail(r, "source %u is not listed", number);
    return none;
  }
  return tl_span_at(r->files.data[number], line, col);
}

static void read_region(reader *r, ir_region *region);

static void read_region_params(reader *r, ir_region *region) {
  if (!accept(r, "("))
    return;
  do {
    const ir_layout *layout;
    val_name name = read_val_name(r);
    expect(r, ":");
    const ty_type *type = read_type(r, &layout);
    if (region->nparams == MAX_OPERANDS)
      fail(r, "too many region parameters");
    if (r->error)
      return;
    ir_val val = ir_region_param(r->func, region, type);
    r->func->vals.data[val.id].layout = layout;
    bind_name(r, name, val);
  } while (accept(r, ","));
  expect(r, ")");
}

static void read_uses(reader *r, val_list *out) {
  skip(r);
  if (*r->at != '%')
    return;
  do {
    ir_val val = read_use(r);
    if (out->len == MAX_OPERANDS)
      fail(r, "too many operands");
    tl_push(r->arena, out, val);
  } while (!r->error && accept(r, ","));
}

static void read_result_types(reader *r, type_list *types, layout_list *layouts) {
  if (!accept(r, ":"))
    return;
  do {
    const ir_layout *layout;
    const ty_type *type = read_type(r, &layout);
    tl_push(r->arena, types, type);
    tl_push(r->arena, layouts, layout);
  } while (!r->error && accept(r, ","));
}

static bool count_ok(reader *r, const char *what, const char *name, uint32_t count, int min,
                     int max) {
  if ((int)count >= min && (max < 0 || (int)count <= max))
    return true;
  return fail(r, "'%s' has %u %s", name, count, what);
}

// The operation's own results come into scope after its regions.
static void read_rest(reader *r, ir_region *region, const name_list *names, ir_code code) {
  const ir_code_info *info = ir_info(code);
  val_list args = {0};
  type_list types = {0};
  layout_list layouts = {0};
  ir_op attrs = {0}; // carries the attributes until the operation exists
  read_uses(r, &args);
  if (accept_attrs(r))
    read_attrs(r, &attrs);
  read_result_types(r, &types, &layouts);
  if (r->error || !count_ok(r, "operands", info->name, args.len, info->min_args, info->max_args) ||
      !count_ok(r, "results", info->name, names->len, info->results < 0 ? 0 : info->results,
                info->results) ||
      !count_ok(r, "result types", info->name, types.len, (int)names->len, (int)names->len))
    return;
  ir_builder b = {.func = r->func, .region = region};
  ir_op *op = ir_build(&b, code, args.len, args.data, types.len, types.data);
  op->attrs = attrs.attrs;
  for (uint32_t i = 0; i < op->nregions && !r->error; i++) {
    read_region_params(r, op->regions[i]);
    expect(r, "{");
    read_region(r, op->regions[i]);
  }
  for (uint32_t i = 0; i < op->nres; i++) {
    r->func->vals.data[op->res[i].id].layout = layouts.data[i];
    bind_name(r, names->data[i], op->res[i]);
  }
  op->loc = read_loc(r);
}

static void read_op(reader *r, ir_region *region) {
  name_list names = {0};
  ir_code code = IR_CONST;
  skip(r);
  if (*r->at == '%') {
    do {
      val_name name = read_val_name(r);
      if (names.len == MAX_OPERANDS)
        fail(r, "too many results");
      tl_push(r->arena, &names, name);
    } while (!r->error && accept(r, ","));
    expect(r, "=");
  }
  skip(r);
  const char *start = r->at, *name = read_word(r);
  if (!r->error && !find_code(name, &code)) {
    r->at = start;
    fail(r, "no operation is called '%s'", name);
  }
  if (!r->error)
    read_rest(r, region, &names, code);
}

static void read_region(reader *r, ir_region *region) {
  if (++r->depth > MAX_DEPTH)
    fail(r, "regions nested more than %d deep", MAX_DEPTH);
  while (!r->error && !accept(r, "}"))
    read_op(r, region);
  r->depth--;
}

// --- functions ---------------------------------------------------------------------------------

static ir_param_kind read_param_kind(reader *r) {
  static const char *const kinds[] = {"ptr", "scalar", "dim", "stride",
                                      "tmap"}; // ORDER ir_param_kind
  for (int i = 0; i < 5; i++)
    if (accept(r, kinds[i]))
      return (ir_param_kind)i;
  fail(r, "expected ptr, scalar, dim, stride or tmap");
  return IR_PARAM_SCALAR;
}

// "box [128,64] swizzle 128"
static void read_box(reader *r, ir_param *param) {
  if (!accept(r, "box"))
    return;
  expect(r, "[");
  do {
    if (param->nbox == TY_MAX_RANK) {
      fail(r, "a box with too many dims");
      return;
    }
    param->box[param->nbox++] = read_small(r, 1, 256);
  } while (!r->error && accept(r, ","));
  expect(r, "]");
  expect(r, "swizzle");
  param->swizzle = read_small(r, 0, 128);
}

static void read_param(reader *r) {
  const ir_layout *layout;
  val_name name = read_val_name(r);
  expect(r, ":");
  const ty_type *type = read_type(r, &layout);
  ir_param_kind kind = read_param_kind(r);
  ir_val val = ir_add_param(r->func, kind, read_string(r), type);
  ir_param *param = &tl_last(&r->func->params);
  if (kind == IR_PARAM_STRIDE)
    param->axis = read_small(r, 0, TY_MAX_RANK - 1);
  if (accept(r, "align") || accept(r, "div"))
    param->div = read_int(r);
  if (param->div < 1)
    fail(r, "a divisor must be positive");
  param->read_only = accept(r, "read_only");
  read_box(r, param);
  bind_name(r, name, val);
}

static void read_settings(reader *r) {
  do {
    ir_setting setting = {.name = read_word(r)};
    expect(r, "=");
    setting.value = read_string(r);
    tl_push(r->module->arena, &r->func->settings, setting);
  } while (!r->error && accept(r, ","));
  expect(r, "}");
}

static void read_grid(reader *r) {
  skip(r);
  for (int i = 0; i < 3 && *r->at == '"'; i++) {
    r->func->grid[i] = read_string(r);
    skip(r);
  }
}

// The words between the name and the parameters, in any order.
static void read_header(reader *r) {
  ir_func *func = r->func;
  while (!r->error && !accept(r, "("))
    if (accept(r, "kernel"))
      func->kernel = read_string(r);
    else if (accept(r, "warps"))
      func->warps = read_small(r, 1, 32);
    else if (accept(r, "feeders"))
      func->extra_warps = read_small(r, 0, 8);
    else if (accept(r, "cluster"))
      func->cluster = read_small(r, 1, 16);
    else if (accept(r, "min_ctas"))
      func->min_ctas = read_small(r, 1, 32);
    else if (accept(r, "smem"))
      func->smem_bytes = read_small(r, 0, INT32_MAX);
    else if (accept(r, "sir"))
      func->sir = true;
    else if (accept(r, "grid"))
      read_grid(r);
    else if (accept(r, "{"))
      read_settings(r);
    else
      fail(r, "expected kernel, warps, feeders, cluster, min_ctas, smem, sir, grid, settings or parameters");
}

static void read_layouts(reader *r) {
  while (accept(r, "layout")) {
    ir_layout layout;
    int number;
    if (!ir_layout_read(&r->at, &number, &layout) || number < 0 || number > MAX_LAYOUTS) {
      fail(r, "malformed layout");
      return;
    }
    while (r->layouts.len <= (uint32_t)number)
      tl_push(r->arena, &r->layouts, (const ir_layout *)NULL);
    if (r->layouts.data[number])
      fail(r, "layout L%d is defined twice", number);
    r->layouts.data[number] = ir_layout_intern(r->func, &layout);
  }
}

static void read_func(reader *r) {
  expect(r, "@");
  const char *name = read_word(r);
  expect(r, "target");
  const char *target_name = read_string(r);
  const tl_target *target = tl_target_by_name(target_name);
  if (r->error || !target) {
    fail(r, "unknown target '%s'", target_name);
    return;
  }
  r->func = ir_func_new(r->module, name, target);
  r->vals.len = r->layouts.len = 0;
  read_header(r);
  if (!accept(r, ")")) {
    do
      read_param(r);
    while (!r->error && accept(r, ","));
    expect(r, ")");
  }
  expect(r, "{");
  read_layouts(r);
  read_region(r, r->func->body);
}

// A path that is already known by name alone is shared: reading again must not grow the set.
static void read_source(reader *r) {
  uint32_t number = (uint32_t)read_small(r, 1, MAX_FILES), file = 0;
  const char *path = read_string(r);
  if (r->error)
    return;
  tl_sources *sources = r->module->sources;
  for (uint32_t i = 0; i < sources->files.len && !file; i++)
    if (!sources->files.data[i].text && !strcmp(sources->files.data[i].path, path))
      file = i + 1;
  while (r->files.len <= number)
    tl_push(r->arena, &r->files, 0u);
  if (r->files.data[number])
    fail(r, "source %u is listed twice", number);
  r->files.data[number] = file ? file : tl_source_add(sources, path, NULL, 0);
}

ir_module *ir_parse(tl_arena *arena, tl_sources *sources, const char *text, size_t len,
                    const char **out_error) {
  reader r = {.arena = arena, .module = ir_module_new(arena, sources)};
  r.text = r.at = tl_strndup(arena, text, len);
  r.end = r.text + len;
  r.max_number = len < 1u << 20 ? 1u << 20 : (uint32_t)len;
  *out_error = NULL;
  for (skip(&r); !r.error && r.at < r.end; skip(&r))
    if (accept(&r, "source"))
      read_source(&r);
    else if (accept(&r, "func"))
      read_func(&r);
    else
      fail(&r, "expected 'func' or 'source'");
  *out_error = r.error;
  return r.error ? NULL : r.module;
}
