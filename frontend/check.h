// Inside of the checker: values, context, and who does what. Only sema.h is for others.
//
//   sema.c  modules, names, recursion      sema_kernel.c  parameters, clauses -> ir_func
//   scope.c symbols                        sema_stmt.c, sema_branch.c, sema_loop.c  statements
//   value.c compile-time and IR values     sema_expr.c, sema_index.c, sema_call.c   expressions
//   consteval.c constants, host texts      sema_type.c    dtypes, shapes, conversions
//   tune.c, list.c  variants, --list       sema_builtin*.c  one handler per row of builtins.def
//   sema_roles.c    channel, roles, put, get
//
// One walk checks and lowers: every expression becomes an fe_value, which is either known at
// compile time or an ir_val whose type is final. After an error an expression is FV_POISON;
// everything made of poison is poison without a further message, so one mistake gives one
// diagnostic.
#ifndef FRONTEND_CHECK_H
#define FRONTEND_CHECK_H
#include "frontend/sema.h"
#include "ir/verify_channel.h"

typedef enum fv_kind {
  FV_POISON,
  FV_VOID,
  FV_INT, // compile-time: adapts to the type of the other operand
  FV_FLOAT,
  FV_BOOL,
  FV_STRING,
  FV_DTYPE,
  FV_IR, // scalar or tile
  FV_TENSOR,
  FV_ACCESS, // X[subs]: memory named, not yet loaded
  FV_DOMAIN, // tiles(...)
  FV_CHANNEL,
  FV_TUPLE,  // several results, or a struct
  FV_LAMBDA  // fn literal
} fv_kind;

typedef struct fe_tensor fe_tensor;
typedef struct fe_access fe_access;
typedef struct fe_domain fe_domain;
typedef struct fe_channel fe_channel; // sema_roles.c

typedef struct fe_value {
  fv_kind kind;
  tl_span origin; // where the value was made, for notes
  union {
    int64_t i;
    double f;
    bool b;
    const char *s;
    tl_dtype dtype;
    ir_val val;
    fe_tensor *tensor;
    fe_access *access;
    fe_domain *domain;
    fe_channel *channel;
    struct {
      struct fe_value *items;
      uint32_t n;
      const ast_struct *record; // NULL: a tuple
    } tuple;
  };
} fe_value;

struct fe_tensor {
  const char *name;
  tl_dtype dtype;
  int rank;
  ast_dir dir;
  ir_val val;                         // of type tensor<dtype, rank>
  fe_value dims[TY_MAX_RANK];         // i32
  fe_value strides[TY_MAX_RANK];      // i64
  const char *dim_texts[TY_MAX_RANK]; // over launch names
  tl_span span;
};

struct fe_access {
  fe_tensor *tensor;
  char subs[TY_MAX_RANK + 1];
  ir_val args[TY_MAX_RANK];
  const ty_type *type; // of what a load gives
};

struct fe_domain {
  fe_tensor *tensor;
  int rank;
  int64_t blocks[TY_MAX_RANK];
};

typedef enum fe_sym_kind {
  FS_LET,
  FS_VAR,
  FS_PARAM,
  FS_LOOP,
  FS_GENERIC,
  FS_CONST,
  FS_DIM
} fe_sym_kind;

typedef struct fe_sym {
  const char *name;
  fe_sym_kind kind;
  fe_value value;
  tl_span span;
} fe_sym;

typedef TL_VEC(fe_sym) fe_syms;
typedef TL_VEC(int) fe_numbers; // of symbols

// What `return`, `break` and `continue` set. Each is a hidden variable, so that it is carried
// through loops and branches like any other; symbol numbers, -1 where a construct cannot escape
// that way.
typedef struct fe_frame {
  struct fe_frame *up;
  const ast_fn *fn;  // NULL: the kernel's body
  tl_span call;      // of fn
  const char *title; // "softmax_step[H=64, T=128]"
  uint32_t sym_base; // symbols below belong to callers
  int returned, result;
} fe_frame;

typedef struct fe_loop {
  struct fe_loop *up;
  fe_frame *frame;
  int broken, continued;
  bool is_foreach;
} fe_loop;

typedef struct fe_item { // a named thing of the program
  const char *name;
  const ast_item *ast;
  bool busy, known; // constants are evaluated on first use
  fe_value value;   // AST_ITEM_CONST
} fe_item;

struct fe_program {
  tl_arena *arena;
  tl_diags *diags;
  tl_sources *sources;
  const char *std_dir;
  TL_VEC(fe_item) items;
  TL_VEC(fe_kernel) kernels;
  TL_VEC(const char *) imported; // paths, each read once
  TL_VEC(tl_diag *) chained;     // reports that carry their "while instantiating" note already
};

typedef struct fe_ctx {
  fe_program *program;
  tl_arena *arena;
  tl_diags *diags;
  ir_module *module;
  ty_ctx *types;
  ir_func *func; // NULL: constants only
  ir_builder b;
  const tl_target *target;
  int align;
  const fe_kernel *kernel;
  const fe_binding *bindings;
  int nbindings;
  fe_syms syms;
  uint32_t scope_base; // symbols from here on belong to the innermost block
  fe_frame *frame;
  fe_loop *loop;
  TL_VEC(const char *) grids; // tile counts of the foreach loops outside of any loop, host text
  bool inbounds;              // inside an @inbounds statement
  bool float_atomics;
  int min_align; // bytes that every base and run-time stride must keep, for views of wider elements
  bool uses_blocks; // bid or nblocks was asked for
  int grid_dims;    // of grid(...), 1 without
  int errors;
  int depth; // of inlined calls
  const ast_role *role; // being lowered; NULL outside of roles
  bool has_roles;
} fe_ctx;

// --- reports ------------------------------------------------------------------------------------
tl_diag *fe_chain(fe_ctx *ctx, tl_diag *diag); // adds call and instantiation notes
#define fe_error(ctx, span, id, ...)                                                               \
  ((ctx)->errors++, fe_chain((ctx), tl_report((ctx)->diags, (span), (id), ##__VA_ARGS__)))
// Adds "did you mean" when one of `names` is near.
void fe_suggest(fe_ctx *ctx, tl_diag *diag, tl_span span, const char *word,
                const char *const *names, size_t count);

void fe_check_recursion(fe_ctx *ctx); // recursion.c

// --- value.c ------------------------------------------------------------------------------------
fe_value fv_poison(void);
fe_value fv_void(void);
fe_value fv_int(int64_t i);
fe_value fv_float(double f);
fe_value fv_bool(bool b);
fe_value fv_dtype(tl_dtype dtype);
fe_value fv_ir(ir_val val);
static inline bool fv_bad(fe_value v) { return v.kind == FV_POISON; }
static inline bool fv_is_const(fe_value v) {
  return v.kind == FV_INT || v.kind == FV_FLOAT || v.kind == FV_BOOL;
}
const ty_type *fv_type(fe_ctx *ctx, fe_value v);   // FV_IR, or the default type of a constant
const char *fv_type_text(fe_ctx *ctx, fe_value v); // for messages: "f32[128,64]", "constant 3"
bool fv_same(fe_value a, fe_value b);
// Compile-time constants become IR of their default type (i32 or i64, f32, i1); deep for tuples.
fe_value fv_materialize(fe_ctx *ctx, fe_value v);
typedef TL_VEC(ir_val) fe_leaves;
void fv_leaves(fe_ctx *ctx, fe_value v, fe_leaves *out); // materialises
fe_value fv_rebuild(fe_ctx *ctx, fe_value like, const ir_val **at);

// --- scope.c ------------------------------------------------------------------------------------
int fe_find(const fe_ctx *ctx, const char *name); // symbol number or -1; innermost, in this frame
fe_sym *fe_sym_at(fe_ctx *ctx, int number);
int fe_declare(fe_ctx *ctx, fe_sym_kind kind, const char *name, fe_value value, tl_span span);
uint32_t fe_enter(fe_ctx *ctx);
void fe_leave(fe_ctx *ctx, uint32_t mark);
fe_item *fe_find_item(const fe_program *program, const char *name);
void fe_undefined(fe_ctx *ctx, tl_span span, const char *name);

// --- consteval.c --------------------------------------------------------------------------------
bool fe_fold_binary(ast_op op, fe_value a, fe_value b, fe_value *out, const char **out_why);
bool fe_fold_unary(ast_op op, fe_value a, fe_value *out);
// Without reports and without IR: false when it is not a constant.
bool fe_try_const(fe_ctx *ctx, const ast_expr *expr, fe_value *out);
// Text for the launcher; false (reported when `what` is given) when a name is unknown at launch.
bool fe_host_text(fe_ctx *ctx, const ast_expr *expr, tl_buf *out, const char *what);
const char *fe_source_text(fe_ctx *ctx, const ast_expr *expr);
bool fe_bind_generic(fe_ctx *ctx, const ast_gparam *param, const char *text, fe_value *out);
const char *fe_generic_text(tl_arena *arena, fe_value value); // "128", "true", "bf16"
const char *fe_generic_kind(ast_gkind kind);
fe_value fe_item_const(fe_ctx *ctx, fe_item *item, tl_span use);

// --- sema_type.c --------------------------------------------------------------------------------
tl_dtype fe_resolve_dtype(fe_ctx *ctx, const ast_type *type); // TL_NODTYPE after a report
bool fe_resolve_dims(fe_ctx *ctx, const ast_dims *dims, int64_t *out);
// Type of a declaration: a scalar or tile, or a struct (record set).
const ty_type *fe_resolve_type(fe_ctx *ctx, const ast_type *type, const ast_dims *dims,
                               const ast_struct **out_record);
fe_value fe_zero(fe_ctx *ctx, const ty_type *type, const ast_struct *record, tl_span span);
// A constant takes `dtype`; an IR value must have it already. `what` completes "... of 'store'".
fe_value fe_adapt(fe_ctx *ctx, fe_value v, tl_dtype dtype, tl_span span, const char *what);
fe_value fe_to_type(fe_ctx *ctx, fe_value v, const ty_type *type, tl_span span, const char *what);
// Brings two operands to one dtype and one shape; false after a report.
bool fe_unify(fe_ctx *ctx, fe_value *a, fe_value *b, tl_span span_a, tl_span span_b, tl_span span,
              const char *op);
bool fe_unify_dtype(fe_ctx *ctx, fe_value *a, fe_value *b, tl_span span_a, tl_span span_b,
                    tl_span span, const char *op);
const ty_type *fe_join_shape(fe_ctx *ctx, const ty_type *a, const ty_type *b); // NULL: differ
bool fe_wants_arith(fe_ctx *ctx, tl_dtype dtype, tl_span span, const char *op);
const ty_type *fe_tile(fe_ctx *ctx, tl_dtype dtype, int rank, const int64_t *dims);

// --- sema_expr.c --------------------------------------------------------------------------------
fe_value fe_eval(fe_ctx *ctx, const ast_expr *expr);
fe_value fe_eval_value(fe_ctx *ctx, const ast_expr *expr); // not an access, tensor, dtype, void ...
fe_value fe_want_value(fe_ctx *ctx, const ast_expr *expr, fe_value v);
bool fe_eval_int(fe_ctx *ctx, const ast_expr *expr, const char *what, int64_t *out); // compile time
ir_val fe_eval_i32(fe_ctx *ctx, const ast_expr *expr, const char *what); // {0}: reported
ir_val fe_scalar_i32(fe_ctx *ctx, fe_value v, tl_span span, const char *what);
fe_value fe_binary(fe_ctx *ctx, ast_op op, fe_value a, fe_value b, tl_span span_a, tl_span span_b,
                   tl_span span);
ir_val fe_condition(fe_ctx *ctx, const ast_expr *expr, const char *what, fe_value *out_const);

// --- sema_index.c -------------------------------------------------------------------------------
fe_value fe_index(fe_ctx *ctx, const ast_expr *expr);

// --- sema_call.c --------------------------------------------------------------------------------
typedef struct fe_call {
  const ast_expr *expr;
  const char *name;
  const ast_sub *generics;
  uint32_t ngenerics;
  const ast_expr *args[8]; // positional
  fe_value values[8];      // their values, evaluated before the handler runs
  int nargs;
  const ast_arg *named[8];
  int nnamed;
} fe_call;
fe_value fe_eval_call(fe_ctx *ctx, const ast_expr *expr);
// sema_inline.c
fe_value fe_call_fn(fe_ctx *ctx, const ast_fn *fn, const ast_expr *expr, const ast_sub *generics,
                    uint32_t ngenerics);
fe_value fe_make_struct(fe_ctx *ctx, const ast_struct *record, const ast_expr *expr);
const ast_expr *fe_named(const fe_call *call, const char *name); // NULL: not given
// Word of a named argument: one of `choices` ("a|b|c"), `absent` when not given, NULL after a
// report.
const char *fe_choice(fe_ctx *ctx, const fe_call *call, const char *name, const char *choices,
                      const char *absent);
bool fe_named_int(fe_ctx *ctx, const fe_call *call, const char *name, int64_t absent, int64_t *out);
bool fe_named_flag(fe_ctx *ctx, const fe_call *call, const char *name, bool *out); // absent: false
// 'axis', counted from the end where negative; may be left out for rank 1.
bool fe_named_axis(fe_ctx *ctx, const fe_call *call, const ty_type *type, int *out);
ir_val fe_expand(fe_ctx *ctx, ir_val x, int axis); // a new dim of 1; a scalar becomes a tile
fe_value fe_tensor_view(fe_ctx *ctx, const fe_call *call, tl_dtype to); // sema_view.c
ir_val fe_take(fe_ctx *ctx, ir_val x, ir_val index, int axis); // elements of a tile by index
fe_value fe_cast(fe_ctx *ctx, fe_value v, tl_dtype dtype, const fe_call *call_or_null,
                 tl_span span);
bool fe_generic_dims(fe_ctx *ctx, const fe_call *call, uint32_t first, int64_t *dims,
                     int *out_rank);

// --- sema_builtin*.c ----------------------------------------------------------------------------
typedef fe_value (*fe_handler)(fe_ctx *ctx, const fe_call *call, int arg);
typedef struct fe_builtin {
  const char *name;
  int min_args, max_args;
  const char *named; // "mask other"
  int max_generics;
  fe_handler handler;
  int arg;
} fe_builtin;
const fe_builtin *fe_find_builtin(const char *name);
bool fe_has_effect(
    const fe_builtin *builtin); // memory is written, or something is printed or checked
size_t fe_builtin_names(const char *const **out);
typedef enum fe_math {
  FE_M_EXP2,
  FE_M_LOG2,
  FE_M_EXP,
  FE_M_LOG,
  FE_M_SQRT,
  FE_M_RSQRT,
  FE_M_RCP,
  FE_M_TANH,
  FE_M_ERF,
  FE_M_SIN,
  FE_M_COS,
  FE_M_SIGMOID
} fe_math;
typedef enum fe_reduction {
  FE_R_SUM,
  FE_R_PROD,
  FE_R_MAX,
  FE_R_MIN,
  FE_R_ANY,
  FE_R_ALL,
  FE_R_ARGMAX,
  FE_R_ARGMIN
} fe_reduction;
#define BUILTIN_HANDLER(name) fe_value name(fe_ctx *ctx, const fe_call *call, int arg)
BUILTIN_HANDLER(fe_b_later);
BUILTIN_HANDLER(fe_b_launch);
BUILTIN_HANDLER(fe_b_tiles);
BUILTIN_HANDLER(fe_b_extent);
BUILTIN_HANDLER(fe_b_ceildiv);
BUILTIN_HANDLER(fe_b_load);
BUILTIN_HANDLER(fe_b_store);
BUILTIN_HANDLER(fe_b_atomic);
BUILTIN_HANDLER(fe_b_dot);
BUILTIN_HANDLER(fe_b_dot_scaled);
BUILTIN_HANDLER(fe_b_trans);
BUILTIN_HANDLER(fe_b_permute);
BUILTIN_HANDLER(fe_b_reshape);
BUILTIN_HANDLER(fe_b_view);
BUILTIN_HANDLER(fe_b_cast);
BUILTIN_HANDLER(fe_b_full);
BUILTIN_HANDLER(fe_b_zeros);
BUILTIN_HANDLER(fe_b_iota);
BUILTIN_HANDLER(fe_b_where);
BUILTIN_HANDLER(fe_b_minmax);
BUILTIN_HANDLER(fe_b_abs);
BUILTIN_HANDLER(fe_b_clamp);
BUILTIN_HANDLER(fe_b_fma);
BUILTIN_HANDLER(fe_b_math);
BUILTIN_HANDLER(fe_b_reduce);
BUILTIN_HANDLER(fe_b_scan);
BUILTIN_HANDLER(fe_b_gather);
BUILTIN_HANDLER(fe_b_histogram);
BUILTIN_HANDLER(fe_b_cat);
BUILTIN_HANDLER(fe_b_split);
BUILTIN_HANDLER(fe_b_join);
BUILTIN_HANDLER(fe_b_print);
BUILTIN_HANDLER(fe_b_assert);
BUILTIN_HANDLER(fe_b_assume);
BUILTIN_HANDLER(fe_b_static_assert);
BUILTIN_HANDLER(fe_b_static_print);
BUILTIN_HANDLER(fe_b_arch);
BUILTIN_HANDLER(fe_b_has);

// --- statements ---------------------------------------------------------------------------------
void fe_block(fe_ctx *ctx, const ast_block *block); // in a scope of its own
void fe_stmts(fe_ctx *ctx, ast_stmt *const *stmts, uint32_t count);
void fe_stmt(fe_ctx *ctx, const ast_stmt *stmt);
void fe_if(fe_ctx *ctx, const ast_stmt *stmt);
// Runs `then` (and `other`) under a condition, merging every variable either changes.
typedef void (*fe_body)(fe_ctx *ctx, const void *user);
void fe_branch(fe_ctx *ctx, ir_val cond, tl_span span, fe_body then, const void *then_user,
               fe_body other, const void *other_user);
void fe_for(fe_ctx *ctx, const ast_stmt *stmt);
void fe_foreach(fe_ctx *ctx, const ast_stmt *stmt);
void fe_while(fe_ctx *ctx, const ast_stmt *stmt);
// sema_roles.c
enum { FE_MAX_FIELDS = 8 };
void fe_channel_stmt(fe_ctx *ctx, const ast_stmt *stmt);
void fe_roles_stmt(fe_ctx *ctx, const ast_stmt *stmt);
void fe_put_get(fe_ctx *ctx, const ast_stmt *stmt);
fe_value fe_channel_read(fe_ctx *ctx, fe_channel *channel, const ast_name *field, tl_span span);
void fe_channel_write(fe_ctx *ctx, fe_channel *channel, const ast_name *field, fe_value value,
                      tl_span span);
void fe_check_roles(fe_ctx *ctx); // the finished kernel: schedule, registers, what stands beside
void fe_declare_let(fe_ctx *ctx, const ast_name *name, fe_value value);
// What a statement list may do to the code after it. Loops hide their own break and continue.
enum { FE_MAY_BREAK = 1, FE_MAY_CONTINUE = 2, FE_MAY_RETURN = 4 };
unsigned fe_escapes(const ast_stmt *stmt);
unsigned fe_block_escapes(const ast_block *block);
fe_value fe_skip_flag(fe_ctx *ctx, unsigned escapes); // FV_BOOL or i1: the rest must not run
const ast_attr *fe_attr(const ast_attrs *attrs, const char *name);
// Reports attributes outside `allowed` ("pipeline specialize").
void fe_check_attrs(fe_ctx *ctx, const ast_attrs *attrs, const char *allowed, const char *where);
bool fe_attr_int(fe_ctx *ctx, const ast_attr *attr, int64_t *out); // the one argument
bool fe_attr_count(fe_ctx *ctx, const ast_attr *attr, int64_t *out); // the same; 0 is a number too
// Names assigned to anywhere below: what a loop has to carry.
void fe_assigned(fe_ctx *ctx, const ast_block *block, fe_numbers *out);
void fe_set_place(fe_ctx *ctx, const ast_expr *place, fe_value value, tl_span span);
void fe_return(fe_ctx *ctx, const ast_stmt *stmt); // sema_inline.c
#endif
