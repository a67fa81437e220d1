// Decoder core: names and scopes, constants, operands, emission, layout of shared memory.
#include "runtime/sim/decode.h"
#include "lang/base/assert.h"
#include <stdarg.h>

void dec_fail(sim_decoder *d, sim_verdict verdict, const char *fmt, ...) {
  if (d->verdict != SIM_OK)
    return;
  d->verdict = verdict;
  tl_buf text = {0};
  va_list args;
  va_start(args, fmt);
  tl_buf_vprintf(&text, fmt, args);
  va_end(args);
  const char *path = d->module->ptx->path;
  if (d->instr)
    sim_machine_error(d->module->machine, "%s:%d:%d: error: %s", path, d->instr->line,
                      d->instr->col, text.data);
  else
    sim_machine_error(d->module->machine, "%s: error: %s", path, text.data);
  tl_buf_free(&text);
}

void *dec_extra(sim_decoder *d, size_t bytes) { return tl_alloc(d->arena, bytes); }

// --- constants: one plane pair per distinct value -----------------------------------------------
static uint32_t const_hash(uint64_t value, int planes, uint32_t cap) {
  uint64_t h = (value ^ (uint64_t)planes << 60) * UINT64_C(0x9E3779B97F4A7C15);
  return (uint32_t)(h >> 40) & (cap - 1);
}

static void const_put(dec_const *table, uint32_t cap, dec_const entry) {
  uint32_t at = const_hash(entry.value, entry.planes, cap);
  while (table[at].planes)
    at = (at + 1) & (cap - 1);
  table[at] = entry;
}

int32_t dec_const_slot(sim_decoder *d, uint64_t value, int planes) {
  if (2 * (d->nconsts + 1) > d->const_cap) {
    uint32_t cap = d->const_cap ? 2 * d->const_cap : 64;
    dec_const *table = TL_NEW_N(d->arena, dec_const, cap);
    for (uint32_t i = 0; i < d->const_cap; i++)
      if (d->const_table[i].planes)
        const_put(table, cap, d->const_table[i]);
    d->const_table = table;
    d->const_cap = cap;
  }
  uint32_t at = const_hash(value, planes, d->const_cap);
  for (; d->const_table[at].planes; at = (at + 1) & (d->const_cap - 1))
    if (d->const_table[at].value == value && d->const_table[at].planes == planes)
      return d->const_table[at].slot;
  dec_const entry = {value, ~(int32_t)d->const_planes.len, planes};
  for (int p = 0; p < planes; p++)
    tl_push(d->arena, &d->const_planes, p < 2 ? (uint32_t)(value >> (32 * p)) : 0);
  d->const_table[at] = entry;
  d->nconsts++;
  return entry.slot;
}

// --- names --------------------------------------------------------------------------------------
static uint32_t name_hash(const char *text, size_t len) {
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < len; i++)
    h = (h ^ (uint8_t)text[i]) * 16777619u;
  return h % DEC_BUCKETS;
}

static dec_name *find_in(const dec_scope *scope, const char *text, size_t len, bool range) {
  for (dec_name *name = scope->buckets[name_hash(text, len)]; name; name = name->next)
    if ((name->count >= 0) == range && strlen(name->text) == len &&
        memcmp(name->text, text, len) == 0)
      return name;
  return NULL;
}

// *out_index: which register of a range, 0 for single names.
const dec_name *dec_lookup(const sim_decoder *d, const char *text, int64_t *out_index) {
  size_t len = strlen(text), prefix = len;
  while (prefix > 0 && text[prefix - 1] >= '0' && text[prefix - 1] <= '9')
    prefix--;
  *out_index = 0;
  for (const dec_scope *scope = d->scope; scope; scope = scope->outer) {
    const dec_name *name = find_in(scope, text, len, false);
    if (name)
      return name;
    // "%r12" of %r<100>, but also "%f16_3" of %f16_<9>: the digits start where the prefix ends.
    for (size_t at = prefix; at < len; at++) {
      name = find_in(scope, text, at, true);
      if (!name || len - at > 9 || (text[at] == '0' && len - at > 1))
        continue;
      int64_t index = 0;
      for (size_t k = at; k < len; k++)
        index = index * 10 + (text[k] - '0');
      if (index >= name->count)
        continue;
      *out_index = index;
      return name;
    }
  }
  return NULL;
}

static dec_name *add_name(sim_decoder *d, const char *text, dec_name_kind kind) {
  dec_name *name = TL_NEW(d->arena, dec_name);
  uint32_t bucket = name_hash(text, strlen(text));
  name->text = text;
  name->kind = kind;
  name->count = -1;
  name->next = d->scope->buckets[bucket];
  d->scope->buckets[bucket] = name;
  return name;
}

int32_t dec_new_reg(sim_decoder *d, int planes) {
  int32_t slot = (int32_t)d->nregs;
  d->nregs += (uint32_t)planes;
  return slot;
}

static int planes_of(int bits) { return bits > 32 ? bits / 32 : 1; }

static void declare_reg(sim_decoder *d, const ptx_var *var) {
  int64_t count = var->range >= 0 ? var->range : 1;
  if (d->nregs + count * 4 > (int64_t)1 << 22) {
    dec_fail(d, SIM_UNSUPPORTED, "too many registers");
    return;
  }
  if (var->vector > 1) {
    dec_fail(d, SIM_UNSUPPORTED, "vector register '%s' is not supported", var->name);
    return;
  }
  dec_name *name = add_name(d, var->name, var->type == PTX_PRED ? DEC_PRED : DEC_REG);
  name->type = var->type;
  name->count = var->range;
  if (var->type == PTX_PRED) {
    name->slot = (int32_t)d->npreds;
    d->npreds += (uint32_t)count;
    if (d->npreds > UINT16_MAX)
      dec_fail(d, SIM_UNSUPPORTED, "too many predicates");
  } else {
    name->planes = planes_of(ptx_type_bits(var->type));
    name->slot = dec_new_reg(d, (int)count * name->planes);
  }
}

// Local memory of the thread: never reused within a program.
static uint64_t new_local(sim_decoder *d, uint64_t bytes, uint32_t align) {
  uint64_t at = (d->local_bytes + (uint64_t)align - 1) & ~(uint64_t)(align - 1);
  // The first local address has alignment 256; larger requests only need to hold within the thread.
  if (bytes > 512 << 10 || at + bytes > 512 << 10) {
    dec_fail(d, SIM_UNSUPPORTED, "more than 512 KiB of local memory per thread");
    return SIM_LOCAL_FIRST;
  }
  d->local_bytes = (uint32_t)(at + bytes);
  return SIM_LOCAL_FIRST + at;
}

void dec_declare_var(sim_decoder *d, const ptx_var *var, sim_space space, uint64_t address) {
  dec_name *name = add_name(d, var->name, DEC_VAR);
  name->space = space;
  name->address = address;
  name->bytes = ptx_var_bytes(var);
  name->type = var->type;
}

uint64_t dec_local_var(sim_decoder *d, const ptx_var *var) {
  uint32_t align = ptx_var_align(var);
  return new_local(d, ptx_var_bytes(var), align < 16 ? align : 16);
}

void dec_declare(sim_decoder *d, const ptx_var *var) {
  switch (var->space) {
  case PTX_SPACE_REG:
    declare_reg(d, var);
    break;
  case PTX_SPACE_LOCAL:
  case PTX_SPACE_PARAM:
    dec_declare_var(d, var, SIM_SPACE_LOCAL, dec_local_var(d, var));
    break;
  case PTX_SPACE_SHARED:
    for (uint32_t i = 0; i < d->shared.len; i++)
      if (d->shared.data[i].var == var) {
        dec_declare_var(d, var, SIM_SPACE_SHARED, d->shared.data[i].address);
        return;
      }
    dec_fail(d, SIM_BAD_PTX, "shared variable '%s' has no place", var->name);
    break;
  default:
    dec_fail(d, SIM_UNSUPPORTED, "variable '%s' in this space inside a body", var->name);
    break;
  }
}

void dec_declare_label(sim_decoder *d, const char *text) {
  int64_t index;
  const dec_name *old = find_in(d->scope, text, strlen(text), false);
  (void)index;
  if (old && old->kind == DEC_LABEL) {
    dec_fail(d, SIM_BAD_PTX, "label '%s' is defined twice", text);
    return;
  }
  add_name(d, text, DEC_LABEL)->label = dec_new_label(d);
}

uint32_t dec_new_label(sim_decoder *d) {
  tl_push(d->arena, &d->labels, UINT32_MAX);
  return d->labels.len - 1;
}
void dec_place_label(sim_decoder *d, uint32_t label) { d->labels.data[label] = d->ops.len; }

// --- operands -----------------------------------------------------------------------------------
const ptx_operand *dec_opd(const sim_decoder *d, uint32_t index) {
  return index < d->instr->noperands ? &d->instr->operands[index] : NULL;
}

static uint64_t immediate(sim_decoder *d, const ptx_operand *opd, ptx_type type) {
  double value;
  if (opd->kind == PTX_OPD_INT) {
    if (ptx_type_class(type) == PTX_CLASS_FLOAT && type != PTX_F16X2 && type != PTX_BF16X2 &&
        opd->bits == 0)
      return 0;
    return opd->bits;
  }
  if (opd->kind == PTX_OPD_F32) {
    if (ptx_type_bits(type) == 64)
      return tl_bits_of_f64(tl_f32_of_bits((uint32_t)opd->bits));
    return opd->bits;
  }
  value = tl_f64_of_bits(opd->bits);
  if (ptx_type_bits(type) == 64)
    return opd->bits;
  if (ptx_type_bits(type) == 32)
    return tl_bits_of_f32((float)value);
  dec_fail(d, SIM_BAD_PTX, "floating-point immediate for a .%s operand", ptx_type_word(type));
  return 0;
}

static int32_t symbol_slot(sim_decoder *d, uint64_t address, ptx_type type) {
  return dec_const_slot(d, address, planes_of(ptx_type_bits(type)));
}

// A read of a special register, in front of the instruction.
static int32_t special_slot(sim_decoder *d, const char *name, ptx_type type) {
  int sreg, bits;
  if (!sim_sreg_find(name, &sreg, &bits))
    return SIM_SINK;
  sim_op op = dec_op(d, sim_exec_sreg);
  op.guard = 0;
  op.flags = SIM_OPF_GENERATED;
  op.sub = (uint8_t)sreg;
  op.imm = ptx_type_bits(type) == 64 ? 64 : 32;
  op.d = dec_new_reg(d, 2);
  dec_emit(d, &op);
  return op.d;
}

void dec_touch(sim_decoder *d, const dec_name *reg, int64_t index, bool written) {
  sim_touch touch = {reg->slot + (int32_t)index * reg->planes, (uint8_t)reg->planes, written};
  tl_push(d->arena, &d->touches, touch);
}

int32_t dec_src(sim_decoder *d, const ptx_operand *opd, ptx_type type) {
  int bits = ptx_type_bits(type);
  if (!opd) {
    dec_fail(d, SIM_BAD_PTX, "an operand is missing");
    return 0;
  }
  if (opd->kind == PTX_OPD_INT || opd->kind == PTX_OPD_F32 || opd->kind == PTX_OPD_F64)
    return dec_const_slot(d, immediate(d, opd, type), planes_of(bits));
  if (opd->kind != PTX_OPD_NAME) {
    dec_fail(d, SIM_BAD_PTX, "expected a register or an immediate");
    return 0;
  }
  int64_t index;
  const dec_name *name = dec_lookup(d, opd->name, &index);
  if (name && name->kind == DEC_REG) {
    if (ptx_type_bits(name->type) < bits) {
      dec_fail(d, SIM_BAD_PTX, "register '%s' (.%s) is too narrow for .%s", opd->name,
               ptx_type_word(name->type), ptx_type_word(type));
      return 0;
    }
    dec_touch(d, name, index, false);
    return name->slot + (int32_t)index * name->planes;
  }
  if (name && name->kind == DEC_VAR)
    return symbol_slot(d, name->address + (uint64_t)opd->offset, type);
  if (name) {
    dec_fail(d, SIM_BAD_PTX, "'%s' is not a register of this type", opd->name);
    return 0;
  }
  int32_t special = special_slot(d, opd->name, type);
  if (special != SIM_SINK)
    return special;
  if (strcmp(opd->name, "WARP_SZ") == 0)
    return dec_const_slot(d, 32, planes_of(bits));
  for (uint32_t i = 0; i < d->shared.len; i++)
    if (strcmp(d->shared.data[i].var->name, opd->name) == 0)
      return symbol_slot(d, d->shared.data[i].address + (uint64_t)opd->offset, type);
  const sim_symbol *symbol = sim_find_symbol(d->module, opd->name);
  if (symbol)
    return symbol_slot(d, symbol->address + (uint64_t)opd->offset, type);
  dec_fail(d, SIM_BAD_PTX, "unknown name '%s'", opd->name);
  return 0;
}

int32_t dec_dst(sim_decoder *d, const ptx_operand *opd, int bits, int *out_bits) {
  if (out_bits)
    *out_bits = bits;
  if (!opd || opd->kind == PTX_OPD_SINK)
    return dec_new_reg(d, planes_of(bits));
  int64_t index;
  const dec_name *name = opd->kind == PTX_OPD_NAME ? dec_lookup(d, opd->name, &index) : NULL;
  if (!name || name->kind != DEC_REG) {
    dec_fail(d, SIM_BAD_PTX, "the destination%s%s is not a register", opd->name ? " " : "",
             opd->name ? opd->name : "");
    return 0;
  }
  if (ptx_type_bits(name->type) < bits) {
    dec_fail(d, SIM_BAD_PTX, "register '%s' (.%s) is too narrow for %d bits", opd->name,
             ptx_type_word(name->type), bits);
    return 0;
  }
  if (out_bits)
    *out_bits = ptx_type_bits(name->type);
  dec_touch(d, name, index, true);
  return name->slot + (int32_t)index * name->planes;
}

static int32_t pred_index(sim_decoder *d, const char *text) {
  int64_t index;
  const dec_name *name = dec_lookup(d, text, &index);
  if (!name || name->kind != DEC_PRED) {
    dec_fail(d, SIM_BAD_PTX, "'%s' is not a predicate", text);
    return 0;
  }
  return name->slot + (int32_t)index;
}

int32_t dec_pred(sim_decoder *d, const ptx_operand *opd, bool *out_negated) {
  *out_negated = false;
  if (!opd)
    return 0;
  if (opd->kind == PTX_OPD_INT) { // constant: predicate 0 is true
    *out_negated = opd->bits == 0;
    return 0;
  }
  if (opd->kind != PTX_OPD_NAME) {
    dec_fail(d, SIM_BAD_PTX, "expected a predicate");
    return 0;
  }
  *out_negated = opd->negated;
  return pred_index(d, opd->name);
}

int32_t dec_pred_dst(sim_decoder *d, const ptx_operand *opd) {
  if (!opd || opd->kind == PTX_OPD_SINK)
    return 0;
  if (opd->kind != PTX_OPD_NAME) {
    dec_fail(d, SIM_BAD_PTX, "expected a predicate");
    return 0;
  }
  return pred_index(d, opd->name);
}

int32_t dec_address(sim_decoder *d, const ptx_operand *opd, sim_space *space, int64_t *out_offset,
                    bool *out_wide) {
  *out_offset = 0;
  *out_wide = true;
  if (!opd->name)
    return dec_const_slot(d, (uint64_t)opd->offset, 2);
  int64_t index;
  const dec_name *name = dec_lookup(d, opd->name, &index);
  if (name && name->kind == DEC_REG) {
    *out_offset = opd->offset;
    *out_wide = name->planes > 1;
    if (*space == SIM_SPACE_PARAM && d->frame->caller)
      *space = SIM_SPACE_LOCAL; // a function's parameters
    dec_touch(d, name, index, false);
    return name->slot + (int32_t)index * name->planes;
  }
  if (name && name->kind == DEC_VAR) {
    *space = name->space;
    return dec_const_slot(d, name->address + (uint64_t)opd->offset, 2);
  }
  for (uint32_t i = 0; i < d->shared.len; i++) {
    if (strcmp(d->shared.data[i].var->name, opd->name) != 0)
      continue;
    *space = SIM_SPACE_SHARED;
    return dec_const_slot(d, d->shared.data[i].address + (uint64_t)opd->offset, 2);
  }
  const sim_symbol *symbol = sim_find_symbol(d->module, opd->name);
  if (symbol) {
    *space = symbol->space;
    return dec_const_slot(d, symbol->address + (uint64_t)opd->offset, 2);
  }
  dec_fail(d, SIM_BAD_PTX, "unknown name '%s' in an address", opd->name);
  return 0;
}

bool dec_has(const sim_decoder *d, const char *word) { return ptx_has_mod(&d->match, word); }
ptx_type dec_type(const sim_decoder *d, int index) {
  return index < d->match.ntypes ? d->match.types[d->match.ntypes - 1 - index] : PTX_NOTYPE;
}
tl_round dec_round(const sim_decoder *d) {
  static const struct {
    const char *word;
    tl_round round;
  } words[] = {{"rz", TL_RZ},  {"rm", TL_RM},  {"rp", TL_RP},  {"rzi", TL_RZ},
               {"rmi", TL_RM}, {"rpi", TL_RP}, {"rna", TL_RNA}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (dec_has(d, words[i].word))
      return words[i].round;
  return TL_RN;
}

// --- emission -----------------------------------------------------------------------------------
static uint32_t loc_of(const sim_decoder *dc) {
  sim_decoder *d = (sim_decoder *)dc; // the table of lines grows while ops are made
  if (!d->instr || !d->instr->loc_line)
    return 0;
  const sim_loc *last = d->locs.len ? &tl_last(&d->locs) : NULL;
  if (last && d->last_loc_file == d->instr->loc_file && last->line == d->instr->loc_line)
    return d->locs.len - 1;
  sim_loc loc = {ptx_file_path(d->module->ptx, d->instr->loc_file), d->instr->loc_line};
  d->last_loc_file = d->instr->loc_file;
  tl_push(d->arena, &d->locs, loc);
  return d->locs.len - 1;
}

sim_op dec_op(const sim_decoder *d, sim_fn fn) {
  sim_op op = {.fn = fn, .flow = SIM_FLOW_NEXT, .form = (uint16_t)d->match.form};
  if (!d->instr)
    return op;
  op.line = (uint32_t)d->instr->line;
  op.loc = loc_of(d);
  if (d->instr->guard) {
    op.guard = (uint16_t)pred_index((sim_decoder *)d, d->instr->guard);
    op.guard_negated = d->instr->guard_negated;
  }
  return op;
}

void dec_emit(sim_decoder *d, const sim_op *op) {
  if (d->ops.len > 4u << 20) {
    dec_fail(d, SIM_UNSUPPORTED, "the program is too long once its calls are expanded");
    return;
  }
  tl_push(d->arena, &d->ops, *op);
  tl_push(d->arena, &d->instrs, d->instr);
  sim_touch_range range = {d->first_touch, d->touches.len - d->first_touch};
  tl_push(d->arena, &d->touched, range);
}

// --- shared memory layout: the variables the entry and the functions it calls mention
// ---------------
typedef struct layout {
  sim_decoder *d;
  TL_VEC(const ptx_func *) visited;
} layout;

static void layout_func(layout *l, const ptx_func *func);

static void place_shared(sim_decoder *d, const ptx_var *var) {
  for (uint32_t i = 0; i < d->shared.len; i++)
    if (d->shared.data[i].var == var)
      return;
  uint32_t align = ptx_var_align(var);
  uint64_t bytes = ptx_var_bytes(var);
  dec_shared entry = {var, UINT64_MAX}; // dynamic: placed behind the static ones
  if (var->linkage == PTX_EXTERN || bytes == 0) {
    if (align > d->dynamic_align)
      d->dynamic_align = align;
  } else {
    d->shared_bytes = (d->shared_bytes + align - 1) & ~(align - 1);
    entry.address = SIM_SHARED_FIRST + d->shared_bytes;
    if (bytes > 1 << 20)
      dec_fail(d, SIM_BAD_LAUNCH, "shared variable '%s' is larger than any shared memory",
               var->name);
    else
      d->shared_bytes += (uint32_t)bytes;
  }
  tl_push(d->arena, &d->shared, entry);
}

static void layout_operand(layout *l, const ptx_operand *opd) {
  if (opd->name) {
    const ptx_module *ptx = l->d->module->ptx;
    for (uint32_t i = 0; i < ptx->vars.len && opd->name[0] != '%'; i++)
      if (ptx->vars.data[i]->space == PTX_SPACE_SHARED &&
          strcmp(ptx->vars.data[i]->name, opd->name) == 0)
        place_shared(l->d, ptx->vars.data[i]);
  }
  for (uint32_t i = 0; i < opd->nitems; i++)
    layout_operand(l, &opd->items[i]);
}

static void layout_body(layout *l, const ptx_stmts *body) {
  for (uint32_t i = 0; i < body->len; i++) {
    const ptx_stmt *stmt = &body->data[i];
    if (stmt->kind == PTX_STMT_SCOPE)
      layout_body(l, stmt->scope);
    if (stmt->kind == PTX_STMT_VAR && stmt->var->space == PTX_SPACE_SHARED)
      place_shared(l->d, stmt->var);
    if (stmt->kind != PTX_STMT_INSTR)
      continue;
    const ptx_instr *instr = stmt->instr;
    bool call = strncmp(instr->opcode, "call", 4) == 0;
    for (uint32_t k = 0; k < instr->noperands; k++) {
      layout_operand(l, &instr->operands[k]);
      const ptx_module *ptx = l->d->module->ptx;
      for (uint32_t f = 0; call && instr->operands[k].kind == PTX_OPD_NAME && f < ptx->funcs.len;
           f++)
        if (ptx->funcs.data[f]->has_body &&
            strcmp(ptx->funcs.data[f]->name, instr->operands[k].name) == 0)
          layout_func(l, ptx->funcs.data[f]);
    }
  }
}

static void layout_func(layout *l, const ptx_func *func) {
  for (uint32_t i = 0; i < l->visited.len; i++)
    if (l->visited.data[i] == func)
      return;
  tl_push(l->d->arena, &l->visited, func);
  layout_body(l, &func->body);
}

static void layout_shared(sim_decoder *d) {
  layout l = {.d = d};
  d->dynamic_align = 16;
  layout_func(&l, d->entry);
  d->shared_bytes = (d->shared_bytes + d->dynamic_align - 1) & ~(d->dynamic_align - 1);
  d->dynamic_start = SIM_SHARED_FIRST + d->shared_bytes;
  for (uint32_t i = 0; i < d->shared.len; i++)
    if (d->shared.data[i].address == UINT64_MAX)
      d->shared.data[i].address = d->dynamic_start;
}

// --- entry points -------------------------------------------------------------------------------
static void declare_params(sim_decoder *d, sim_program *program) {
  const ptx_func *entry = d->entry;
  uint32_t *offsets = TL_NEW_N(d->arena, uint32_t, entry->params.len + 1),
           *sizes = TL_NEW_N(d->arena, uint32_t, entry->params.len + 1);
  uint32_t at = 0;
  for (uint32_t i = 0; i < entry->params.len; i++) {
    const ptx_var *var = entry->params.data[i];
    uint32_t align = ptx_var_align(var);
    at = (at + align - 1) & ~(align - 1);
    offsets[i] = at;
    sizes[i] = (uint32_t)ptx_var_bytes(var);
    dec_declare_var(d, var, SIM_SPACE_PARAM, SIM_PARAM_FIRST + at);
    at += sizes[i];
    if (ptx_var_bytes(var) > 32764 || at > 32764) {
      dec_fail(d, SIM_BAD_PTX, "more than 32764 bytes of parameters");
      break;
    }
  }
  program->nparams = entry->params.len;
  program->params_bytes = at;
  program->param_offsets = offsets;
  program->param_sizes = sizes;
}

static int read_count(const ptx_func *entry, const char *word) {
  const ptx_directive *dir = ptx_find_directive(entry, word);
  return dir && dir->nvalues ? (int)dir->values[0] : 0;
}

static void read_dims(const ptx_func *entry, const char *word, int out[3]) {
  const ptx_directive *dir = ptx_find_directive(entry, word);
  for (int k = 0; dir && k < 3; k++)
    out[k] = k < dir->nvalues ? (int)dir->values[k] : 1;
}

static void finish(sim_decoder *d, sim_program *program) {
  for (uint32_t i = 0; i < d->ops.len; i++) {
    sim_op *op = &d->ops.data[i];
    if (op->flow == SIM_FLOW_BRANCH)
      op->target = d->labels.data[op->target];
    TL_ASSERT(op->flow != SIM_FLOW_BRANCH || op->target < d->ops.len, "label without a place");
  }
  uint32_t *planes = TL_NEW_N(d->arena, uint32_t, (d->const_planes.len + 4) * 32);
  for (uint32_t i = 0; i < d->const_planes.len; i++)
    for (int lane = 0; lane < 32; lane++)
      planes[i * 32 + (uint32_t)lane] = d->const_planes.data[i];
  program->ops = d->ops.data;
  program->instrs = d->instrs.data;
  program->nops = d->ops.len;
  program->consts = planes;
  program->nregs = d->nregs + 4;
  program->npreds = d->npreds;
  program->local_bytes = (d->local_bytes + 15) & ~15u;
  program->shared_bytes = d->shared_bytes;
  program->dynamic_align = d->dynamic_align;
  program->locs = d->locs.data;
  dec_wgmma_finish(d, program);
}

const sim_program *sim_decode(sim_module *module, const ptx_func *entry, sim_verdict *out_verdict) {
  sim_decoder *d = TL_NEW(&module->arena, sim_decoder);
  sim_program *program = TL_NEW(&module->arena, sim_program);
  d->module = module;
  d->arena = &module->arena;
  d->entry = entry;
  d->npreds = 1; // predicate 0 is always true
  d->nregs = 4;  // operands an op does not have read slot 0
  tl_push(d->arena, &d->locs, ((sim_loc){NULL, 0}));
  program->entry = entry->name;
  d->scope = TL_NEW(d->arena, dec_scope);
  dec_frame frame = {.func = entry};
  d->frame = &frame;
  layout_shared(d);
  declare_params(d, program);
  dec_body(d, &entry->body);
  d->instr = NULL;
  d->match = (ptx_match_result){.form = PTX_F_EXIT};
  sim_op last = dec_op(d, sim_exec_nop);
  last.flow = SIM_FLOW_EXIT;
  last.flags = SIM_OPF_GENERATED;
  dec_emit(d, &last);
  *out_verdict = d->verdict;
  if (d->verdict != SIM_OK)
    return NULL;
  finish(d, program);
  read_dims(entry, "reqntid", program->reqntid);
  read_dims(entry, "maxntid", program->maxntid);
  program->minnctapersm = read_count(entry, "minnctapersm");
  program->maxnreg = read_count(entry, "maxnreg");
  read_dims(entry, "reqnctapercluster", program->reqcluster);
  return program;
}
