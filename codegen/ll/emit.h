// The state of emitting one function, and short names over the LLVM C API. Private to codegen/ll.
//
// A tile is an array of scalar LLVM values, one per register of its layout; tensor-core operands
// are kept as 32-bit words (as ldmatrix delivers and mma takes them) and taken apart only when
// somebody asks for elements. Scalars are tiles of one register, uniform over the CTA.
#ifndef CODEGEN_LL_EMIT_H
#define CODEGEN_LL_EMIT_H
#include "codegen/ll/llvm.h"
#include "ir/facts.h"
#include "ir/layout.h"
#include "ir/scratch.h"

typedef LLVMValueRef ll_v;
typedef LLVMTypeRef ll_t;

// Global tensor: what a `tensor` operation bundles.
typedef struct ll_tensor {
  ll_v base;
  int rank;
  tl_dtype dtype;
  ir_val dim_vals[TY_MAX_RANK], stride_vals[TY_MAX_RANK]; // for questions to the facts
  ll_v dims[TY_MAX_RANK];                                 // i32
  ll_v strides[TY_MAX_RANK];                              // i64, in elements
} ll_tensor;

// Low word of a tensor-core descriptor of the consumer's slot, carried from slot to slot so that the
// next product does not wait for its address (wgmma.c; moved on by fed.c).
typedef struct ll_walker {
  int field;
  ll_v at;      // i32 alloca
  ll_v first;   // of slot 0
  int64_t step; // between slots
} ll_walker;

typedef struct ll_channel {
  const ir_op *op;
  int64_t depth;
  ll_v produced, consumed;             // i32 allocas: slot numbers, 0 .. depth-1
  ll_v produced_phase, consumed_phase; // of a fed channel: parities to wait for
  TL_VEC(ll_walker) walkers;
  bool fed;                            // filled by TMA from another role (fed.c)
  bool hand;                           // between roles of a user's own (roles.c); filled by:
  bool tma, async, fill, fence;        // TMA; cp.async; stores; which a tensor core then reads
} ll_channel;

// Words that a `read` will load once somebody needs them; see channel.c.
typedef struct ll_pending ll_pending;

typedef struct ll_value {
  int nregs;
  ll_v *regs;  // elements; NULL while only words exist
  ll_v *words; // i32, word_elems elements each, first in the low bits; NULL: not packed
  int word_elems;
  ll_pending *pending; // words not loaded yet
  ll_tensor *tensor;
  ll_channel *channel;
} ll_value;

// Where a thread stands in a layout: the part of the coordinates that depends on lane and warp.
typedef struct ll_place {
  const ir_layout *layout;
  ll_v at[TY_MAX_RANK];
} ll_place;

typedef struct ll_recent { // an access that may still be under way (order.c)
  const ir_op *op;
  bool last_round; // of the loop around
} ll_recent;
typedef TL_VEC(ll_recent) ll_recent_list;

typedef struct ll_ctx {
  const ir_func *func;
  tl_arena *arena;
  ir_facts *facts;
  LLVMContextRef cx;
  LLVMModuleRef module;
  LLVMBuilderRef b;
  LLVMValueRef fn;
  LLVMBasicBlockRef entry; // allocas and thread coordinates; ends in a branch that is built last
  ll_t t_void, t_i1, t_i8, t_i16, t_i32, t_i64, t_half, t_bfloat, t_float, t_double;
  ll_t t_global, t_shared, t_ptr; // pointers in address spaces 1, 3 and 0
  const uint32_t *uses;           // by value id
  ll_value *vals;                 // by value id
  ll_v tid, lane, warp, smem;
  int threads;  // that run what is being emitted: of the CTA, or of the role
  int barrier;  // of the role being emitted (roles.c); 0: the whole CTA's
  bool alone;   // one thread runs the role
  bool scratch_idle; // nothing has used shared memory yet
  TL_VEC(ll_place) places;
  TL_VEC(ll_pending *) pending;
  ll_recent_list recent;
  bool stores_in_flight; // by TMA: to be waited for at the end
  LLVMMetadataRef subprogram, location; // debug information; current place
} ll_ctx;

// --- types and constants (emit.c) ---------------------------------------------------------------
ll_t ll_type(ll_ctx *c, tl_dtype dtype); // of one element in a register
ll_v ll_i32(ll_ctx *c, int64_t value);
ll_v ll_i64(ll_ctx *c, int64_t value);
ll_v ll_i1(ll_ctx *c, bool value);
ll_v ll_f32(ll_ctx *c, double value);
ll_v ll_const(ll_ctx *c, tl_dtype dtype, double f, int64_t i); // f for float types, else i
ll_v ll_zero(ll_ctx *c, tl_dtype dtype);
bool ll_is_true(ll_v v); // a constant true
bool ll_is_zero(ll_v v); // a constant integer 0

// --- instructions -------------------------------------------------------------------------------
ll_v ll_add(ll_ctx *c, ll_v a, ll_v b);
ll_v ll_mul(ll_ctx *c, ll_v a, ll_v b);
ll_v ll_and(ll_ctx *c, ll_v a, ll_v b);              // i1: true and x fold
ll_v ll_offset(ll_ctx *c, ll_v pointer, ll_v bytes); // pointer + bytes
ll_v ll_intrinsic(ll_ctx *c, const char *name, ll_t *overloads, int noverloads, ll_v *args,
                  int nargs);
#define LL_CALL(c, name, ...)                                                                      \
  ll_intrinsic((c), (name), NULL, 0, (ll_v[]){__VA_ARGS__},                                        \
               (int)(sizeof((ll_v[]){__VA_ARGS__}) / sizeof(ll_v)))
void ll_convergent(ll_ctx *c, ll_v call);
typedef enum ll_asm_id {
#define ASM(id, text, constraints, flags) LL_ASM_##id,
#include "codegen/ll/asm.def"
#undef ASM
  LL_ASM_COUNT
} ll_asm_id;
ll_v ll_asm(ll_ctx *c, ll_asm_id id, ll_t result, ll_v *args, int nargs);
#define LL_ASM(c, id, result, ...)                                                                 \
  ll_asm((c), LL_ASM_##id, (result), (ll_v[]){__VA_ARGS__},                                        \
         (int)(sizeof((ll_v[]){__VA_ARGS__}) / sizeof(ll_v)))
void ll_bar_sync(ll_ctx *c);
void ll_scratch_begin(ll_ctx *c); // before scratch is written: nobody reads it any more
// A copy that LLVM can neither hoist nor fold.
ll_v ll_keep_here(ll_ctx *c, ll_v value);
ll_v ll_shuffle_xor(ll_ctx *c, ll_v value, int mask);   // any element type
ll_v ll_shuffle_from(ll_ctx *c, ll_v value, ll_v lane); // at most 32 bits; `lane` per thread
LLVMBasicBlockRef ll_block(ll_ctx *c, const char *name);
// Code between begin and end runs where cond holds; a constant true makes no branch.
LLVMBasicBlockRef ll_begin_if(ll_ctx *c, ll_v cond);
void ll_end_if(ll_ctx *c, LLVMBasicBlockRef after);
// Integer image of an element, zero-extended to `bits`, and back.
ll_v ll_to_bits(ll_ctx *c, ll_v value, int bits);
ll_v ll_from_bits(ll_ctx *c, ll_v bits, ll_t type);
ll_v ll_alloca(ll_ctx *c, ll_t type, const char *name); // in the entry block

// --- values (value.c) ---------------------------------------------------------------------------
ll_value *ll_val(ll_ctx *c, ir_val val);
ll_v *ll_regs(ll_ctx *c, ir_val val); // elements, taken out of the words on demand
ll_v ll_scalar(ll_ctx *c, ir_val val);
ll_v *ll_words(ll_ctx *c, ir_val val); // 32-bit words, put together on demand (4 to 32-bit types)
// Words of `count` elements: 4 for 4-bit types that stand in a byte each.
ll_v *ll_words_of(ll_ctx *c, ir_val val, int count);
ll_v ll_pack_nibbles(ll_ctx *c, const ll_v *codes, int count);
ll_v *ll_new_regs(ll_ctx *c, ir_val val); // storage for the result's elements
void ll_set_scalar(ll_ctx *c, ir_val val, ll_v value);
void ll_set_words(ll_ctx *c, ir_val val, ll_v *words, int count); // 0: as many as fit
int ll_nregs(ll_ctx *c, ir_val val);
const ir_layout *ll_layout(ll_ctx *c, ir_val val);
tl_dtype ll_dtype(ll_ctx *c, ir_val val);
// Thread part of the coordinates: computed once in the entry block; where the code is cold,
// computed again on the spot, so that an epilogue's coordinates are not alive all through the main
// loop.
const ll_place *ll_place_of(ll_ctx *c, const ir_layout *layout);
// Sum of `basis[i]` over the set bits i of `index`, from bit `low`.
ll_v ll_bit_sum(ll_ctx *c, ll_v index, int low, int nbits, const int32_t *basis);
// Constant part for a register.
void ll_reg_coords(const ir_layout *layout, int reg, int64_t *out_coords);
// True on the one thread among those that hold copies; constant true when nothing is replicated.
ll_v ll_owner(ll_ctx *c, const ir_layout *layout);
// Marks registers that repeat an earlier register's coordinates.
bool ll_is_copy(const ir_layout *layout, int reg);
// Bits of the last dim, in bytes, that lane and warp can contribute; -1 when contributions overlap.
int64_t ll_column_bits(const ir_layout *layout, int elem_bytes);
// Registers as the owners have them, handed to the lanes and warps that hold copies.
void ll_share_copies(ll_ctx *c, const ir_layout *layout, ll_v *regs, int count);
// Do registers from bit `bits` up, warps and repetitions move along the last dim by multiples of
// `unit` only?
bool ll_beyond_lanes_multiple(const ir_layout *layout, int bits, int unit);
// Largest power of two V <= limit so that registers V*i .. V*i+V-1 are V consecutive elements of
// the last dim, the first at a multiple of V within the tile.
int ll_run(const ir_layout *layout, int limit);
// Builder to the end of the entry block, and back to the end of `back`.
LLVMBasicBlockRef ll_enter_entry(ll_ctx *c);
void ll_leave_entry(ll_ctx *c, LLVMBasicBlockRef back);

// --- families -----------------------------------------------------------------------------------
void ll_emit_region(ll_ctx *c, const ir_region *region); // all operations but the terminator
void ll_order_access(ll_ctx *c, const ir_op *op);        // before any load, store or atomic
void ll_order_loop(ll_ctx *c, const ir_op *loop);        // before a loop
ll_recent_list ll_order_enter(ll_ctx *c);                // around a region
void ll_order_leave(ll_ctx *c, const ll_recent_list *before);
void ll_emit_constant(ll_ctx *c, const ir_op *op); // const, bid, .., advance, tensor
void ll_emit_unary(ll_ctx *c, const ir_op *op);
void ll_emit_binary(ll_ctx *c, const ir_op *op);
void ll_emit_ternary(ll_ctx *c, const ir_op *op);
void ll_emit_cast(ll_ctx *c, const ir_op *op);
void ll_emit_bitcast(ll_ctx *c, const ir_op *op);
void ll_emit_shape(ll_ctx *c, const ir_op *op);
void ll_emit_reduce(ll_ctx *c, const ir_op *op);
void ll_emit_scan(ll_ctx *c, const ir_op *op);
void ll_emit_take(ll_ctx *c, const ir_op *op);
void ll_emit_histogram(ll_ctx *c, const ir_op *op);
void ll_emit_convert(ll_ctx *c, const ir_op *op);
void ll_emit_load(ll_ctx *c, const ir_op *op);
void ll_emit_store(ll_ctx *c, const ir_op *op);
void ll_emit_atomic(ll_ctx *c, const ir_op *op);
void ll_emit_print(ll_ctx *c, const ir_op *op);
void ll_emit_assert(ll_ctx *c, const ir_op *op);
void ll_emit_for(ll_ctx *c, const ir_op *op);
void ll_emit_while(ll_ctx *c, const ir_op *op);
void ll_emit_if(ll_ctx *c, const ir_op *op);
void ll_emit_channel_op(ll_ctx *c, const ir_op *op); // buffer, channel, acquire .. release, read
void ll_emit_dot(ll_ctx *c, const ir_op *op);
void ll_emit_dot_scaled(ll_ctx *c, const ir_op *op);
void ll_emit_wgmma(ll_ctx *c, const ir_op *op); // wgmma.c
void ll_emit_drain(ll_ctx *c, const ir_op *op); // wgmma.c
void ll_emit_staged_store(ll_ctx *c, const ir_op *op); // staged.c
void ll_finish_stores(ll_ctx *c);                      // before a role returns
void ll_emit_promote(ll_ctx *c, const ir_op *op); // wgmma.c
void ll_emit_role(ll_ctx *c, const ir_op *op);  // fed.c
void ll_emit_own_role(ll_ctx *c, const ir_op *op); // roles.c
void ll_emit_cluster_sum(ll_ctx *c, const ir_op *op); // cluster.c
void ll_open_cluster(ll_ctx *c);                       // at the start of a kernel with one
void ll_spin(ll_ctx *c, ll_v barrier, ll_v phase);     // until the mbarrier's phase is over (fed.c)

// Arithmetic on single elements, shared by families.
ll_v ll_math(ll_ctx *c, ir_code code, tl_dtype dtype, ll_v x, bool precise);
ll_v ll_min_max(ll_ctx *c, ir_code code, tl_dtype dtype, ll_v x, ll_v y, bool nan);
ll_v ll_convert_elem(ll_ctx *c, ll_v x, tl_dtype from, tl_dtype to, const char *round, bool sat);
ll_v ll_to_f32(ll_ctx *c, ll_v x, tl_dtype from);
ll_v ll_from_f32(ll_ctx *c, ll_v x, tl_dtype to);
// Two fp8 codes (i16) to <2 x half>, exact.
ll_v ll_decode_fp8_pair(ll_ctx *c, ll_v codes, tl_dtype from);
// Narrow floats by integer operations, any rounding: where hardware has no instruction.
ll_v ll_soft_encode(ll_ctx *c, ll_v f32, tl_dtype to, const char *round, bool sat); // -> i8 code
ll_v ll_soft_decode(ll_ctx *c, ll_v code, tl_dtype from);                           // i8 -> float

// --- pending reads (channel.c) ------------------------------------------------------------------
// Loads words [first, first + count) now, at the current position.
void ll_force_words(ll_ctx *c, ll_value *value, int first, int count);
void ll_force_all(ll_ctx *c); // before anything that may change the slot

// --- global addresses (address.c) ---------------------------------------------------------------
// A tile access, with the operands looked up.
typedef struct ll_access {
  const ir_op *op;
  ir_access ir;
  const ll_tensor *tensor;
  int bits; // of one element in memory
  int value_rank;
  int value_dim[TY_MAX_RANK]; // tensor dim -> dim of the value; -1: scalar subscript
  ll_v start[TY_MAX_RANK];    // i32: first element; NULL for gathers
  bool in_bounds;             // proven or promised: no checks
} ll_access;
ll_access ll_access_of(ll_ctx *c, const ir_op *op);

// An access as one thread sees it. `row` is its i32 position along each tensor dim before the
// register's constant part is added.
typedef struct ll_step {
  int dim;
  int64_t fixed;
  ll_v index;  // of a gather, or NULL
  ll_v inside; // check along `dim`
  ll_v bytes;  // address increment
} ll_step;
typedef struct ll_reached {
  int64_t moved[TY_MAX_RANK];
  ll_v pointer;
} ll_reached;
typedef struct ll_cursor {
  const ll_access *access;
  ll_v row[TY_MAX_RANK];
  ll_v pointer;
  ll_v inside; // of scalar subscripts
  ll_v row_here[TY_MAX_RANK], stride_here[TY_MAX_RANK];
  TL_VEC(ll_step) steps;
  TL_VEC(ll_reached) reached;
  const ll_v *gather[TY_MAX_RANK]; // by register of the value; NULL
  bool skip_last;                  // the last value dim is known to be inside
} ll_cursor;
// `at`: thread part of the value's coordinates.
ll_cursor ll_cursor_open(ll_ctx *c, const ll_access *access, const ll_v *at);
typedef struct ll_spot {
  ll_v pointer;
  int64_t imm; // bytes
  ll_v inside; // i1, constant true when nothing has to be checked
} ll_spot;
// Address and check of the element at constant coordinates `fixed` (value dims), register `reg`.
ll_spot ll_cursor_at(ll_ctx *c, ll_cursor *cursor, const int64_t *fixed, int reg);
// Do two registers stand for the same element? (A gather may repeat an index.)
bool ll_cursor_same(const ll_cursor *cursor, const ir_layout *layout, int reg, int other);
// Looks up gathered indices for every register of a value in `layout`.
void ll_cursor_gather(ll_ctx *c, ll_cursor *cursor, const ir_layout *layout);
// The tensor dim along which the value's last dim runs; -1: a scalar.
int ll_last_tensor_dim(const ll_access *access);
// Elements per vector access; *out_whole: a vector is inside or outside as a whole.
int ll_access_vector(ll_ctx *c, const ll_access *access, const ir_layout *layout, bool *out_whole);
// Element of `bits` as an integer; 0 where the spot is outside (mem.c).
ll_v ll_load_element(ll_ctx *c, ll_spot spot, int bits);
// The tile is inside along the value's last dim: i1.
ll_v ll_last_dim_inside(ll_ctx *c, const ll_access *access, int64_t length);
#endif
