// The text form. Values and files are renumbered in order of appearance, so equal functions print
// equal text whatever their ids: print(parse(print(f))) is print(f), letter for letter.
//
//   source 1 "vadd.tile"
//   func @vadd target "sm_90a" kernel "vadd" warps 4 {BN="128"} grid "ceildiv(N, 128)" (
//       %1.X: ptr<f32> ptr "X" align 16 read_only,
//       %2.N: i32 dim "N" div 4) {
//     layout L0 = dist ..                                  (sir only)
//     %3.c = const {value=0} : i32 loc(1:3:9)
//     %4 = if %c : f32[4] @L0 {
//       yield %5
//     } {
//       yield %6
//     } loc(1:4:5)
//     return
//   }
#include "ir/ir.h"
#include "ir/layout.h"
#include <math.h>

typedef struct printer {
  const ir_func *func;
  tl_buf *out;
  uint32_t *number;      // printed number by value id; 0: not seen
  uint32_t nvals;        // numbers given so far
  const uint32_t *files; // printed number by file index; NULL: as they are
} printer;

// --- words -------------------------------------------------------------------------------------

static void print_string(tl_buf *out, const char *text) {
  tl_buf_putc(out, '"');
  for (const unsigned char *at = (const unsigned char *)text; *at; at++)
    if (*at == '"' || *at == '\\')
      tl_buf_printf(out, "\\%c", *at);
    else if (*at == '\n')
      tl_buf_puts(out, "\\n");
    else if (*at < 0x20 || *at >= 0x7F)
      tl_buf_printf(out, "\\x%02x", *at);
    else
      tl_buf_putc(out, (char)*at);
  tl_buf_putc(out, '"');
}

// Hexadecimal floats are exact; NaN payloads and signs carry no meaning in the IR.
static void print_float(tl_buf *out, double value) {
  if (isnan(value))
    tl_buf_puts(out, "nan");
  else if (isinf(value))
    tl_buf_puts(out, value < 0 ? "-inf" : "inf");
  else
    tl_buf_printf(out, "%a", value);
}

static void print_ints(tl_buf *out, const int64_t *ints, int count) {
  tl_buf_putc(out, '[');
  for (int i = 0; i < count; i++)
    tl_buf_printf(out, i ? ", %lld" : "%lld", (long long)ints[i]);
  tl_buf_putc(out, ']');
}

static void print_attrs(tl_buf *out, const ir_attr *attrs) {
  if (!attrs)
    return;
  for (const ir_attr *at = attrs; at; at = at->next) {
    tl_buf_printf(out, "%s%s=", at == attrs ? " {" : ", ", at->name);
    switch (at->kind) {
    case IR_ATTR_INT:
      tl_buf_printf(out, "%lld", (long long)at->i);
      break;
    case IR_ATTR_FLOAT:
      print_float(out, at->f);
      break;
    case IR_ATTR_STR:
      print_string(out, at->s);
      break;
    case IR_ATTR_INTS:
      print_ints(out, at->ints, at->nints);
      break;
    }
  }
  tl_buf_putc(out, '}');
}

// A value that has no place in the function shows its raw id behind a question mark.
static void print_use(printer *p, ir_val val) {
  if (val.id < p->func->vals.len && p->number[val.id])
    tl_buf_printf(p->out, "%%%u", p->number[val.id]);
  else
    tl_buf_printf(p->out, "%%?%u", val.id);
}

static void print_hint(tl_buf *out, const char *hint) {
  if (!hint || !*hint)
    return;
  tl_buf_putc(out, '.');
  for (; *hint; hint++) {
    bool word = (*hint >= 'a' && *hint <= 'z') || (*hint >= 'A' && *hint <= 'Z') ||
                (*hint >= '0' && *hint <= '9') || *hint == '_';
    tl_buf_putc(out, word ? *hint : '_');
  }
}

static void print_def(printer *p, ir_val val) {
  print_use(p, val);
  print_hint(p->out, ir_info_of(p->func, val)->hint);
}

static void print_type(printer *p, ir_val val) {
  const ir_val_info *info = ir_info_of(p->func, val);
  ty_print(info->type, p->out);
  if (info->layout)
    tl_buf_printf(p->out, " @L%d", info->layout->number);
}

static void print_loc(printer *p, tl_span loc) {
  int line, col;
  if (!loc.file)
    return;
  tl_source_position(p->func->module->sources, loc, &line, &col);
  int max_col = (1 << TL_SPAN_COL_BITS) - 1; // what a location read back can hold
  tl_buf_printf(p->out, " loc(%u:%d:%d)", p->files ? p->files[loc.file] : loc.file, line,
                col < max_col ? col : max_col);
}

// --- operations --------------------------------------------------------------------------------

static void give_number(printer *p, ir_val val) {
  if (val.id < p->func->vals.len)
    p->number[val.id] = ++p->nvals;
}

// Numbers in the order the text shows them: results, then parameters and operations of regions.
static void number_region(printer *p, const ir_region *region) {
  for (uint32_t i = 0; i < region->nparams; i++)
    give_number(p, region->params[i]);
  for (const ir_op *op = region->first; op; op = op->next) {
    for (uint32_t i = 0; i < op->nres; i++)
      give_number(p, op->res[i]);
    for (uint32_t i = 0; i < op->nregions; i++)
      number_region(p, op->regions[i]);
  }
}

static void number_func(printer *p, tl_arena *arena) {
  p->number = TL_NEW_N(arena, uint32_t, p->func->vals.len);
  for (uint32_t i = 0; i < p->func->params.len; i++)
    give_number(p, p->func->params.data[i].val);
  number_region(p, p->func->body);
}

static void print_op_head(printer *p, const ir_op *op) {
  for (uint32_t i = 0; i < op->nres; i++) {
    if (i)
      tl_buf_puts(p->out, ", ");
    print_def(p, op->res[i]);
  }
  if (op->nres)
    tl_buf_puts(p->out, " = ");
  tl_buf_puts(p->out, ir_info(op->code)->name);
  for (uint32_t i = 0; i < op->nargs; i++) {
    tl_buf_puts(p->out, i ? ", " : " ");
    print_use(p, op->args[i]);
  }
  print_attrs(p->out, op->attrs);
  for (uint32_t i = 0; i < op->nres; i++) {
    tl_buf_puts(p->out, i ? ", " : " : ");
    print_type(p, op->res[i]);
  }
}

static void print_region_params(printer *p, const ir_region *region) {
  if (!region->nparams)
    return;
  for (uint32_t i = 0; i < region->nparams; i++) {
    tl_buf_puts(p->out, i ? ", " : " (");
    print_def(p, region->params[i]);
    tl_buf_puts(p->out, ": ");
    print_type(p, region->params[i]);
  }
  tl_buf_putc(p->out, ')');
}

static void indent(tl_buf *out, int depth) {
  for (int i = 0; i < depth; i++)
    tl_buf_puts(out, "  ");
}

static void print_region(printer *p, const ir_region *region, int depth) {
  for (const ir_op *op = region->first; op; op = op->next) {
    indent(p->out, depth);
    print_op_head(p, op);
    for (uint32_t i = 0; i < op->nregions; i++) {
      print_region_params(p, op->regions[i]);
      tl_buf_puts(p->out, " {\n");
      print_region(p, op->regions[i], depth + 1);
      indent(p->out, depth);
      tl_buf_putc(p->out, '}');
    }
    print_loc(p, op->loc);
    tl_buf_putc(p->out, '\n');
  }
}

// --- functions ---------------------------------------------------------------------------------

static void print_param(printer *p, const ir_param *param) {
  static const char *const kinds[] = {"ptr", "scalar", "dim", "stride",
                                      "tmap"}; // ORDER ir_param_kind
  print_def(p, param->val);
  tl_buf_puts(p->out, ": ");
  print_type(p, param->val);
  tl_buf_printf(p->out, " %s ", kinds[param->kind]);
  print_string(p->out, param->name);
  if (param->kind == IR_PARAM_STRIDE)
    tl_buf_printf(p->out, " %d", param->axis);
  if (param->div != 1)
    tl_buf_printf(p->out, param->kind == IR_PARAM_PTR ? " align %lld" : " div %lld",
                  (long long)param->div);
  if (param->read_only)
    tl_buf_puts(p->out, " read_only");
  for (int i = 0; i < param->nbox; i++)
    tl_buf_printf(p->out, i ? ",%lld" : " box [%lld", (long long)param->box[i]);
  if (param->nbox)
    tl_buf_printf(p->out, "] swizzle %d", param->swizzle);
}

static void print_grid(printer *p) {
  int count = 3;
  while (count && !p->func->grid[count - 1])
    count--;
  if (count)
    tl_buf_puts(p->out, " grid");
  for (int i = 0; i < count; i++) {
    tl_buf_putc(p->out, ' ');
    print_string(p->out, p->func->grid[i] ? p->func->grid[i] : "1");
  }
}

static void print_header(printer *p) {
  const ir_func *func = p->func;
  tl_buf_printf(p->out, "func @%s target \"%s\" kernel ", func->name, func->target->name);
  print_string(p->out, func->kernel);
  if (func->warps)
    tl_buf_printf(p->out, " warps %d", func->warps);
  if (func->extra_warps)
    tl_buf_printf(p->out, " feeders %d", func->extra_warps);
  if (func->cluster)
    tl_buf_printf(p->out, " cluster %d", func->cluster);
  if (func->min_ctas)
    tl_buf_printf(p->out, " min_ctas %d", func->min_ctas);
  if (func->smem_bytes)
    tl_buf_printf(p->out, " smem %lld", (long long)func->smem_bytes);
  if (func->sir)
    tl_buf_puts(p->out, " sir");
  for (uint32_t i = 0; i < func->settings.len; i++) {
    tl_buf_printf(p->out, "%s%s=", i ? ", " : " {", func->settings.data[i].name);
    print_string(p->out, func->settings.data[i].value);
  }
  if (func->settings.len)
    tl_buf_putc(p->out, '}');
  print_grid(p);
  tl_buf_puts(p->out, " (");
  for (uint32_t i = 0; i < func->params.len; i++) {
    tl_buf_puts(p->out, i ? ",\n    " : "\n    ");
    print_param(p, &func->params.data[i]);
  }
  tl_buf_puts(p->out, ") {\n");
}

static void print_func(const ir_func *func, const uint32_t *files, tl_buf *out) {
  tl_arena arena = {0};
  printer p = {.func = func, .out = out, .files = files};
  number_func(&p, &arena);
  print_header(&p);
  for (uint32_t i = 0; i < func->layouts.len; i++) {
    tl_buf_printf(out, "  layout L%d = ", func->layouts.data[i]->number);
    ir_layout_print(func->layouts.data[i], out);
    tl_buf_putc(out, '\n');
  }
  print_region(&p, func->body, 1);
  tl_buf_puts(out, "}\n");
  tl_arena_free(&arena);
}

// --- the file table ----------------------------------------------------------------------------

typedef struct file_table {
  uint32_t *number; // by file index; 0: not used
  uint32_t count;
  const tl_sources *sources;
  tl_buf *out;
} file_table;

static void use_file(ir_op *op, void *user) {
  file_table *table = user;
  uint32_t file = op->loc.file;
  if (!file || table->number[file])
    return;
  table->number[file] = ++table->count;
  tl_buf_printf(table->out, "source %u ", table->count);
  print_string(table->out, table->sources->files.data[file - 1].path);
  tl_buf_putc(table->out, '\n');
}

static void print_funcs(const ir_module *module, ir_func *const *funcs, uint32_t count,
                        tl_buf *out) {
  tl_arena arena = {0};
  uint32_t nfiles = module->sources ? module->sources->files.len : 0;
  file_table table = {TL_NEW_N(&arena, uint32_t, nfiles + 1), 0, module->sources, out};
  for (uint32_t i = 0; i < count; i++)
    ir_walk(funcs[i]->body, use_file, &table);
  for (uint32_t i = 0; i < count; i++) {
    if (i || table.count)
      tl_buf_putc(out, '\n');
    print_func(funcs[i], table.number, out);
  }
  tl_arena_free(&arena);
}

void ir_print(const ir_module *module, tl_buf *out) {
  print_funcs(module, module->funcs.data, module->funcs.len, out);
}

void ir_print_func(const ir_func *func, tl_buf *out) {
  ir_func *alone = (ir_func *)func; // the list of functions is not const; nothing is written
  print_funcs(func->module, &alone, 1, out);
}

void ir_print_op(const ir_func *func, const ir_op *op, tl_buf *out) {
  tl_arena arena = {0};
  printer p = {.func = func, .out = out};
  number_func(&p, &arena);
  print_op_head(&p, op);
  if (op->nregions)
    tl_buf_puts(out, " {..}");
  print_loc(&p, op->loc);
  tl_arena_free(&arena);
}
