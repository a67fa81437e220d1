// Decoding: from matched instructions to flat ops. Internal to runtime/sim.
//
// decode.c owns names, scopes, constants and emission; decode_alu.c, decode_mem.c and decode_ctl.c
// hold the functions that the rows of ptx_ops.def name (dec_<decoder>). A decoder function reads
// d->instr and d->match and emits ops; on a mistake it calls dec_fail and returns.
#ifndef RUNTIME_SIM_DECODE_H
#define RUNTIME_SIM_DECODE_H
#include "runtime/sim/exec.h"

typedef enum dec_name_kind { DEC_REG, DEC_PRED, DEC_VAR, DEC_LABEL } dec_name_kind;
typedef struct dec_name dec_name;
struct dec_name {
  const char *text;
  dec_name_kind kind;
  int64_t count; // %r<count>: text is the prefix; -1: a single name
  int32_t slot;  // REG: first plane; PRED: index
  int planes;    // REG: planes per register
  ptx_type type;
  sim_space space; // VAR
  uint64_t address, bytes;
  uint32_t label; // LABEL: index into decoder->labels
  dec_name *next;
};
enum { DEC_BUCKETS = 64 };
typedef struct dec_scope dec_scope;
struct dec_scope {
  dec_scope *outer;
  dec_name *buckets[DEC_BUCKETS];
};

typedef struct dec_const {
  uint64_t value;
  int32_t slot;
  int planes;
} dec_const;

typedef struct dec_frame { // a function being expanded
  const ptx_func *func;
  uint32_t end_label;
  struct dec_frame *caller;
  int depth;
} dec_frame;

typedef struct dec_shared { // where a .shared variable lies
  const ptx_var *var;
  uint64_t address;
} dec_shared;

typedef struct sim_decoder {
  sim_module *module;
  tl_arena *arena;
  const ptx_func *entry;
  dec_scope *scope;
  dec_frame *frame;
  const ptx_instr *instr;
  ptx_match_result match;
  TL_VEC(sim_op) ops;
  TL_VEC(const ptx_instr *) instrs; // of each op
  TL_VEC(uint32_t) const_planes;    // one word per plane: broadcast at the end
  dec_const *const_table;
  uint32_t nconsts, const_cap;
  TL_VEC(uint32_t) labels; // op index, UINT32_MAX before it is placed
  TL_VEC(sim_loc) locs;
  int last_loc_file, last_loc_line;
  TL_VEC(dec_shared) shared;
  TL_VEC(sim_touch) touches;       // registers of all ops
  TL_VEC(sim_touch_range) touched; // per op
  TL_VEC(sim_touch) wgmma_regs;    // operands of wgmma; empty: none
  uint32_t first_touch;            // of the current instruction
  uint32_t nregs, npreds, local_bytes, shared_bytes, dynamic_align;
  uint64_t dynamic_start;
  uint32_t ncalls; // expanded so far
  sim_verdict verdict;
} sim_decoder;

__attribute__((format(printf, 3, 4))) void dec_fail(sim_decoder *d, sim_verdict verdict,
                                                    const char *fmt, ...);

// An op with guard, form and line filled in; dec_emit appends it.
sim_op dec_op(const sim_decoder *d, sim_fn fn);
void dec_emit(sim_decoder *d, const sim_op *op);
void *dec_extra(sim_decoder *d, size_t bytes);
int32_t dec_new_reg(sim_decoder *d, int planes);
int32_t dec_const_slot(sim_decoder *d, uint64_t value, int planes);
uint32_t dec_new_label(sim_decoder *d);
void dec_place_label(sim_decoder *d, uint32_t label);
const dec_name *dec_lookup(const sim_decoder *d, const char *text, int64_t *out_index);
const ptx_operand *dec_opd(const sim_decoder *d, uint32_t index); // NULL: not given

// Slot of a source read as `type`; immediates, symbols and special registers included.
int32_t dec_src(sim_decoder *d, const ptx_operand *opd, ptx_type type);
// Slot of a destination of `bits`; a sink gets a scratch register. *out_bits: the register's width.
int32_t dec_dst(sim_decoder *d, const ptx_operand *opd, int bits, int *out_bits);
int32_t dec_pred(sim_decoder *d, const ptx_operand *opd, bool *out_negated);
int32_t dec_pred_dst(sim_decoder *d, const ptx_operand *opd); // 0 for a sink or NULL
// Base slot, offset and width of a memory operand; *space is replaced by the symbol's where the
// operand names one.
int32_t dec_address(sim_decoder *d, const ptx_operand *opd, sim_space *space, int64_t *out_offset,
                    bool *out_wide);
bool dec_has(const sim_decoder *d, const char *word);
ptx_type dec_type(const sim_decoder *d, int index); // type words from the end: 0 is the last
tl_round dec_round(const sim_decoder *d);

// Declarations into the current scope.
void dec_declare(sim_decoder *d, const ptx_var *var);
void dec_declare_var(sim_decoder *d, const ptx_var *var, sim_space space, uint64_t address);
uint64_t dec_local_var(sim_decoder *d, const ptx_var *var); // address of new local memory for it
void dec_declare_label(sim_decoder *d, const char *text);

void dec_touch(sim_decoder *d, const dec_name *reg, int64_t index, bool written);

// decode_wgmma.c: marks the ops that touch registers of a wgmma.
void dec_wgmma_finish(sim_decoder *d, sim_program *program);

// decode_ctl.c: also used by decode.c
void dec_body(sim_decoder *d, const ptx_stmts *body);

#define FORM(id, sm, pattern, operands, decoder) void dec_##decoder(sim_decoder *d);
#include "runtime/ptx/ptx_ops.def"
#endif
