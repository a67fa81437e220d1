// Executor functions and how the decoder finds them. Internal to runtime/sim.
#ifndef RUNTIME_SIM_EXEC_H
#define RUNTIME_SIM_EXEC_H
#include "runtime/sim/sim.h"
#include "runtime/sim/wgmma.h"

// Extra predicate operands of an op.
typedef struct sim_pred_list {
  int32_t dest, dest2; // predicates written (0: none)
  int32_t source;      // predicate read
  bool negated;
  uint8_t op; // 0 and, 1 or, 2 xor, 3 none
} sim_pred_list;

// Slots of the elements of a vector operand; -1 as a destination is a sink.
typedef struct sim_slot_list {
  uint32_t count;
  int32_t slots[]; // SIM_SINK: none
} sim_slot_list;
#define SIM_SINK INT32_MIN

// exec_int.c. key: opcode up to the type and the type, dots as underscores ("mul_lo_s32").
sim_fn sim_int_fn(const char *key);
sim_fn sim_mul_wide_fn(ptx_type type, bool mad);
sim_fn sim_shift_fn(bool left, ptx_type type);
sim_fn sim_bfe_fn(ptx_type type);
sim_fn sim_bfi_fn(ptx_type type);
void sim_exec_lop3(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_carry(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_madc(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_pred(sim_warp *w, const sim_op *op, uint32_t mask);

// exec_cmp.c
typedef enum sim_cmp { // low bits: which outcomes make it true
  SIM_CMP_LT = 1,
  SIM_CMP_EQ = 2,
  SIM_CMP_GT = 4,
  SIM_CMP_UN = 8
} sim_cmp;
typedef struct sim_set_info {
  ptx_type source, dest;
  sim_pred_list preds;
  bool ftz;
} sim_set_info;
// sub: SIM_CMP_* bits; extra: sim_set_info.
void sim_exec_setp(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_set(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_set_x2(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_setp_x2(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_selp32(sim_warp *w, const sim_op *op, uint32_t mask); // c: predicate
void sim_exec_selp64(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_slct(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_testp(sim_warp *w, const sim_op *op, uint32_t mask);

// exec_flt.c: one function per (operation, type) with the modifiers in sub.
typedef enum sim_flt_op {
  SIM_FLT_NONE,
  SIM_FLT_ADD,
  SIM_FLT_SUB,
  SIM_FLT_MUL,
  SIM_FLT_FMA,
  SIM_FLT_DIV,
  SIM_FLT_RCP,
  SIM_FLT_SQRT, // up to here correctly rounded
  SIM_FLT_DIV_APPROX,
  SIM_FLT_RCP_APPROX,
  SIM_FLT_SQRT_APPROX,
  SIM_FLT_RSQRT,
  SIM_FLT_EX2,
  SIM_FLT_LG2,
  SIM_FLT_SIN,
  SIM_FLT_COS,
  SIM_FLT_TANH,
  SIM_FLT_NEG,
  SIM_FLT_ABS,
  SIM_FLT_COPYSIGN,
  SIM_FLT_MIN,
  SIM_FLT_MAX
} sim_flt_op;
enum {                // modifier bits in op->imm
  SIM_FLTM_ROUND = 3, // tl_round
  SIM_FLTM_FTZ = 4,
  SIM_FLTM_SAT = 8,
  SIM_FLTM_RELU = 16,
  SIM_FLTM_NAN = 32,
  SIM_FLTM_XORSIGN = 64,
  SIM_FLTM_ABS = 128,
  SIM_FLTM_THREE = 256 // min/max with three sources
};
sim_fn sim_flt_fn(sim_flt_op what, ptx_type type, int mods); // NULL: no such combination
void sim_exec_flt_mixed(sim_warp *w, const sim_op *op, uint32_t mask);

// fpround.c: exact directed rounding, by switching the host's rounding mode.
float sim_f32_rounded(sim_flt_op what, tl_round round, float a, float b, float c);
double sim_f64_rounded(sim_flt_op what, tl_round round, double a, double b, double c);
double sim_int_to_f64(__int128 value, tl_round round);
double sim_odd_fma(double a, double b, double c); // rounded to odd: a second rounding is exact

// cvt.c
typedef struct sim_cvt {
  ptx_type dest, source;
  tl_round round;
  bool to_integral; // .rni and friends
  bool ftz, relu, sat, satfinite;
  int dest_bits; // of the destination register: results are extended to it
} sim_cvt;
sim_fn sim_cvt_fn(const sim_cvt *cvt);
sim_fn sim_cvt_x2_fn(const sim_cvt *cvt);
void sim_exec_cvt_x2(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_cvt_tf32(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_cvt_narrow(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_cvt_pack(sim_warp *w, const sim_op *op, uint32_t mask);
uint32_t sim_f16_round(double value, tl_round round); // NaN: 0x7FFF
uint32_t sim_bf16_round(double value, tl_round round);
double sim_half_value(ptx_type type, uint32_t bits); // one element of f16 or bf16

// exec_mov.c
void sim_exec_mov32(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_mov64(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_mov_planes(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_pack(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_unpack(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_sreg(sim_warp *w, const sim_op *op, uint32_t mask);
bool sim_sreg_find(const char *name, int *out_sreg, int *out_bits);
void sim_exec_cvta(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_isspacep(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_nop(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_trap(sim_warp *w, const sim_op *op, uint32_t mask);

// exec_mem.c
typedef struct sim_mem_info {
  sim_space space;
  sim_access access;
  bool sign_extend;
  uint8_t type_bits;  // of one element
  uint32_t nplanes;   // planes transferred
  int32_t planes[32]; // slot of each plane; SIM_SINK
  uint8_t widen[8];   // loads: bits of the destination register of element k
  bool widens;        // some destination needs more than the zero extension of the load
} sim_mem_info;
void sim_exec_ld(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_st(sim_warp *w, const sim_op *op, uint32_t mask);
typedef struct sim_atom_info {
  sim_space space;
  sim_access access;
  uint8_t what; // sim_atom_op
  ptx_type type;
  uint8_t vec;
  int32_t dest[8], value[8]; // slots per element; dest SIM_SINK: red
  int32_t compare;
} sim_atom_info;
typedef enum sim_atom_op {
  SIM_ATOM_ADD,
  SIM_ATOM_MIN,
  SIM_ATOM_MAX,
  SIM_ATOM_AND,
  SIM_ATOM_OR,
  SIM_ATOM_XOR,
  SIM_ATOM_INC,
  SIM_ATOM_DEC,
  SIM_ATOM_EXCH,
  SIM_ATOM_CAS
} sim_atom_op;
void sim_exec_atom(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_addresses(const sim_warp *w, int32_t slot, int64_t offset, bool wide, uint32_t mask,
                   uint64_t out[32]);
void sim_exec_print(sim_warp *w, const sim_op *op, uint32_t mask);  // vprintf
void sim_exec_assert(sim_warp *w, const sim_op *op, uint32_t mask); // __assertfail

// exec_async.c: cp.async
typedef struct sim_copy_info {
  bool dst_wide, src_wide;
  int64_t dst_offset, src_offset;
  uint32_t bytes;
  int32_t src_bytes; // slot or SIM_SINK
  int32_t ignore;    // predicate or 0
  bool ignore_negated;
} sim_copy_info;
void sim_exec_cp_async(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_cp_commit(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_cp_wait(sim_warp *w, const sim_op *op, uint32_t mask);

// exec_warp.c
void sim_exec_shfl(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_vote(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_match(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_redux(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_activemask(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_elect(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_bar_warp(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_fence(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_grid_wait(sim_warp *w, const sim_op *op, uint32_t mask);

// sync.c: CTA barriers
typedef enum sim_bar_kind {
  SIM_BAR_SYNC,
  SIM_BAR_ARRIVE,
  SIM_BAR_POPC,
  SIM_BAR_AND,
  SIM_BAR_OR
} sim_bar_kind;
typedef struct sim_bar_info {
  sim_bar_kind kind;
  bool aligned;
  int32_t id, count; // slots; count SIM_SINK: all threads
  int32_t pred;      // red: source predicate
  bool pred_negated;
  int32_t dest; // red: register (popc) or predicate
} sim_bar_info;

// exec_mma.c: planes in, sim B's arithmetic, planes out
typedef struct sim_matrix_info {
  sim_matrix matrix;
  sim_space space;
  bool wide;
  int32_t slots[8];
} sim_matrix_info;
typedef struct sim_mma_info {
  sim_mma_desc desc;
  int32_t a[16], b[8], c[16], d[16]; // slot of each plane; f64 m16n8k16 fills them
  bool scaled;
  int32_t scale_a, scale_b, byte_a, thread_a, byte_b, thread_b; // slots
} sim_mma_info;
void sim_exec_ldmatrix(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_stmatrix(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_movmatrix(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_mma(sim_warp *w, const sim_op *op, uint32_t mask);

// exec_wgmma.c
typedef struct sim_wgmma_info {
  sim_wgmma_desc desc;
  int32_t d[128], a[4], metadata; // slots
  int32_t desc_a, desc_b;
  int32_t scale_d; // predicate
  bool scale_d_negated;
} sim_wgmma_info;
void sim_exec_wgmma_fence(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_wgmma_commit(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_wgmma_wait(sim_warp *w, const sim_op *op, uint32_t mask);
#endif
