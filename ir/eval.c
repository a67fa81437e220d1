// The reference evaluator: control flow, launch and dispatch. Contract in ir/eval.h.
#include "ir/eval_state.h"
#include "lang/base/fp.h"
#include "lang/base/str.h"
#include <stdlib.h>

enum { MAX_STEPS = 1000000000 };


bool eval_fail(eval *e, const ir_op *op, const char *fmt, ...) {
  int line = 0, col = 0;
  tl_sources *sources = e->func->module->sources;
  va_list args;
  va_start(args, fmt);
  const char *why = tl_vsprintf(e->arena, fmt, args);
  va_end(args);
  const char *path = op->loc.file ? tl_source_path(sources, op->loc) : e->func->name;
  if (op->loc.file)
    tl_source_position(sources, op->loc, &line, &col);
  e->error =
      tl_sprintf(e->arena, "%s:%d:%d: '%s' in block (%d,%d,%d): %s", path, line, col,
                 ir_info(op->code)->name, (int)e->bid[0], (int)e->bid[1], (int)e->bid[2], why);
  return false;
}

cell *eval_cells(eval *e, ir_val val) {
  if (!e->cells[val.id])
    e->cells[val.id] = TL_NEW_N(e->arena, cell, ty_elems(ir_type(e->func, val)));
  return e->cells[val.id];
}

int64_t eval_wrap(tl_dtype type, int64_t value) {
  int bits = type == TL_I1 ? 1 : tl_dtype_bits(type);
  if (bits >= 64)
    return value;
  uint64_t low = (uint64_t)value & (((uint64_t)1 << bits) - 1);
  if (bits > 1 && tl_is_signed(type) && low >> (bits - 1))
    low |= ~(uint64_t)0 << bits;
  return (int64_t)low;
}

double eval_round(tl_dtype type, double value) {
  if (type == TL_F64)
    return value;
  if (type == TL_F32)
    return (double)(float)value;
  return tl_fp_decode(type, tl_fp_encode(type, value, TL_RN, false));
}

// --- control -----------------------------------------------------------------------------------

// Parallel assignment: all sources are read before any target is written.
static void copy_values(eval *e, const ir_val *to, const ir_val *from, uint32_t count) {
  cell **held = count ? malloc(sizeof *held * count) : NULL;
  for (uint32_t i = 0; i < count; i++) {
    size_t bytes = sizeof(cell) * (size_t)ty_elems(ir_type(e->func, from[i]));
    held[i] = malloc(bytes);
    memcpy(held[i], eval_cells(e, from[i]), bytes);
  }
  for (uint32_t i = 0; i < count; i++) {
    memcpy(eval_cells(e, to[i]), held[i], sizeof(cell) * (size_t)ty_elems(ir_type(e->func, to[i])));
    free(held[i]);
  }
  free(held);
}

static bool run_for(eval *e, const ir_op *op) {
  const ir_region *body = op->regions[0];
  int64_t lo = eval_cells(e, op->args[0])->i, hi = eval_cells(e, op->args[1])->i;
  int64_t step = eval_cells(e, op->args[2])->i;
  if (step <= 0)
    return eval_fail(e, op, "step %lld is not positive", (long long)step);
  copy_values(e, body->params + 1, op->args + 3, op->nargs - 3);
  for (int64_t iv = lo; iv < hi; iv += step) {
    eval_cells(e, body->params[0])->i = iv;
    if (!eval_region(e, body))
      return false;
    copy_values(e, body->params + 1, body->last->args, body->last->nargs);
  }
  copy_values(e, op->res, body->params + 1, op->nres);
  return true;
}

static bool run_while(eval *e, const ir_op *op) {
  const ir_region *head = op->regions[0], *body = op->regions[1];
  copy_values(e, head->params, op->args, op->nargs);
  for (;;) {
    if (!eval_region(e, head))
      return false;
    bool go_on = eval_cells(e, head->last->args[0])->i != 0;
    const ir_val *handed = head->last->args + 1;
    if (!go_on) {
      copy_values(e, op->res, handed, op->nres);
      return true;
    }
    copy_values(e, body->params, handed, body->nparams);
    if (!eval_region(e, body))
      return false;
    copy_values(e, head->params, body->last->args, body->last->nargs);
  }
}

static bool run_if(eval *e, const ir_op *op) {
  const ir_region *taken = op->regions[eval_cells(e, op->args[0])->i ? 0 : 1];
  if (!eval_region(e, taken))
    return false;
  copy_values(e, op->res, taken->last->args, op->nres);
  return true;
}

// --- effects -----------------------------------------------------------------------------------

static bool run_assert(eval *e, const ir_op *op) {
  const cell *x = eval_cells(e, op->args[0]);
  int64_t count = ty_elems(ir_type(e->func, op->args[0]));
  for (int64_t i = 0; i < count; i++)
    if (!x[i].i)
      return eval_fail(e, op, "assertion failed: %s", ir_str(op, "msg", ""));
  return true;
}

static void print_cell(eval *e, FILE *out, ir_val val, int64_t index) {
  const cell *x = eval_cells(e, val) + index;
  if (tl_is_float(ir_type(e->func, val)->dtype))
    fprintf(out, "%g", x->f);
  else
    fprintf(out, "%lld", (long long)x->i);
}

// Every % conversion takes the next operand whatever its letter; a tile prints as [a, b, ...].
static bool run_print(eval *e, const ir_op *op) {
  FILE *out = e->options->print_to ? e->options->print_to : stdout;
  uint32_t next = 0;
  for (const char *at = ir_str(op, "fmt", ""); *at; at++) {
    if (*at != '%') {
      fputc(*at, out);
      continue;
    }
    if (at[1] == '%') {
      fputc(*at++, out);
      continue;
    }
    while (at[1] && !strchr("diufgexXcs", at[1]))
      at++;
    if (at[1])
      at++;
    if (next == op->nargs)
      continue;
    ir_val val = op->args[next++];
    int64_t count = ty_elems(ir_type(e->func, val));
    if (ty_is_tile(ir_type(e->func, val)))
      fputc('[', out);
    for (int64_t i = 0; i < count; i++) {
      if (i)
        fputs(", ", out);
      print_cell(e, out, val, i);
    }
    if (ty_is_tile(ir_type(e->func, val)))
      fputc(']', out);
  }
  return true;
}

static bool run_const(eval *e, const ir_op *op) {
  tl_dtype type = ir_type(e->func, op->res[0])->dtype;
  const ir_attr *value = ir_attr_find(op, "value");
  cell *out = eval_cells(e, op->res[0]);
  if (tl_is_float(type))
    out->f = value->kind == IR_ATTR_FLOAT ? value->f : (double)value->i;
  else
    out->i = eval_wrap(type, value->i);
  return true;
}

static bool run_op(eval *e, const ir_op *op) {
  if (++e->steps > MAX_STEPS)
    return eval_fail(e, op, "gave up after %d operations", MAX_STEPS);
  switch (op->code) {
  case IR_CONST:
    return run_const(e, op);
  case IR_BID:
    eval_cells(e, op->res[0])->i = e->bid[ir_int(op, "axis", 0)];
    return true;
  case IR_NBLOCKS:
    eval_cells(e, op->res[0])->i = e->options->grid[ir_int(op, "axis", 0)];
    return true;
  case IR_ADVANCE:
    return eval_advance(e, op);
  case IR_TENSOR:
    return eval_tensor_op(e, op);
  case IR_SPLAT:
  case IR_IOTA:
  case IR_BROADCAST:
  case IR_EXPAND:
  case IR_RESHAPE:
  case IR_PERMUTE:
  case IR_SLICE:
    return eval_shape(e, op);
  case IR_REDUCE:
    return eval_reduce(e, op);
  case IR_SCAN:
    return eval_scan(e, op);
  case IR_TAKE:
    return eval_take(e, op);
  case IR_HISTOGRAM:
    return eval_histogram(e, op);
  case IR_DOT:
  case IR_DOT_SCALED:
    return eval_dot(e, op);
  case IR_LOAD:
  case IR_STORE:
  case IR_ATOMIC:
    return eval_access(e, op);
  case IR_PRINT:
    return run_print(e, op);
  case IR_ASSERT:
    return run_assert(e, op);
  case IR_ASSUME:
    return true;
  case IR_FOR:
    return run_for(e, op);
  case IR_WHILE:
    return run_while(e, op);
  case IR_IF:
    return run_if(e, op);
  case IR_ROLE:
    return eval_run_roles(e, op);
  case IR_BUFFER:
  case IR_CHANNEL:
  case IR_ACQUIRE:
  case IR_FILL:
  case IR_COMMIT:
  case IR_WAIT:
  case IR_READ:
  case IR_RELEASE:
    return eval_channel_op(e, op);
  case IR_YIELD:
  case IR_CONDITION:
  case IR_RETURN:
    return true;
  default:
    if (op->code >= IR_NEG && op->code <= IR_SELECT)
      return eval_elementwise(e, op);
    return eval_fail(e, op, "is not a tir operation");
  }
}

bool eval_region(eval *e, const ir_region *region) {
  for (const ir_op *op = region->first; op; op = op->next) {
    if (!run_op(e, op))
      return false;
    while (op->code == IR_ROLE && op->next && op->next->code == IR_ROLE)
      op = op->next; // ran with the first
  }
  return true;
}

static void bind_params(eval *e) {
  for (uint32_t i = 0; i < e->func->params.len; i++) {
    const ir_param *param = &e->func->params.data[i];
    const ty_type *type = ir_type(e->func, param->val);
    if (param->kind == IR_PARAM_PTR) {
      e->tensors[param->val.id] = (eval_tensor){.base = &e->args[i], .dtype = type->dtype};
      continue;
    }
    cell *out = eval_cells(e, param->val);
    if (tl_is_float(type->dtype))
      out->f = eval_round(type->dtype, e->args[i].f);
    else
      out->i = eval_wrap(type->dtype, e->args[i].i);
  }
}

bool ir_eval(const ir_func *func, const ir_eval_arg *args, const ir_eval_options *options,
             tl_arena *arena, const char **out_error) {
  eval e = {.func = func, .args = args, .options = options, .arena = arena};
  e.cells = TL_NEW_N(arena, cell *, func->vals.len);
  e.tensors = TL_NEW_N(arena, eval_tensor, func->vals.len);
  e.channels = TL_NEW_N(arena, struct eval_channel *, func->vals.len);
  bind_params(&e);
  const int64_t *grid = options->grid;
  for (e.bid[2] = 0; e.bid[2] < grid[2]; e.bid[2]++)
    for (e.bid[1] = 0; e.bid[1] < grid[1]; e.bid[1]++)
      for (e.bid[0] = 0; e.bid[0] < grid[0]; e.bid[0]++)
        if (!eval_region(&e, func->body)) {
          *out_error = e.error;
          return false;
        }
  return true;
}
