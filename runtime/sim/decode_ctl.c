// Bodies, control flow, calls (expanded in place), barriers and warp operations.
#include "runtime/sim/decode.h"

typedef void (*decode_fn)(sim_decoder *d);
static const decode_fn decoders[PTX_FORM_COUNT] = {
#define FORM(id, sm, pattern, operands, decoder) [PTX_F_##id] = dec_##decoder,
#include "runtime/ptx/ptx_ops.def"
};

static void decode_instr(sim_decoder *d, const ptx_instr *instr) {
  tl_buf why = {0};
  d->instr = instr;
  d->first_touch = d->touches.len;
  if (!ptx_match(d->arena, instr, &d->match, &why)) {
    dec_fail(d, SIM_UNSUPPORTED, "%s", why.data);
  } else if (ptx_form_rows[d->match.form].sm > d->module->machine->capability) {
    dec_fail(d, SIM_UNSUPPORTED, "'%s' needs sm_%d or later, this is %s", instr->opcode,
             ptx_form_rows[d->match.form].sm, d->module->machine->arch_name);
  } else {
    decoders[d->match.form](d);
  }
  tl_buf_free(&why);
}

void dec_body(sim_decoder *d, const ptx_stmts *body) {
  dec_scope *scope = TL_NEW(d->arena, dec_scope);
  scope->outer = d->scope;
  d->scope = scope;
  for (uint32_t i = 0; i < body->len; i++)
    if (body->data[i].kind == PTX_STMT_LABEL)
      dec_declare_label(d, body->data[i].text);
  for (uint32_t i = 0; i < body->len && d->verdict == SIM_OK; i++) {
    const ptx_stmt *stmt = &body->data[i];
    int64_t index;
    switch (stmt->kind) {
    case PTX_STMT_INSTR:
      decode_instr(d, stmt->instr);
      break;
    case PTX_STMT_LABEL:
      dec_place_label(d, dec_lookup(d, stmt->text, &index)->label);
      break;
    case PTX_STMT_VAR:
      dec_declare(d, stmt->var);
      break;
    case PTX_STMT_SCOPE:
      dec_body(d, stmt->scope);
      break;
    case PTX_STMT_TEXT:
      break;
    }
  }
  d->scope = scope->outer;
}

// launch_dependents says when the next grid may start, which here is when this one has ended.
void dec_griddep(sim_decoder *d) {
  sim_op op = dec_op(d, dec_has(d, "wait") ? sim_exec_grid_wait : sim_exec_nop);
  dec_emit(d, &op);
}

void dec_nop(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_nop);
  dec_emit(d, &op);
}
void dec_trap(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_trap);
  dec_emit(d, &op);
}
void dec_bra(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_nop);
  int64_t index;
  const dec_name *label = dec_lookup(d, dec_opd(d, 0)->name, &index);
  if (!label || label->kind != DEC_LABEL) {
    dec_fail(d, SIM_BAD_PTX, "unknown label '%s'", dec_opd(d, 0)->name);
    return;
  }
  op.flow = SIM_FLOW_BRANCH;
  op.target = label->label;
  dec_emit(d, &op);
}

static void emit_jump(sim_decoder *d, uint32_t label, bool generated) {
  sim_op op = dec_op(d, sim_exec_nop);
  op.flow = SIM_FLOW_BRANCH;
  op.target = label;
  if (generated)
    op.flags |= SIM_OPF_GENERATED;
  dec_emit(d, &op);
}

void dec_exit(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_nop);
  op.flow = SIM_FLOW_EXIT;
  dec_emit(d, &op);
}
void dec_ret(sim_decoder *d) {
  if (d->frame->caller)
    emit_jump(d, d->frame->end_label, false);
  else
    dec_exit(d);
}

// --- calls --------------------------------------------------------------------------------------
static const ptx_func *find_func(const sim_decoder *d, const char *name) {
  const ptx_func *found = NULL;
  for (uint32_t i = 0; i < d->module->ptx->funcs.len; i++) {
    const ptx_func *func = d->module->ptx->funcs.data[i];
    if (strcmp(func->name, name) == 0 && (!found || func->has_body))
      found = func;
  }
  return found;
}

// A 32- or 64-bit register holding what lies at a local address, or the reverse.
static void emit_local(sim_decoder *d, bool load, uint64_t address, ptx_type type, int32_t slot) {
  sim_op op = dec_op(d, load ? sim_exec_ld : sim_exec_st);
  sim_mem_info *info = dec_extra(d, sizeof *info);
  int bits = ptx_type_bits(type) < 8 ? 8 : ptx_type_bits(type), per = bits > 32 ? bits / 32 : 1;
  info->space = SIM_SPACE_LOCAL;
  info->access = (sim_access){.elem_bytes = (uint8_t)(bits / 8), .elems = 1};
  info->type_bits = (uint8_t)bits;
  info->nplanes = (uint32_t)per;
  for (int p = 0; p < per; p++)
    info->planes[p] = slot >= 0 ? slot + p : slot - p;
  op.a = dec_const_slot(d, address, 2);
  op.sub = 1;
  op.guard = 0;
  op.flags |= SIM_OPF_GENERATED;
  op.extra = info;
  dec_emit(d, &op);
}

static const dec_name *param_var(sim_decoder *d, const ptx_operand *opd) {
  int64_t index;
  const dec_name *name = opd->kind == PTX_OPD_NAME ? dec_lookup(d, opd->name, &index) : NULL;
  return name && name->kind == DEC_VAR && name->space == SIM_SPACE_LOCAL ? name : NULL;
}

static void emit_mov(sim_decoder *d, int32_t to, int32_t from, int bits) {
  sim_op op = dec_op(d, bits > 32 ? sim_exec_mov64 : sim_exec_mov32);
  op.d = to;
  op.a = from;
  op.guard = 0;
  op.flags |= SIM_OPF_GENERATED;
  dec_emit(d, &op);
}

// An argument as a register slot of `type`.
static int32_t argument_slot(sim_decoder *d, const ptx_operand *opd, ptx_type type) {
  const dec_name *var = param_var(d, opd);
  if (!var)
    return dec_src(d, opd, type);
  int32_t slot = dec_new_reg(d, 2);
  emit_local(d, true, var->address, type, slot);
  return slot;
}

typedef struct formal_link { // a result that has to be copied out behind the body
  const ptx_operand *to;
  uint64_t address; // .param formal
  int32_t slot;     // .reg formal
  ptx_type type;
  bool in_memory;
} formal_link;

static void bind_param(sim_decoder *d, dec_scope *callee, const ptx_var *formal,
                       const ptx_operand *actual) {
  dec_scope *here = d->scope;
  if (formal->space == PTX_SPACE_REG) {
    int32_t from = argument_slot(d, actual, formal->type);
    d->scope = callee;
    dec_declare(d, formal);
    int64_t index;
    emit_mov(d, dec_lookup(d, formal->name, &index)->slot, from, ptx_type_bits(formal->type));
  } else {
    const dec_name *var = param_var(d, actual);
    uint64_t address = var ? var->address : dec_local_var(d, formal);
    if (!var)
      emit_local(d, false, address, formal->type, dec_src(d, actual, formal->type));
    d->scope = callee;
    dec_declare_var(d, formal, SIM_SPACE_LOCAL, address);
  }
  d->scope = here;
}

static void bind_result(sim_decoder *d, dec_scope *callee, const ptx_var *formal,
                        const ptx_operand *actual, formal_link *link) {
  const dec_name *var = actual->kind == PTX_OPD_NAME ? param_var(d, actual) : NULL;
  dec_scope *here = d->scope;
  link->to = NULL;
  link->type = formal->type;
  d->scope = callee;
  if (formal->space == PTX_SPACE_PARAM && var) {
    dec_declare_var(d, formal, SIM_SPACE_LOCAL, var->address);
  } else if (formal->space == PTX_SPACE_PARAM) {
    link->address = dec_local_var(d, formal);
    link->in_memory = true;
    link->to = actual;
    dec_declare_var(d, formal, SIM_SPACE_LOCAL, link->address);
  } else {
    int64_t index;
    dec_declare(d, formal);
    link->slot = dec_lookup(d, formal->name, &index)->slot;
    link->to = actual;
  }
  d->scope = here;
}

static void copy_result(sim_decoder *d, const formal_link *link) {
  const dec_name *var = link->to ? param_var(d, link->to) : NULL;
  if (!link->to || link->to->kind == PTX_OPD_SINK)
    return;
  if (var) { // .reg formal into a .param actual
    emit_local(d, false, var->address, link->type, link->slot);
    return;
  }
  int bits = ptx_type_bits(link->type);
  int32_t to = dec_dst(d, link->to, bits, NULL);
  if (link->in_memory)
    emit_local(d, true, link->address, link->type, to);
  else
    emit_mov(d, to, link->slot, bits);
}

static void expand(sim_decoder *d, const ptx_func *func, const ptx_operand *rets,
                   const ptx_operand *args) {
  uint32_t nrets = rets ? rets->nitems : 0, nargs = args ? args->nitems : 0;
  if (nrets != func->rets.len || nargs != func->params.len) {
    dec_fail(d, SIM_BAD_PTX, "'%s' takes %u arguments and gives %u results", func->name,
             func->params.len, func->rets.len);
    return;
  }
  if (++d->ncalls > 1 << 16) {
    dec_fail(d, SIM_UNSUPPORTED, "too many calls once they are expanded");
    return;
  }
  for (const dec_frame *f = d->frame; f; f = f->caller)
    if (f->func == func) {
      dec_fail(d, SIM_UNSUPPORTED, "recursive call of '%s'", func->name);
      return;
    }
  const ptx_instr *call = d->instr;
  ptx_match_result match = d->match;
  dec_scope *callee = TL_NEW(d->arena, dec_scope), *here = d->scope;
  formal_link *links = TL_NEW_N(d->arena, formal_link, nrets + 1);
  for (uint32_t i = 0; i < nargs; i++)
    bind_param(d, callee, func->params.data[i], &args->items[i]);
  for (uint32_t i = 0; i < nrets; i++)
    bind_result(d, callee, func->rets.data[i], &rets->items[i], &links[i]);
  dec_frame frame = {.func = func,
                     .end_label = dec_new_label(d),
                     .caller = d->frame,
                     .depth = d->frame->depth + 1};
  d->frame = &frame;
  d->scope = callee;
  dec_body(d, &func->body);
  dec_place_label(d, frame.end_label);
  d->frame = frame.caller;
  d->scope = here;
  d->instr = call;
  d->match = match;
  d->first_touch = d->touches.len;
  for (uint32_t i = 0; i < nrets && d->verdict == SIM_OK; i++)
    copy_result(d, &links[i]);
}

static void call_vprintf(sim_decoder *d, const ptx_operand *rets, const ptx_operand *args) {
  sim_op op = dec_op(d, sim_exec_print);
  int32_t result = dec_new_reg(d, 2);
  op.guard = 0;
  op.a = argument_slot(d, &args->items[0], PTX_U64);
  op.b = argument_slot(d, &args->items[1], PTX_U64);
  op.d = result;
  dec_emit(d, &op);
  formal_link link = {.to = rets ? &rets->items[0] : NULL, .slot = result, .type = PTX_B32};
  copy_result(d, &link);
}

static void call_assertfail(sim_decoder *d, const ptx_operand *args) {
  static const ptx_type types[] = {PTX_U64, PTX_U64, PTX_U32, PTX_U64, PTX_U64};
  sim_slot_list *list = dec_extra(d, sizeof *list + 5 * sizeof(int32_t));
  list->count = args->nitems < 5 ? args->nitems : 5;
  for (uint32_t i = 0; i < list->count; i++)
    list->slots[i] = argument_slot(d, &args->items[i], types[i]);
  sim_op op = dec_op(d, sim_exec_assert);
  op.guard = 0;
  op.extra = list;
  dec_emit(d, &op);
}

void dec_call(sim_decoder *d) {
  const ptx_operand *rets = NULL, *args = NULL, *name = NULL;
  for (uint32_t i = 0; i < d->instr->noperands; i++) {
    const ptx_operand *opd = dec_opd(d, i);
    if (opd->kind == PTX_OPD_LIST && !name)
      rets = opd;
    else if (opd->kind == PTX_OPD_LIST)
      args = opd;
    else if (!name)
      name = opd;
  }
  const ptx_func *func = name && name->kind == PTX_OPD_NAME ? find_func(d, name->name) : NULL;
  if (!func) {
    dec_fail(d, SIM_UNSUPPORTED,
             name && name->name && name->name[0] == '%' ? "indirect call"
                                                        : "call of an unknown function");
    return;
  }
  uint32_t skip = 0;
  if (d->instr->guard) { // lanes whose guard fails go around the body
    skip = dec_new_label(d);
    sim_op op = dec_op(d, sim_exec_nop);
    op.flow = SIM_FLOW_BRANCH;
    op.guard_negated = !op.guard_negated;
    op.target = skip;
    dec_emit(d, &op);
  }
  ptx_instr *unguarded = TL_NEW(d->arena, ptx_instr);
  *unguarded = *d->instr;
  unguarded->guard = NULL;
  d->instr = unguarded;
  if (func->has_body)
    expand(d, func, rets, args);
  else if (strcmp(func->name, "vprintf") == 0 && args && args->nitems == 2)
    call_vprintf(d, rets, args);
  else if (strcmp(func->name, "__assertfail") == 0 && args)
    call_assertfail(d, args);
  else
    dec_fail(d, SIM_UNSUPPORTED, "call of '%s', which has no body", func->name);
  if (skip)
    dec_place_label(d, skip);
}

// --- barriers and fences ------------------------------------------------------------------------
void dec_bar(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_nop);
  sim_bar_info *info = dec_extra(d, sizeof *info);
  ptx_form form = d->match.form;
  bool red = form == PTX_F_BAR_POPC || form == PTX_F_BAR_PRED || form == PTX_F_BARR_POPC ||
             form == PTX_F_BARR_PRED;
  bool popc = form == PTX_F_BAR_POPC || form == PTX_F_BARR_POPC;
  uint32_t at = red ? 1 : 0, last = d->instr->noperands - 1;
  info->kind = dec_has(d, "arrive") ? SIM_BAR_ARRIVE
               : popc               ? SIM_BAR_POPC
               : !red               ? SIM_BAR_SYNC
               : dec_has(d, "and")  ? SIM_BAR_AND
                                    : SIM_BAR_OR;
  info->aligned = strncmp(d->instr->opcode, "barrier", 7) != 0 || dec_has(d, "aligned");
  info->count = SIM_SINK;
  info->id = dec_src(d, dec_opd(d, at), PTX_U32);
  const ptx_operand *count = dec_opd(d, at + 1);
  if (count && !(red && at + 1 == last))
    info->count = dec_src(d, count, PTX_U32);
  if (red) {
    info->pred = dec_pred(d, dec_opd(d, last), &info->pred_negated);
    info->dest = popc ? dec_dst(d, dec_opd(d, 0), 32, NULL) : dec_pred_dst(d, dec_opd(d, 0));
  }
  op.flow = SIM_FLOW_BARRIER;
  if (info->aligned)
    op.flags |= SIM_OPF_ALIGNED;
  op.extra = info;
  dec_emit(d, &op);
}

void dec_fence(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_fence);
  op.sub = (uint8_t)(dec_has(d, "cta")       ? SIM_SCOPE_CTA
                     : dec_has(d, "cluster") ? SIM_SCOPE_CLUSTER
                     : dec_has(d, "sys")     ? SIM_SCOPE_SYS
                                             : SIM_SCOPE_GPU);
  dec_emit(d, &op);
}

// --- warp operations ----------------------------------------------------------------------------
static sim_op sync_op(sim_decoder *d, sim_fn fn, const ptx_operand *member) {
  sim_op op = dec_op(d, fn);
  op.flow = SIM_FLOW_SYNC;
  op.member = dec_src(d, member, PTX_B32);
  return op;
}

void dec_bar_warp(sim_decoder *d) {
  sim_op op = sync_op(d, sim_exec_bar_warp, dec_opd(d, 0));
  dec_emit(d, &op);
}

void dec_shfl(sim_decoder *d) {
  sim_op op = sync_op(d, sim_exec_shfl, dec_opd(d, 4));
  op.sub = dec_has(d, "up") ? 0 : dec_has(d, "down") ? 1 : dec_has(d, "bfly") ? 2 : 3;
  op.a = dec_src(d, dec_opd(d, 1), PTX_B32);
  op.b = dec_src(d, dec_opd(d, 2), PTX_B32);
  op.c = dec_src(d, dec_opd(d, 3), PTX_B32);
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  op.imm = dec_pred_dst(d, dec_opd(d, 0)->pair);
  dec_emit(d, &op);
}

void dec_vote(sim_decoder *d) {
  bool negated, ballot = d->match.form == PTX_F_BALLOT;
  sim_op op = sync_op(d, sim_exec_vote, dec_opd(d, 2));
  op.sub = ballot ? 3 : dec_has(d, "all") ? 0 : dec_has(d, "any") ? 1 : 2;
  op.a = dec_pred(d, dec_opd(d, 1), &negated);
  if (negated)
    op.flags |= SIM_OPF_NOT_A;
  op.d = ballot ? dec_dst(d, dec_opd(d, 0), 32, NULL) : dec_pred_dst(d, dec_opd(d, 0));
  dec_emit(d, &op);
}

void dec_match(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  sim_op op = sync_op(d, sim_exec_match, dec_opd(d, 2));
  op.sub = (uint8_t)((d->match.form == PTX_F_MATCH_ALL) | (ptx_type_bits(type) == 64) << 1);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  op.imm = dec_pred_dst(d, dec_opd(d, 0)->pair);
  dec_emit(d, &op);
}

void dec_redux(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  bool is_signed = ptx_type_class(type) == PTX_CLASS_SINT;
  sim_op op = sync_op(d, sim_exec_redux, dec_opd(d, 2));
  int kind = dec_has(d, "add")   ? 0
             : dec_has(d, "min") ? (is_signed ? 3 : 1)
             : dec_has(d, "max") ? (is_signed ? 4 : 2)
             : dec_has(d, "and") ? 5
             : dec_has(d, "or")  ? 6
                                 : 7;
  if (type == PTX_F32)
    kind = dec_has(d, "min") ? 8 : 9;
  op.sub = (uint8_t)(kind | dec_has(d, "abs") << 4 | dec_has(d, "NaN") << 5);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  dec_emit(d, &op);
}

void dec_activemask(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_activemask);
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  dec_emit(d, &op);
}

void dec_elect(sim_decoder *d) {
  const ptx_operand *to = dec_opd(d, 0);
  sim_op op = sync_op(d, sim_exec_elect, dec_opd(d, 1));
  op.d = to->kind == PTX_OPD_SINK ? SIM_SINK : dec_dst(d, to, 32, NULL);
  op.imm = dec_pred_dst(d, to->pair);
  dec_emit(d, &op);
}
