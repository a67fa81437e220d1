// PTX text as a tree: everything the file says, in its order, with lines, and printed back.
//
// Pipeline: ptx_parse (lex.c, parse.c) -> ptx_module -> ptx_match (match.c) binds an instruction to
// one row of ptx_ops.def. Nothing here executes; runtime/sim/decode.c turns matched instructions
// into flat operations. All memory belongs to the caller's arena.
#ifndef RUNTIME_PTX_PTX_H
#define RUNTIME_PTX_PTX_H
#include "lang/base/str.h"
#include "lang/base/vec.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum ptx_type {
  PTX_NOTYPE,
#define PTX_TYPE(id, word, bits, cls) PTX_##id,
#include "runtime/ptx/ptx_types.def"
#undef PTX_TYPE
  PTX_TYPE_COUNT
} ptx_type;

typedef enum ptx_class {
  PTX_CLASS_BITS,
  PTX_CLASS_UINT,
  PTX_CLASS_SINT,
  PTX_CLASS_FLOAT,
  PTX_CLASS_PRED
} ptx_class;

const char *ptx_type_word(ptx_type type);
int ptx_type_bits(ptx_type type);
ptx_class ptx_type_class(ptx_type type);
ptx_type ptx_type_of_word(const char *word); // "s32", without the dot; PTX_NOTYPE when none

// --- operands -----------------------------------------------------------------------------------
typedef enum ptx_operand_kind {
  PTX_OPD_NAME,   // register, variable, label, function; offset holds "+n"
  PTX_OPD_INT,    // bits
  PTX_OPD_F32,    // 0f...: bits
  PTX_OPD_F64,    // 0d... or a decimal literal: bits
  PTX_OPD_VECTOR, // {a, b, ...}
  PTX_OPD_ADDR,   // [name+offset] or [number]; further parts of the brackets in items
  PTX_OPD_LIST,   // (a, b): arguments of call
  PTX_OPD_SINK    // _
} ptx_operand_kind;

typedef struct ptx_operand ptx_operand;
struct ptx_operand {
  ptx_operand_kind kind;
  bool negated;       // !%p
  bool is_signed;     // INT written with a minus sign
  const char *name;   // NAME, ADDR with a symbolic base; components included ("%tid.x")
  int64_t offset;     // NAME, ADDR
  uint64_t bits;      // INT, F32, F64
  const char *text;   // literal as spelled, for printing
  ptx_operand *items; // VECTOR, LIST, ADDR
  uint32_t nitems;
  ptx_operand *pair; // the q of p|q
};

// --- statements ---------------------------------------------------------------------------------
typedef enum ptx_space {
  PTX_SPACE_NONE,
  PTX_SPACE_REG,
  PTX_SPACE_PARAM,
  PTX_SPACE_LOCAL,
  PTX_SPACE_SHARED,
  PTX_SPACE_GLOBAL,
  PTX_SPACE_CONST
} ptx_space;

typedef enum ptx_linkage { PTX_INTERN, PTX_VISIBLE, PTX_EXTERN, PTX_WEAK, PTX_COMMON } ptx_linkage;

typedef struct ptx_init {
  const char *symbol; // NULL: a number
  int64_t offset;     // added to the symbol's address
  bool generic;       // generic(symbol)
  ptx_operand value;  // the number, for printing too
} ptx_init;

typedef struct ptx_var {
  ptx_space space;
  ptx_linkage linkage;
  ptx_type type;
  int vector;     // 1, 2 or 4
  uint32_t align; // 0: natural
  const char *name;
  int64_t range; // .reg %r<N>: N, else -1
  bool is_array;
  TL_VEC(int64_t) dims; // -1 for []
  TL_VEC(ptx_init) inits;
  const char *attributes; // ".ptr .global .align 16" behind a parameter's type, as spelled, or NULL
  int line;
} ptx_var;
uint64_t ptx_var_bytes(const ptx_var *var); // element bytes x vector x dims; 0 for []
uint32_t ptx_var_align(const ptx_var *var);

#define PTX_MAX_MODS 16
typedef struct ptx_instr {
  const char *guard; // NULL: none
  bool guard_negated;
  const char *opcode; // "ld.global.nc.v2.b32"
  ptx_operand *operands;
  uint32_t noperands;
  int line, col;
  int loc_file, loc_line; // from .loc; 0: none
} ptx_instr;

typedef enum ptx_stmt_kind {
  PTX_STMT_INSTR,
  PTX_STMT_LABEL,
  PTX_STMT_VAR,   // .reg, .local, .shared, .param inside a body
  PTX_STMT_SCOPE, // { ... }
  PTX_STMT_TEXT   // .loc, .pragma, .callprototype, ...: kept as text for printing
} ptx_stmt_kind;

typedef struct ptx_stmt ptx_stmt;
typedef TL_VEC(ptx_stmt) ptx_stmts;
struct ptx_stmt {
  ptx_stmt_kind kind;
  int line;
  const char *text; // LABEL: its name; TEXT
  ptx_instr *instr;
  ptx_var *var;
  ptx_stmts *scope;
};

typedef struct ptx_directive { // .maxntid 128, 1, 1 behind a function's head
  const char *word;
  int64_t values[3];
  int nvalues;
} ptx_directive;

typedef struct ptx_func {
  bool is_entry;
  ptx_linkage linkage;
  const char *name;
  TL_VEC(ptx_var *) rets;
  TL_VEC(ptx_var *) params;
  TL_VEC(ptx_directive) directives;
  bool has_body, noreturn;
  ptx_stmts body;
  int line;
} ptx_func;
const ptx_directive *ptx_find_directive(const ptx_func *func, const char *word);

typedef struct ptx_item { // top-level things in their order
  ptx_var *var;
  ptx_func *func;
  const char *text; // directive kept for printing
} ptx_item;

typedef struct ptx_file {
  int index;
  const char *path;
} ptx_file;

typedef struct ptx_module {
  const char *path;
  int version_major, version_minor;
  const char *target; // "sm_90a" (further words such as "debug" are dropped)
  int address_size;
  TL_VEC(ptx_item) items;
  TL_VEC(ptx_func *) funcs; // with and without body
  TL_VEC(ptx_var *) vars;
  TL_VEC(ptx_file) files;
} ptx_module;

// NULL on a mistake in the text; *out_error then says "path:line:col: error: ..." (in the arena).
ptx_module *ptx_parse(tl_arena *arena, const char *path, const char *text, size_t len,
                      const char **out_error);
void ptx_print(const ptx_module *module, tl_buf *out);
void ptx_print_instr(const ptx_instr *instr, tl_buf *out);      // one line, no newline
const char *ptx_file_path(const ptx_module *module, int index); // NULL when unknown

// --- forms --------------------------------------------------------------------------------------
typedef enum ptx_form {
  PTX_FORM_NONE,
#define FORM(id, sm, pattern, operands, decoder) PTX_F_##id,
#include "runtime/ptx/ptx_ops.def"
#undef FORM
  PTX_FORM_COUNT
} ptx_form;

typedef struct ptx_form_row {
  const char *id;
  int sm; // least capability; 90 + "a" features are the assembler's business
  const char *pattern, *operands;
} ptx_form_row;
extern const ptx_form_row ptx_form_rows[PTX_FORM_COUNT];

// An instruction bound to its row, its modifier words in order.
typedef struct ptx_match_result {
  ptx_form form;
  int nmods;
  const char *mods[PTX_MAX_MODS]; // words without the dot: "lo", "s32", "L2::cache_hint"
  ptx_type types[4];              // those among the words that are types, in order
  int ntypes;
} ptx_match_result;

// False when no row fits; `why` then holds the reason and the nearest rows. `arena` keeps words.
bool ptx_match(tl_arena *arena, const ptx_instr *instr, ptx_match_result *out, tl_buf *why);
// Same for a bare opcode without operands (operand signature not checked).
bool ptx_match_opcode(tl_arena *arena, const char *opcode, ptx_match_result *out, tl_buf *why);
bool ptx_has_mod(const ptx_match_result *match, const char *word);
#endif
