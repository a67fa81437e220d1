// print and assert. print goes through the driver's vprintf: the text once per CTA with its
// scalars, then each tile's elements, one line each, from the threads that own them.
#include "codegen/ll/emit.h"

static ll_v text_constant(ll_ctx *c, const char *text) {
  ll_v string = LLVMConstStringInContext2(c->cx, text, strlen(text), false);
  ll_v global = LLVMAddGlobalInAddressSpace(c->module, LLVMTypeOf(string), "text", 1);
  LLVMSetInitializer(global, string);
  LLVMSetLinkage(global, LLVMPrivateLinkage);
  LLVMSetGlobalConstant(global, true);
  return LLVMConstAddrSpaceCast(global, c->t_ptr);
}

static void call_vprintf(ll_ctx *c, const char *format, ll_v *args, int count) {
  ll_t types[] = {c->t_ptr, c->t_ptr};
  ll_t type = LLVMFunctionType(c->t_i32, types, 2, false);
  ll_v callee = LLVMGetNamedFunction(c->module, "vprintf");
  if (!callee)
    callee = LLVMAddFunction(c->module, "vprintf", type);
  ll_v slots = LLVMConstNull(c->t_ptr);
  if (count) {
    slots = ll_alloca(c, LLVMArrayType2(c->t_i64, (uint64_t)count), "printed");
    for (int i = 0; i < count; i++) {
      ll_v at = ll_offset(c, slots, ll_i64(c, 8 * i));
      LLVMSetAlignment(LLVMBuildStore(c->b, args[i], at), 8);
    }
  }
  LLVMBuildCall2(c->b, type, callee, (ll_v[]){text_constant(c, format), slots}, 2, "");
}

// As C's variable arguments want it: f64 or i64, 8 bytes each.
static ll_v widened(ll_ctx *c, ll_v value, tl_dtype dtype) {
  if (tl_is_float(dtype))
    return ll_convert_elem(c, value, dtype, TL_F64, "rn", false);
  return ll_convert_elem(c, value, dtype, tl_is_signed(dtype) ? TL_I64 : TL_U64, "rn", false);
}

static const char *conversion_of(tl_dtype dtype) {
  return tl_is_float(dtype) ? "%g" : tl_is_signed(dtype) || dtype == TL_I1 ? "%lld" : "%llu";
}

static ll_v first_thread(ll_ctx *c) {
  return LLVMBuildICmp(c->b, LLVMIntEQ, c->tid, ll_i32(c, 0), "");
}

// The user's text with our conversions: whatever stands behind a % takes the next operand.
static const char *rewrite(ll_ctx *c, const ir_op *op, ll_v *args, int *out_count) {
  tl_buf text = {0};
  uint32_t next = 0;
  for (const char *at = ir_str(op, "fmt", ""); *at; at++) {
    if (*at != '%' || at[1] == '%' || !at[1]) {
      tl_buf_putc(&text, *at);
      if (*at == '%' && at[1] == '%')
        tl_buf_putc(&text, *++at);
      continue;
    }
    at++;
    while (at[1] && strchr("-+ #0123456789.lhz", *at))
      at++;
    if (next >= op->nargs)
      continue;
    ir_val val = op->args[next++];
    if (ty_is_tile(ir_type(c->func, val))) {
      tl_buf_puts(&text, "[..]");
      continue;
    }
    tl_buf_puts(&text, conversion_of(ll_dtype(c, val)));
    args[(*out_count)++] = widened(c, ll_scalar(c, val), ll_dtype(c, val));
  }
  const char *kept = tl_strdup(c->arena, text.data ? text.data : "");
  tl_buf_free(&text);
  return kept;
}

static void print_tile(ll_ctx *c, ir_val val) {
  const ir_layout *layout = ll_layout(c, val);
  ll_v *regs = ll_regs(c, val);
  const ll_place *place = ll_place_of(c, layout);
  tl_buf format = {0};
  for (int d = 0; d < layout->rank; d++)
    tl_buf_puts(&format, d ? ", %lld" : "  [%lld");
  tl_buf_printf(&format, "] = %s\n", conversion_of(ll_dtype(c, val)));
  LLVMBasicBlockRef after = ll_begin_if(c, ll_owner(c, layout));
  for (int r = 0; r < ir_layout_regs(layout); r++) {
    if (ll_is_copy(layout, r))
      continue;
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    ll_v args[TY_MAX_RANK + 1];
    for (int d = 0; d < layout->rank; d++)
      args[d] = LLVMBuildZExt(c->b, ll_add(c, place->at[d], ll_i32(c, fixed[d])), c->t_i64, "");
    args[layout->rank] = widened(c, regs[r], ll_dtype(c, val));
    call_vprintf(c, format.data, args, layout->rank + 1);
  }
  ll_end_if(c, after);
  tl_buf_free(&format);
}

void ll_emit_print(ll_ctx *c, const ir_op *op) {
  ll_force_all(c);
  ll_v *args = TL_NEW_N(c->arena, ll_v, op->nargs + 1);
  int count = 0;
  const char *format = rewrite(c, op, args, &count);
  LLVMBasicBlockRef after = ll_begin_if(c, first_thread(c));
  call_vprintf(c, format, args, count);
  ll_end_if(c, after);
  for (uint32_t i = 0; i < op->nargs; i++)
    if (ty_is_tile(ir_type(c->func, op->args[i])))
      print_tile(c, op->args[i]);
}

// __assertfail ends the kernel as a trap does, and the driver prints its arguments.
static void call_assertfail(ll_ctx *c, const ir_op *op) {
  const tl_sources *sources = c->func->module->sources;
  int line = 0, col;
  if (op->loc.file)
    tl_source_position(sources, op->loc, &line, &col);
  const char *path = tl_source_path(sources, op->loc), *base = strrchr(path, '/');
  ll_t types[] = {c->t_ptr, c->t_ptr, c->t_i32, c->t_ptr, c->t_i64};
  ll_t type = LLVMFunctionType(c->t_void, types, 5, false);
  ll_v callee = LLVMGetNamedFunction(c->module, "__assertfail");
  if (!callee)
    callee = LLVMAddFunction(c->module, "__assertfail", type);
  ll_v args[] = {text_constant(c, ir_str(op, "msg", "")), text_constant(c, base ? base + 1 : path),
                 ll_i32(c, line), text_constant(c, c->func->name), ll_i64(c, 1)};
  LLVMBuildCall2(c->b, type, callee, args, 5, "");
}

void ll_emit_assert(ll_ctx *c, const ir_op *op) {
  ll_force_all(c);
  ll_v *regs = ll_regs(c, op->args[0]);
  ll_v good = regs[0];
  for (int r = 1; r < ll_nregs(c, op->args[0]); r++)
    good = ll_and(c, good, regs[r]);
  ll_v failed = LLVMBuildNot(c->b, good, "");
  if (!ty_is_tile(ir_type(c->func, op->args[0]))) // one voice is enough
    failed = ll_and(c, first_thread(c), failed);
  LLVMBasicBlockRef after = ll_begin_if(c, failed);
  call_assertfail(c, op);
  ll_end_if(c, after);
}
