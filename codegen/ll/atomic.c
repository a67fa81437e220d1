// atomic: inline asm, element by element, since LLVM 22 drops the ordering and scope of atomicrmw.
// A masked or outside element leaves 0. Values that several threads hold are handed to memory by
// one of them; the old value of a scalar atomic reaches the others through shared scratch.
#include "codegen/ll/image.h"

typedef struct atomic {
  const ir_op *op;
  ll_access access;
  const char *text; // "atom.relaxed.gpu.global.add.f32"
  char reg;         // constraint letter
  ll_t type;        // of the operand
  bool compares;
} atomic;

static const char *operation_of(ll_ctx *c, const char *kind, tl_dtype dtype) {
  int bits = tl_dtype_bits(dtype);
  bool bitwise = !strcmp(kind, "and") || !strcmp(kind, "or") || !strcmp(kind, "xor") ||
                 !strcmp(kind, "xchg") || !strcmp(kind, "cas");
  if (!strcmp(kind, "xchg"))
    kind = "exch";
  if (bitwise)
    return tl_sprintf(c->arena, "%s.b%d", kind, bits);
  if (!strcmp(kind, "add") && tl_is_float(dtype))
    return tl_sprintf(c->arena, bits == 16 ? "add.noftz.%s" : "add.%s", tl_dtype_name(dtype));
  TL_ASSERT(!tl_is_float(dtype), "atomic %s on %s", kind, tl_dtype_name(dtype));
  bool add = !strcmp(kind, "add"); // wraps alike; there is no add.s64
  return tl_sprintf(c->arena, "%s.%s%d", kind,
                    tl_is_signed(dtype) && !(add && bits == 64) ? "s" : "u", bits);
}

static atomic describe(ll_ctx *c, const ir_op *op) {
  atomic a = {.op = op, .access = ll_access_of(c, op)};
  tl_dtype dtype = a.access.tensor->dtype;
  const char *kind = ir_str(op, "kind", "add");
  a.text = tl_sprintf(c->arena, "atom.%s.%s.global.%s", ir_str(op, "sem", "relaxed"),
                      ir_str(op, "scope", "gpu"), operation_of(c, kind, dtype));
  int bits = tl_dtype_bits(dtype);
  a.reg = bits == 16 ? 'h' : bits == 32 ? 'r' : 'l';
  a.type = LLVMIntTypeInContext(c->cx, (unsigned)bits);
  a.compares = !strcmp(kind, "cas");
  return a;
}

// @p atom... old, [address], (compare,) value; the result is tied to 0.
static ll_v emit_one(ll_ctx *c, const atomic *a, ll_spot spot, ll_v compare, ll_v value) {
  const char *text = a->compares ? tl_sprintf(c->arena, "@$2 %s $0, [$3], $4, $5;", a->text)
                                 : tl_sprintf(c->arena, "@$2 %s $0, [$3], $4;", a->text);
  const char *constraints =
      a->compares ? tl_sprintf(c->arena, "=&%c,0,b,l,%c,%c,~{memory}", a->reg, a->reg, a->reg)
                  : tl_sprintf(c->arena, "=&%c,0,b,l,%c,~{memory}", a->reg, a->reg);
  ll_v address = ll_offset(c, spot.pointer, ll_i64(c, spot.imm));
  ll_v args[5] = {LLVMConstNull(a->type), spot.inside, address};
  int n = 3;
  if (a->compares)
    args[n++] = compare;
  args[n++] = value;
  ll_t types[5];
  for (int i = 0; i < n; i++)
    types[i] = LLVMTypeOf(args[i]);
  ll_t type = LLVMFunctionType(a->type, types, (unsigned)n, false);
  ll_v callee = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), true,
                                 false, LLVMInlineAsmDialectATT, false);
  return LLVMBuildCall2(c->b, type, callee, args, (unsigned)n, "");
}

static ll_v mask_at(ll_ctx *c, const atomic *a, int reg) {
  if (!ir_some(a->access.ir.mask))
    return ll_i1(c, true);
  bool uniform = !ty_is_tile(ir_type(c->func, a->access.ir.mask));
  return ll_regs(c, a->access.ir.mask)[uniform ? 0 : reg];
}

static void emit_scalar(ll_ctx *c, const atomic *a) {
  tl_dtype dtype = a->access.tensor->dtype;
  int bits = tl_dtype_bits(dtype);
  ll_cursor cursor = ll_cursor_open(c, &a->access, NULL);
  ll_spot spot = ll_cursor_at(c, &cursor, NULL, 0);
  spot.inside = ll_and(c, spot.inside, mask_at(c, a, 0));
  ll_v first = LLVMBuildICmp(c->b, LLVMIntEQ, c->tid, ll_i32(c, 0), "");
  spot.inside = ll_and(c, first, spot.inside);
  ll_v compare = a->compares ? ll_to_bits(c, ll_scalar(c, a->access.ir.compare), bits) : NULL;
  ll_v old = emit_one(c, a, spot, compare, ll_to_bits(c, ll_scalar(c, a->access.ir.value), bits));
  if (!c->uses[a->op->res[0].id])
    return;
  ll_v at = ll_offset(c, c->smem, ll_i32(c, ir_int(a->op, "offset", 0)));
  ll_scratch_begin(c);
  LLVMBasicBlockRef after = ll_begin_if(c, first);
  LLVMBuildStore(c->b, old, at);
  ll_end_if(c, after);
  ll_bar_sync(c);
  ll_set_scalar(c, a->op->res[0],
                ll_from_bits(c, LLVMBuildLoad2(c->b, a->type, at, ""), ll_type(c, dtype)));
}

// Old values to the threads that hold copies.
static void share_old(ll_ctx *c, const ir_op *op, const ir_layout *layout, ll_v *out, int count) {
  if (!ir_layout_warp_copies(layout, c->func->warps)) {
    ll_share_copies(c, layout, out, count);
    return;
  }
  ll_image image = ll_image_of(c, ir_type(c->func, op->res[0]), ir_int(op, "offset", 0), false);
  ll_scratch_begin(c);
  ll_image_store(c, &image, op->res[0]);
  ll_bar_sync(c);
  ll_image_load(c, &image, op->res[0]);
}

void ll_emit_atomic(ll_ctx *c, const ir_op *op) {
  ll_force_all(c);
  atomic a = describe(c, op);
  const ir_layout *layout = ll_layout(c, a.access.ir.value);
  if (!layout) {
    emit_scalar(c, &a);
    return;
  }
  tl_dtype dtype = a.access.tensor->dtype;
  int bits = tl_dtype_bits(dtype), count = ir_layout_regs(layout);
  ll_v *value = ll_regs(c, a.access.ir.value), owner = ll_owner(c, layout);
  ll_v *compare = a.compares ? ll_regs(c, a.access.ir.compare) : NULL;
  ll_cursor cursor = ll_cursor_open(c, &a.access, ll_place_of(c, layout)->at);
  ll_cursor_gather(c, &cursor, layout);
  ll_v *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < count; r++) {
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    ll_spot spot = ll_cursor_at(c, &cursor, fixed, r);
    spot.inside = ll_and(c, owner, ll_and(c, spot.inside, mask_at(c, &a, r)));
    ll_v expected = compare ? ll_to_bits(c, compare[r], bits) : NULL;
    ll_v old = emit_one(c, &a, spot, expected, ll_to_bits(c, value[r], bits));
    out[r] = ll_from_bits(c, old, ll_type(c, dtype));
  }
  if (c->uses[op->res[0].id])
    share_old(c, op, layout, out, count);
}
