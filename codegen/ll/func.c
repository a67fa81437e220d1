// One sir function as one LLVM kernel: signature, thread coordinates, and the walk over operations.
#include "codegen/ll/func.h"
#include "ir/dot.h"

static LLVMAttributeRef number_attribute(ll_ctx *c, const char *name, uint64_t value) {
  return LLVMCreateEnumAttribute(c->cx, LLVMGetEnumAttributeKindForName(name, strlen(name)), value);
}

static void add_text_attribute(ll_ctx *c, const char *name, const char *text) {
  LLVMAddAttributeAtIndex(
      c->fn, LLVMAttributeFunctionIndex,
      LLVMCreateStringAttribute(c->cx, name, (unsigned)strlen(name), text, (unsigned)strlen(text)));
}

static ll_t param_type(ll_ctx *c, const ir_param *param) {
  const ty_type *type = ir_type(c->func, param->val);
  if (param->kind == IR_PARAM_TMAP)
    return c->t_ptr;
  return type->kind == TY_PTR ? c->t_global : ll_type(c, type->dtype);
}

// 128 bytes by value; without grid_constant LLVM would copy them to local memory, where TMA cannot
// read a descriptor.
static void set_descriptor_attributes(ll_ctx *c, unsigned index) {
  ll_t bytes = LLVMArrayType2(c->t_i8, 128);
  unsigned byval = LLVMGetEnumAttributeKindForName("byval", 5);
  static const char constant[] = "nvvm.grid_constant";
  LLVMAddAttributeAtIndex(c->fn, index + 1, LLVMCreateTypeAttribute(c->cx, byval, bytes));
  LLVMAddAttributeAtIndex(c->fn, index + 1, number_attribute(c, "align", 64));
  LLVMAddAttributeAtIndex(c->fn, index + 1,
                          LLVMCreateStringAttribute(c->cx, constant, sizeof constant - 1, "", 0));
}

// noalias lets LLVM move loads of inputs across stores; only where nothing else writes the tensor.
static void set_param_attributes(ll_ctx *c, const ir_param *param, unsigned index) {
  if (param->kind == IR_PARAM_TMAP)
    set_descriptor_attributes(c, index);
  if (param->kind != IR_PARAM_PTR)
    return;
  if (param->div > 1)
    LLVMAddAttributeAtIndex(c->fn, index + 1, number_attribute(c, "align", (uint64_t)param->div));
  if (!param->read_only)
    return;
  LLVMAddAttributeAtIndex(c->fn, index + 1, number_attribute(c, "noalias", 0));
  LLVMAddAttributeAtIndex(c->fn, index + 1, number_attribute(c, "readonly", 0));
}

static void note_dot(ir_op *op, void *user) { *(bool *)user |= ir_is_dot(op); }

// CTAs per SM to compile for; 0: leave it to ptxas, which does not know the dynamic shared memory
// and spills to reach an occupancy that the buffers forbid, or that a dot has no use for.
static int ctas_per_sm(const ir_func *func) {
  if (func->min_ctas)
    return func->min_ctas;
  enum { RESERVED_BYTES = 1024 }; // by the driver, per CTA
  int64_t fit = func->target->smem_sm_bytes / (func->smem_bytes + RESERVED_BYTES);
  int64_t full = 65536 / (256 * 32 * func->warps); // with all registers a thread can have
  bool multiplies = false;
  ir_walk(func->body, note_dot, &multiplies);
  return fit <= full ? (int)fit : multiplies ? (int)full : 0;
}

static void declare_kernel(ll_ctx *c) {
  const ir_func *func = c->func;
  ll_t *types = TL_NEW_N(c->arena, ll_t, func->params.len + 1);
  for (uint32_t i = 0; i < func->params.len; i++)
    types[i] = param_type(c, &func->params.data[i]);
  ll_t type = LLVMFunctionType(c->t_void, types, func->params.len, false);
  c->fn = LLVMAddFunction(c->module, func->name, type);
  LLVMSetFunctionCallConv(c->fn, 71); // ptx_kernel
  c->threads = 32 * (func->warps + func->extra_warps);
  add_text_attribute(c, "nvvm.reqntid", tl_sprintf(c->arena, "%d", c->threads));
  if (ctas_per_sm(func))
    add_text_attribute(c, "nvvm.minctasm", tl_sprintf(c->arena, "%d", ctas_per_sm(func)));
  if (func->cluster) // part of the code: every launch has it, whether it asks or not
    add_text_attribute(c, "nvvm.cluster_dim", tl_sprintf(c->arena, "%d,1,1", func->cluster));
  LLVMAddAttributeAtIndex(c->fn, LLVMAttributeFunctionIndex, number_attribute(c, "nounwind", 0));
  LLVMAddAttributeAtIndex(c->fn, LLVMAttributeFunctionIndex, number_attribute(c, "convergent", 0));
  for (uint32_t i = 0; i < func->params.len; i++)
    set_param_attributes(c, &func->params.data[i], i);
  c->smem = LLVMAddGlobalInAddressSpace(c->module, LLVMArrayType2(c->t_i8, 0), "smem", 3);
  LLVMSetLinkage(c->smem, LLVMExternalLinkage);
  LLVMSetAlignment(c->smem, 1024);
}

static void init_types(ll_ctx *c) {
  c->t_void = LLVMVoidTypeInContext(c->cx);
  c->t_i1 = LLVMInt1TypeInContext(c->cx);
  c->t_i8 = LLVMInt8TypeInContext(c->cx);
  c->t_i16 = LLVMInt16TypeInContext(c->cx);
  c->t_i32 = LLVMInt32TypeInContext(c->cx);
  c->t_i64 = LLVMInt64TypeInContext(c->cx);
  c->t_half = LLVMHalfTypeInContext(c->cx);
  c->t_bfloat = LLVMBFloatTypeInContext(c->cx);
  c->t_float = LLVMFloatTypeInContext(c->cx);
  c->t_double = LLVMDoubleTypeInContext(c->cx);
  c->t_global = LLVMPointerTypeInContext(c->cx, 1);
  c->t_shared = LLVMPointerTypeInContext(c->cx, 3);
  c->t_ptr = LLVMPointerTypeInContext(c->cx, 0);
}

static void bind_params(ll_ctx *c) {
  for (uint32_t i = 0; i < c->func->params.len; i++) {
    ll_value *value = ll_val(c, c->func->params.data[i].val);
    value->nregs = 1;
    value->regs = TL_NEW(c->arena, ll_v);
    value->regs[0] = LLVMGetParam(c->fn, i);
  }
}

static void set_location(ll_ctx *c, const ir_op *op) {
  if (!c->subprogram || !op->loc.file)
    return;
  int line, col;
  tl_source_position(c->func->module->sources, op->loc, &line, &col);
  c->location =
      LLVMDIBuilderCreateDebugLocation(c->cx, (unsigned)line, (unsigned)col, c->subprogram, NULL);
  LLVMSetCurrentDebugLocation2(c->b, c->location);
}

static void emit_op(ll_ctx *c, const ir_op *op) {
  switch (op->code) {
  case IR_CONST:
  case IR_BID:
  case IR_NBLOCKS:
  case IR_SPLAT:
  case IR_IOTA:
  case IR_ADVANCE:
  case IR_TENSOR:
    ll_emit_constant(c, op);
    return;
  case IR_NEG:
  case IR_NOT:
  case IR_ABS:
  case IR_EXP2:
  case IR_LOG2:
  case IR_SQRT:
  case IR_RSQRT:
  case IR_RCP:
  case IR_TANH:
  case IR_SIN:
  case IR_COS:
    ll_emit_unary(c, op);
    return;
  case IR_CAST:
    ll_emit_cast(c, op);
    return;
  case IR_BITCAST:
    ll_emit_bitcast(c, op);
    return;
  case IR_ADD:
  case IR_SUB:
  case IR_MUL:
  case IR_DIV:
  case IR_REM:
  case IR_MIN:
  case IR_MAX:
  case IR_AND:
  case IR_OR:
  case IR_XOR:
  case IR_SHL:
  case IR_SHR:
  case IR_CMP:
    ll_emit_binary(c, op);
    return;
  case IR_FMA:
  case IR_SELECT:
    ll_emit_ternary(c, op);
    return;
  case IR_BROADCAST:
  case IR_EXPAND:
  case IR_RESHAPE:
  case IR_PERMUTE:
  case IR_SLICE:
    ll_emit_shape(c, op);
    return;
  case IR_REDUCE:
    ll_emit_reduce(c, op);
    return;
  case IR_SCAN:
    ll_emit_scan(c, op);
    return;
  case IR_TAKE:
    ll_emit_take(c, op);
    return;
  case IR_HISTOGRAM:
    ll_emit_histogram(c, op);
    return;
  case IR_DOT:
    ll_emit_dot(c, op);
    return;
  case IR_DOT_SCALED:
    ll_emit_dot_scaled(c, op);
    return;
  case IR_LOAD:
    ll_order_access(c, op);
    ll_emit_load(c, op);
    return;
  case IR_STORE:
    ll_order_access(c, op);
    if (!strcmp(ir_str(op, "engine", ""), "tma"))
      ll_emit_staged_store(c, op);
    else
      ll_emit_store(c, op);
    return;
  case IR_ATOMIC:
    ll_order_access(c, op);
    ll_emit_atomic(c, op);
    return;
  case IR_PRINT:
    ll_emit_print(c, op);
    return;
  case IR_ASSERT:
    ll_emit_assert(c, op);
    return;
  case IR_ASSUME:
    return;
  case IR_FOR:
    ll_order_loop(c, op);
    ll_emit_for(c, op);
    return;
  case IR_WHILE:
    ll_order_loop(c, op);
    ll_emit_while(c, op);
    return;
  case IR_IF:
    ll_emit_if(c, op);
    return;
  case IR_CONVERT:
    ll_emit_convert(c, op);
    return;
  case IR_BUFFER:
  case IR_CHANNEL:
  case IR_ACQUIRE:
  case IR_COPY:
  case IR_FILL:
  case IR_COMMIT:
  case IR_WAIT:
  case IR_READ:
  case IR_RELEASE:
    ll_emit_channel_op(c, op);
    return;
  case IR_WGMMA:
    ll_emit_wgmma(c, op);
    return;
  case IR_DRAIN:
    ll_emit_drain(c, op);
    return;
  case IR_PROMOTE:
    ll_emit_promote(c, op);
    return;
  case IR_CLUSTER_SUM:
    ll_emit_cluster_sum(c, op);
    return;
  case IR_ROLE:
    ll_emit_role(c, op);
    return;
  case IR_YIELD:
  case IR_CONDITION:
  case IR_RETURN:
  case IR_CODE_COUNT:
    break;
  }
  TL_UNREACHABLE("operation %s where none may stand", ir_info(op->code)->name);
}

// The role that the whole block runs is no loop: its first operation is the kernel's first.
static bool repeats(const ll_ctx *c, const ir_op *op) {
  return op->nregions && (op->code != IR_ROLE || c->barrier || c->func->extra_warps);
}

static bool uses_shared(const ir_op *op) {
  return op->nregions || (op->code >= IR_BUFFER && op->code <= IR_RELEASE) ||
         ir_attr_find(op, "offset");
}

void ll_emit_region(ll_ctx *c, const ir_region *region) {
  ll_recent_list before = ll_order_enter(c);
  for (const ir_op *op = region->first; op && op != region->last; op = op->next) {
    set_location(c, op);
    c->scratch_idle &= !repeats(c, op); // the round before may have used it
    emit_op(c, op);
    c->scratch_idle &= !uses_shared(op);
  }
  if (region->last)
    set_location(c, region->last);
  ll_order_leave(c, &before);
}

static void describe(ll_ctx *c, LLVMDIBuilderRef di, const char *path) {
  const char *base = strrchr(path, '/');
  const char *name = path[0] == '/' && base ? base + 1 : path; // no absolute paths in the output
  LLVMMetadataRef file = LLVMDIBuilderCreateFile(di, name, strlen(name), "", 0);
  LLVMDIBuilderCreateCompileUnit(di, LLVMDWARFSourceLanguageC, file, "tilec", 5, true, "", 0, 0, "",
                                 0, (LLVMDWARFEmissionKind)3, 0, false, false, "", 0, "", 0);
  LLVMMetadataRef type = LLVMDIBuilderCreateSubroutineType(di, file, NULL, 0, LLVMDIFlagZero);
  size_t len = strlen(c->func->name);
  c->subprogram = LLVMDIBuilderCreateFunction(di, file, c->func->name, len, c->func->name, len,
                                              file, 1, type, false, true, 1, LLVMDIFlagZero, true);
  LLVMSetSubprogram(c->fn, c->subprogram);
}

static tl_span find_place(const ir_region *region) {
  for (const ir_op *op = region->first; op; op = op->next) {
    if (op->loc.file)
      return op->loc;
    for (uint32_t i = 0; i < op->nregions; i++) {
      tl_span inner = find_place(op->regions[i]);
      if (inner.file)
        return inner;
    }
  }
  return (tl_span){0};
}

void ll_emit_kernel(ll_ctx *c) {
  init_types(c);
  declare_kernel(c);
  c->b = LLVMCreateBuilderInContext(c->cx);
  c->vals = TL_NEW_N(c->arena, ll_value, c->func->vals.len);
  c->scratch_idle = true;
  c->facts = ir_facts_compute(c->func, c->arena);
  c->uses = ir_count_uses((ir_func *)c->func, c->arena);
  LLVMDIBuilderRef di = LLVMCreateDIBuilder(c->module);
  tl_span place = find_place(c->func->body);
  if (place.file)
    describe(c, di, tl_source_path(c->func->module->sources, place));
  c->entry = ll_block(c, "entry");
  LLVMPositionBuilderAtEnd(c->b, c->entry);
  c->tid = ll_intrinsic(c, "llvm.nvvm.read.ptx.sreg.tid.x", NULL, 0, NULL, 0);
  c->lane = LLVMBuildAnd(c->b, c->tid, ll_i32(c, 31), "lane");
  c->warp = LLVMBuildLShr(c->b, c->tid, ll_i32(c, 5), "warp");
  // wgmma descriptors must be uniform, and ptxas must see that they are.
  if (c->func->extra_warps || ir_has_own_roles(c->func))
    c->warp = ll_shuffle_from(c, c->warp, ll_i32(c, 0));
  bind_params(c);
  LLVMBasicBlockRef body = ll_block(c, "body");
  LLVMPositionBuilderAtEnd(c->b, body);
  ll_open_cluster(c);
  ll_emit_region(c, c->func->body);
  LLVMBuildRetVoid(c->b);
  LLVMPositionBuilderAtEnd(c->b, c->entry);
  LLVMBuildBr(c->b, body);
  LLVMDIBuilderFinalize(di);
  LLVMDisposeDIBuilder(di);
  LLVMDisposeBuilder(c->b);
}
