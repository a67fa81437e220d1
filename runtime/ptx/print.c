// Prints a module back as PTX that means the same; printing what was parsed from it is the
// identity.
#include "runtime/ptx/ptx.h"
#include <inttypes.h>

static const char *const space_words[] = {"", "reg", "param", "local", "shared", "global", "const"};
static const char *const linkage_words[] = {"", ".visible ", ".extern ", ".weak ", ".common "};

static void print_operand(const ptx_operand *opd, tl_buf *out);

static void print_items(const ptx_operand *opd, tl_buf *out) {
  for (uint32_t i = 0; i < opd->nitems; i++) {
    if (i)
      tl_buf_puts(out, ", ");
    print_operand(&opd->items[i], out);
  }
}

static void print_offset(int64_t offset, tl_buf *out) {
  if (offset)
    tl_buf_printf(out, "%+" PRId64, offset);
}

static void print_operand(const ptx_operand *opd, tl_buf *out) {
  switch (opd->kind) {
  case PTX_OPD_NAME:
    if (opd->negated)
      tl_buf_putc(out, '!');
    tl_buf_puts(out, opd->name);
    print_offset(opd->offset, out);
    break;
  case PTX_OPD_INT:
  case PTX_OPD_F32:
  case PTX_OPD_F64:
    tl_buf_puts(out, opd->text);
    break;
  case PTX_OPD_VECTOR:
    tl_buf_putc(out, '{');
    print_items(opd, out);
    tl_buf_putc(out, '}');
    break;
  case PTX_OPD_LIST:
    tl_buf_putc(out, '(');
    print_items(opd, out);
    tl_buf_putc(out, ')');
    break;
  case PTX_OPD_ADDR:
    tl_buf_putc(out, '[');
    if (opd->name) {
      tl_buf_puts(out, opd->name);
      print_offset(opd->offset, out);
    } else {
      tl_buf_printf(out, "%" PRId64, opd->offset);
    }
    if (opd->nitems)
      tl_buf_puts(out, ", ");
    print_items(opd, out);
    tl_buf_putc(out, ']');
    break;
  case PTX_OPD_SINK:
    tl_buf_putc(out, '_');
    break;
  }
  if (opd->pair) {
    tl_buf_putc(out, '|');
    print_operand(opd->pair, out);
  }
}

void ptx_print_instr(const ptx_instr *instr, tl_buf *out) {
  if (instr->guard)
    tl_buf_printf(out, "@%s%s ", instr->guard_negated ? "!" : "", instr->guard);
  tl_buf_puts(out, instr->opcode);
  for (uint32_t i = 0; i < instr->noperands; i++) {
    tl_buf_puts(out, i ? ", " : " ");
    print_operand(&instr->operands[i], out);
  }
  tl_buf_putc(out, ';');
}

static void print_inits(const ptx_var *var, tl_buf *out) {
  if (!var->inits.len)
    return;
  tl_buf_puts(out, var->is_array || var->vector > 1 ? " = {" : " = ");
  for (uint32_t i = 0; i < var->inits.len; i++) {
    const ptx_init *init = &var->inits.data[i];
    if (i)
      tl_buf_puts(out, ", ");
    if (init->symbol) {
      if (init->generic)
        tl_buf_printf(out, "generic(%s)", init->symbol);
      else
        tl_buf_puts(out, init->symbol);
      print_offset(init->offset, out);
    } else {
      print_operand(&init->value, out);
    }
  }
  if (var->is_array || var->vector > 1)
    tl_buf_putc(out, '}');
}

static void print_var(const ptx_var *var, tl_buf *out) { // without ';'
  tl_buf_printf(out, "%s.%s", linkage_words[var->linkage], space_words[var->space]);
  if (var->align)
    tl_buf_printf(out, " .align %u", var->align);
  if (var->vector > 1)
    tl_buf_printf(out, " .v%d", var->vector);
  tl_buf_printf(out, " .%s%s %s", ptx_type_word(var->type), var->attributes ? var->attributes : "",
                var->name);
  if (var->range >= 0)
    tl_buf_printf(out, "<%" PRId64 ">", var->range);
  for (uint32_t i = 0; i < var->dims.len; i++) {
    if (var->dims.data[i] < 0)
      tl_buf_puts(out, "[]");
    else
      tl_buf_printf(out, "[%" PRId64 "]", var->dims.data[i]);
  }
  print_inits(var, out);
}

static void print_params(const ptx_var *const *vars, uint32_t count, tl_buf *out) {
  tl_buf_putc(out, '(');
  for (uint32_t i = 0; i < count; i++) {
    tl_buf_puts(out, i ? ",\n\t" : "\n\t");
    print_var(vars[i], out);
  }
  tl_buf_puts(out, count ? "\n)" : ")");
}

static void print_body(const ptx_stmts *body, int depth, tl_buf *out) {
  for (uint32_t i = 0; i < body->len; i++) {
    const ptx_stmt *stmt = &body->data[i];
    for (int k = stmt->kind == PTX_STMT_LABEL ? 1 : 0; k < depth; k++)
      tl_buf_putc(out, '\t');
    switch (stmt->kind) {
    case PTX_STMT_INSTR:
      ptx_print_instr(stmt->instr, out);
      break;
    case PTX_STMT_LABEL:
      tl_buf_printf(out, "%s:", stmt->text);
      break;
    case PTX_STMT_VAR:
      print_var(stmt->var, out);
      tl_buf_putc(out, ';');
      break;
    case PTX_STMT_SCOPE:
      tl_buf_puts(out, "{\n");
      print_body(stmt->scope, depth + 1, out);
      for (int k = 0; k < depth; k++)
        tl_buf_putc(out, '\t');
      tl_buf_putc(out, '}');
      break;
    case PTX_STMT_TEXT:
      tl_buf_puts(out, stmt->text);
      break;
    }
    tl_buf_putc(out, '\n');
  }
}

static void print_func(const ptx_func *func, tl_buf *out) {
  tl_buf_printf(out, "%s%s ", linkage_words[func->linkage], func->is_entry ? ".entry" : ".func");
  if (func->rets.len) {
    print_params((const ptx_var *const *)func->rets.data, func->rets.len, out);
    tl_buf_putc(out, ' ');
  }
  tl_buf_puts(out, func->name);
  print_params((const ptx_var *const *)func->params.data, func->params.len, out);
  for (uint32_t i = 0; i < func->directives.len; i++) {
    const ptx_directive *dir = &func->directives.data[i];
    tl_buf_printf(out, "\n.%s", dir->word);
    for (int k = 0; k < dir->nvalues; k++)
      tl_buf_printf(out, "%s%" PRId64, k ? ", " : " ", dir->values[k]);
  }
  if (!func->has_body) {
    tl_buf_puts(out, ";\n");
    return;
  }
  tl_buf_puts(out, "\n{\n");
  print_body(&func->body, 1, out);
  tl_buf_puts(out, "}\n");
}

void ptx_print(const ptx_module *module, tl_buf *out) {
  for (uint32_t i = 0; i < module->items.len; i++) {
    const ptx_item *item = &module->items.data[i];
    if (item->text) {
      tl_buf_printf(out, "%s\n", item->text);
    } else if (item->var) {
      print_var(item->var, out);
      tl_buf_puts(out, ";\n");
    } else {
      print_func(item->func, out);
    }
  }
}
