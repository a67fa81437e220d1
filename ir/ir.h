// The tile IR: structured, typed, textual SSA. THE data structure; read this first.
//
// One ir_func is one variant of one kernel for one target. It exists in two dialects that share this
// data structure: tir (tile values without layouts) and sir (every tile value has a layout; buffers,
// channels and roles are explicit). Control flow is structured: a region is one list of operations
// that ends in a terminator (yield, condition, return).
//
//   func @fp8_gemm_nt target "sm_90a" kernel "fp8_gemm_nt" warps 8 {set_BM=128} (
//       %1: ptr<f8e4m3> ptr "A" align 16, %6: i32 dim "M", %9: i64 stride "A" 0 div 16) {
//     %12 = const {value=0} : i32
//     %20 = tensor %1, %6, %8, %9, %13 {name="A"} : tensor<f8e4m3,2>
//     %31 = for %12, %30, %14, %29 {pipeline=4} : f32[128,128] (%32: i32, %33: f32[128,128]) {
//       ...
//       yield %60
//     } loc(18:9)
//     return
//   }
//
// Memory: everything lives in the module's arena; nothing is freed by passes. Ids are dense:
// func->vals[id]. Value 0 is "none". Not thread-safe.
#ifndef IR_IR_H
#define IR_IR_H
#include "lang/base/assert.h"
#include "lang/base/source.h"
#include "lang/base/vec.h"
#include "lang/target.h"
#include "lang/type.h"

typedef enum ir_code {
#define OP(id, name, min, max, results, regions, effects, doc) IR_##id,
#include "lang/ops.def"
#undef OP
  IR_CODE_COUNT
} ir_code;

typedef enum ir_effect { IR_PURE, IR_READS, IR_WRITES, IR_SYNC, IR_CONTROL } ir_effect;

typedef struct ir_code_info {
  const char *name;
  int min_args, max_args, results, regions;
  ir_effect effect;
  const char *doc;
} ir_code_info;
const ir_code_info *ir_info(ir_code code);

typedef struct ir_val { uint32_t id; } ir_val; // 0: none

typedef struct ir_op ir_op;
typedef struct ir_region ir_region;
typedef struct ir_layout ir_layout; // ir/layout.h; interned per function

typedef struct ir_val_info {
  const ty_type *type;
  ir_op *def;          // NULL for region and function parameters
  ir_region *region;   // of a region parameter; NULL otherwise
  uint32_t index;      // which result or parameter
  const ir_layout *layout; // sir only
  const char *hint;    // user's name, printed as a comment-free suffix; may be NULL
} ir_val_info;

typedef enum ir_attr_kind { IR_ATTR_INT, IR_ATTR_FLOAT, IR_ATTR_STR, IR_ATTR_INTS } ir_attr_kind;

typedef struct ir_attr {
  const char *name;
  ir_attr_kind kind;
  int64_t i;          // INT
  double f;           // FLOAT (printed exactly, as a hexadecimal float)
  const char *s;      // STR
  const int64_t *ints; // INTS
  int nints;
  struct ir_attr *next;
} ir_attr;

struct ir_op {
  ir_code code;
  uint32_t nargs, nres, nregions;
  ir_val *args;
  ir_val *res;
  ir_region **regions;
  ir_attr *attrs; // kept sorted by name: one text for one meaning
  tl_span loc;
  ir_op *prev, *next;
  ir_region *parent;
};

struct ir_region {
  ir_op *first, *last; // last is the terminator
  ir_val *params;
  uint32_t nparams;
  ir_op *parent; // NULL: the function's body
};

typedef enum ir_param_kind {
  IR_PARAM_PTR,    // base of tensor `name`
  IR_PARAM_SCALAR, // scalar parameter `name`
  IR_PARAM_DIM,    // free dimension name, i32
  IR_PARAM_STRIDE, // run-time stride of tensor `name`, dimension `axis`, i64, in elements
  IR_PARAM_TMAP    // TMA descriptor of tensor `name`, 128 bytes by value, filled by the launch
} ir_param_kind;

typedef struct ir_param {
  ir_val val;
  ir_param_kind kind;
  const char *name;
  int axis;       // STRIDE
  int64_t div;    // PTR: alignment in bytes; others: known divisor (1: nothing known)
  bool read_only; // PTR: an `in` tensor that nothing else writes (not @may_alias)
  int nbox;       // TMAP: extents of one copy, in the tensor's dimension order
  int64_t box[TY_MAX_RANK];
  int swizzle; // TMAP: bytes, 0 or 32, 64, 128
} ir_param;

typedef struct ir_setting { const char *name, *value; } ir_setting; // BM = "128"

typedef struct ir_func {
  struct ir_module *module;
  const char *name;   // symbol of the PTX entry: a C identifier
  const char *kernel; // name of the kernel in the source
  const tl_target *target;
  int warps;          // that own tiles, layouts spread over these; 0: chosen by to_sir. With roles of
                      // a user's own, all warps: a tile has those of its role (ir_warps_at)
  int extra_warps;    // behind them, a warpgroup that only feeds channels: 0 or 4
  int cluster;        // CTAs along x that are launched together and may read each other's shared memory; 0: no clusters
  int min_ctas;       // @occupancy(n): CTAs per SM to compile for; 0: not given
  int64_t smem_bytes; // dynamic shared memory, set by the memory plan
  TL_VEC(ir_param) params;    // ABI order
  TL_VEC(ir_setting) settings; // generics of this variant, declaration order
  const char *grid[3];        // launch grid as expressions over dims (lang/base/expr.h)
  bool sir;                   // dialect
  ir_region *body;
  TL_VEC(ir_val_info) vals;   // [0] unused
  TL_VEC(const ir_layout *) layouts; // interned, index = printed number
} ir_func;

typedef struct ir_module {
  tl_arena *arena;
  ty_ctx types;
  tl_sources *sources;
  TL_VEC(ir_func *) funcs;
} ir_module;

ir_module *ir_module_new(tl_arena *arena, tl_sources *sources);
ir_func *ir_func_new(ir_module *module, const char *name, const tl_target *target);
ir_val ir_add_param(ir_func *func, ir_param_kind kind, const char *name, const ty_type *type);

static inline const ir_val_info *ir_info_of(const ir_func *func, ir_val val) {
  TL_ASSERT(val.id && val.id < func->vals.len, "value %u out of range", val.id);
  return &func->vals.data[val.id];
}
static inline const ty_type *ir_type(const ir_func *func, ir_val val) {
  return ir_info_of(func, val)->type;
}
static inline ir_op *ir_def(const ir_func *func, ir_val val) { return ir_info_of(func, val)->def; }
static inline bool ir_some(ir_val val) { return val.id != 0; }
static inline bool ir_same(ir_val a, ir_val b) { return a.id == b.id; }

// --- building -----------------------------------------------------------------------------------
// Where new operations go: before `before`, or at the end of `region` when it is NULL.
typedef struct ir_builder {
  ir_func *func;
  ir_region *region;
  ir_op *before;
  tl_span loc; // given to every new operation
} ir_builder;

ir_region *ir_region_new(ir_func *func, ir_op *parent);
ir_val ir_region_param(ir_func *func, ir_region *region, const ty_type *type);
ir_val ir_new_val(ir_func *func, const ty_type *type);
// The general form: `types` has one entry per result. Regions are created empty.
ir_op *ir_build(ir_builder *b, ir_code code, uint32_t nargs, const ir_val *args, uint32_t nres,
                const ty_type *const *types);
// One result.
ir_val ir_build1(ir_builder *b, ir_code code, const ty_type *type, uint32_t nargs, const ir_val *args);
ir_val ir_const_int(ir_builder *b, tl_dtype dtype, int64_t value);
ir_val ir_const_float(ir_builder *b, tl_dtype dtype, double value); // rounded to dtype
ir_val ir_unary(ir_builder *b, ir_code code, ir_val x);          // result type = type of x
ir_val ir_binary(ir_builder *b, ir_code code, ir_val x, ir_val y); // result type = type of x
ir_val ir_cmp(ir_builder *b, const char *pred, ir_val x, ir_val y); // i1 of the same shape
ir_val ir_select(ir_builder *b, ir_val cond, ir_val x, ir_val y);
ir_val ir_cast(ir_builder *b, ir_val x, tl_dtype dtype, const char *round_or_null, bool sat);
ir_val ir_splat(ir_builder *b, ir_val scalar, const ty_type *tile);
ir_val ir_broadcast(ir_builder *b, ir_val x, const ty_type *tile); // splat + expand + broadcast as needed

void ir_set_int(ir_func *func, ir_op *op, const char *name, int64_t value);
void ir_set_float(ir_func *func, ir_op *op, const char *name, double value);
void ir_set_str(ir_func *func, ir_op *op, const char *name, const char *value);
void ir_set_ints(ir_func *func, ir_op *op, const char *name, int count, const int64_t *values);
const ir_attr *ir_attr_find(const ir_op *op, const char *name); // NULL: absent
int64_t ir_int(const ir_op *op, const char *name, int64_t absent);
const char *ir_str(const ir_op *op, const char *name, const char *absent);

// --- editing ------------------------------------------------------------------------------------
void ir_unlink(ir_op *op);                       // take out; operands and results stay valid
void ir_insert_before(ir_op *op, ir_op *before); // an unlinked op
void ir_append(ir_region *region, ir_op *op);
void ir_replace_uses(ir_func *func, ir_val old, ir_val fresh); // in the whole function
// Deep copy with operand substitution: map[id] is the replacement, {0} meaning "unchanged". Results
// of the copies are entered into the map. The map has func->vals.len entries at the call and is
// grown by the copy, so it is passed by address.
typedef TL_VEC(ir_val) ir_map;
void ir_map_init(ir_func *func, ir_map *map);
void ir_map_set(ir_func *func, ir_map *map, ir_val from, ir_val to);
ir_val ir_map_get(const ir_map *map, ir_val val);
ir_op *ir_clone(ir_builder *b, const ir_op *op, ir_map *map);
// Adds one carried value to a `for`: returns the body's parameter; `*out_result` is the value after the
// loop. The caller says what the body yields for it with ir_for_yield.
ir_val ir_for_carry(ir_func *func, ir_op *loop, ir_val init, ir_val *out_result);
void ir_for_yield(ir_func *func, ir_op *loop, ir_val next);
// Number of uses per value id; array of func->vals.len on the arena.
uint32_t *ir_count_uses(ir_func *func, tl_arena *arena);
// Calls visit on every operation, parents before children, in order. Visitors may unlink `op`.
void ir_walk(ir_region *region, void (*visit)(ir_op *op, void *user), void *user);
bool ir_is_const_int(const ir_func *func, ir_val val, int64_t *out_value);   // const, or splat of one
bool ir_is_const_float(const ir_func *func, ir_val val, double *out_value);
// The role around an operation; NULL outside of roles.
ir_op *ir_role_around(const ir_op *op);
// Has the function roles that a user wrote, each on its own warps?
bool ir_has_own_roles(const ir_func *func);
// Warps over which a tile at this operation is spread: those of the role around it.
int ir_warps_at(const ir_func *func, const ir_op *op);
// Operand positions of memory operations: where the subscripts, mask and other stand.
typedef struct ir_access {
  const char *subs;  // one letter per dim
  int first_sub;     // index of the first subscript operand
  int rank;
  ir_val tensor, value, compare, mask, other; // {0} where absent
} ir_access;
ir_access ir_access_of(const ir_func *func, const ir_op *op); // load, store, atomic, copy
// Operands of wgmma. b lies in a slot; a too, of the same channel or another, or in registers.
typedef struct ir_wgmma {
  ir_val chan_a, chan_b;   // chan_a is {0} where a is in registers
  ir_val a, acc;           // tiles; {0} where absent
  int64_t field_a, field_b;
  bool b_by_k;             // b is [K, N] in its slot, else [N, K]
  const ty_type *type_a, *type_b; // shapes as they lie: [M, K], and b's; NULL: no such field
} ir_wgmma;
ir_wgmma ir_wgmma_of(const ir_func *func, const ir_op *op);
// A scale or vector of scales as a whole tile: along rows (axis 1 is new) or columns (axis 0).
ir_val ir_spread(ir_builder *b, ir_val scale, int axis, const ty_type *tile);
// The launch parameter behind a tensor or a view of one; NULL when it is unknown.
const ir_param *ir_tensor_param(const ir_func *func, ir_val tensor);

// --- text, checks, passes -----------------------------------------------------------------------
void ir_print(const ir_module *module, tl_buf *out);
void ir_print_func(const ir_func *func, tl_buf *out);
void ir_print_op(const ir_func *func, const ir_op *op, tl_buf *out); // one line, regions elided
// Reads what ir_print wrote; NULL with the position and reason in *out_error (on the arena).
ir_module *ir_parse(tl_arena *arena, tl_sources *sources, const char *text, size_t len,
                    const char **out_error);
// All failures, one line each beside the printed op, into `out`; returns their number.
int ir_verify(const ir_func *func, tl_buf *out);
#endif
