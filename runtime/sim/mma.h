// Tensor-core arithmetic, bit-exact per architecture.
//
// The decoder calls sim_mma_describe once per instruction; the executor calls sim_mma with register
// planes (plane r holds register r of all 32 lanes). Parameters that came from hardware live in
// mma_params.def. Two implementations: sim_mma (fast) and sim_mma_reference (mma_model.c, plain);
// tests/unit/test_sim_mma.c holds them together.
#ifndef RUNTIME_SIM_MMA_H
#define RUNTIME_SIM_MMA_H
#include <stdbool.h>
#include <stdint.h>

typedef enum sim_arch { SIM_SM90A, SIM_SM100A, SIM_SM120A } sim_arch;
// "sm_90a" -> SIM_SM90A; false: unknown.
bool sim_arch_of_name(const char *name, sim_arch *out_arch);

// Element types as PTX spells them (see sim_mma_type_of_name).
typedef enum sim_mma_type {
  SIM_MMA_F16,
  SIM_MMA_BF16,
  SIM_MMA_TF32,
  SIM_MMA_F32,
  SIM_MMA_F64,
  SIM_MMA_E4M3,
  SIM_MMA_E5M2,
  SIM_MMA_E2M3,
  SIM_MMA_E3M2,
  SIM_MMA_E2M1,
  SIM_MMA_S8,
  SIM_MMA_U8,
  SIM_MMA_S4,
  SIM_MMA_U4,
  SIM_MMA_B1,
  SIM_MMA_S32,
  SIM_MMA_UE8M0,
  SIM_MMA_UE4M3 // scales
} sim_mma_type;
// "f16", "bf16", "e4m3", "s8", "ue8m0" ... without the dot; false: not a type of mma.
bool sim_mma_type_of_name(const char *name, sim_mma_type *out_type);

typedef enum sim_mma_kind {
  SIM_MMA_PLAIN,    // no .kind
  SIM_MMA_F8F6F4,   // .kind::f8f6f4
  SIM_MMA_MXF8F6F4, // .kind::mxf8f6f4.block_scale
  SIM_MMA_MXF4,     // .kind::mxf4.block_scale
  SIM_MMA_MXF4NVF4  // .kind::mxf4nvf4.block_scale
} sim_mma_kind;

typedef enum sim_mma_bitop { SIM_MMA_NO_BITOP, SIM_MMA_XOR_POPC, SIM_MMA_AND_POPC } sim_mma_bitop;

// What the instruction text says.
typedef struct sim_mma_form {
  sim_mma_kind kind;
  uint16_t m, n, k;
  sim_mma_type a, b, c, d; // c and d: accumulator types as spelled (they must agree)
  uint8_t scale_vec;       // 0: not written; 1, 2, 4 for 1X, 2X, 4X (the default is filled in)
  sim_mma_type scale;      // block-scaled kinds: SIM_MMA_UE8M0 or SIM_MMA_UE4M3
  bool satfinite;          // integers only
  sim_mma_bitop bitop;     // b1 only
  uint8_t round;           // f64 only: 0 rn, 1 rz, 2 rm, 3 rp
} sim_mma_form;

typedef enum sim_mma_path {
  SIM_PATH_FUSED,
  SIM_PATH_FP8_AS_F16,
  SIM_PATH_MX8,
  SIM_PATH_MX4,
  SIM_PATH_INTEGER,
  SIM_PATH_BITS,
  SIM_PATH_DOUBLE
} sim_mma_path; // see mma_params.def

// The form resolved for one architecture. Callers need the register counts only.
typedef struct sim_mma_desc {
  uint8_t a_regs, b_regs, c_regs; // 32-bit planes per operand; D has c_regs (f64: low, high plane)
  uint8_t path;                   // sim_mma_path
  uint8_t frac_bits;              // F of the fused step
  uint16_t step;                  // k elements per fused step or fixed-point sum
  uint8_t elem_bits;              // container of one A or B element in its register
  uint8_t scale_blocks;           // scales per row: 0, 1, 2, 4
  sim_mma_form form;
} sim_mma_desc;

// false: the architecture (or PTX) has no such instruction; *out is then unspecified.
bool sim_mma_describe(sim_arch arch, const sim_mma_form *form, sim_mma_desc *out);

// Block scale operands: the scale registers of all lanes and the selectors (immediates, or the
// value of the selector register, which must be the same in all lanes).
typedef struct sim_mma_scales {
  const uint32_t *a, *b; // one plane each
  uint16_t byte_a, thread_a, byte_b, thread_b;
} sim_mma_scales;
// Whether the selectors are in range for the form (byte: 1X 0..3, 2X 0 or 2, 4X 0; thread-id-a
// 0..1, thread-id-b 0..3). The executor reports SIM_TRAP-like faults; sim_mma asserts.
bool sim_mma_selectors_ok(const sim_mma_desc *desc, const sim_mma_scales *scales);

// D = A x B + C. Operands are arrays of pointers to planes, since vector operands of PTX are lists
// of registers; d planes may be the c planes. scales: NULL unless the kind is block-scaled.
void sim_mma(const sim_mma_desc *desc, const uint32_t *const a[], const uint32_t *const b[],
             const uint32_t *const c[], uint32_t *const d[], const sim_mma_scales *scales);
void sim_mma_reference(const sim_mma_desc *desc, const uint32_t *const a[],
                       const uint32_t *const b[], const uint32_t *const c[], uint32_t *const d[],
                       const sim_mma_scales *scales);

// --- the fused step, reused by wgmma ------------------------------------------------------------
typedef enum sim_step_out { SIM_OUT_F32, SIM_OUT_E8M13, SIM_OUT_F16 } sim_step_out;

// One decoded operand element: value = (-1)^negative * sig * 2^(exp - sim_num_frac_bits(type)).
typedef enum sim_num_class { SIM_NUM_FINITE, SIM_NUM_INF, SIM_NUM_NAN } sim_num_class;
typedef struct sim_num {
  int32_t sig; // magnitude; 0 for zero
  int16_t exp; // exponent as the type stores it: subnormals have the smallest one, not normalised
  uint8_t cls; // sim_num_class
  bool negative;
} sim_num;
sim_num sim_num_decode(sim_mma_type type, uint32_t bits);
int sim_num_frac_bits(sim_mma_type type);

// step(a[0..n), b[0..n), c): products exact, all terms and c aligned to the largest exponent of the
// non-zero ones, cut to frac_bits, summed, rounded once. c_bits and the result are f32 bits, or f16
// bits for SIM_OUT_F16. product_frac_bits: fraction bits of a product of significands. exp_add is
// added to the exponent of every product (block scale).
uint32_t sim_step_reference(const sim_num *a, const sim_num *b, int n, int product_frac_bits,
                            int exp_add, uint32_t c_bits, int frac_bits, sim_step_out out);

// The same for 16 rows x 8 columns at once. Operands are decoded to exact floats and exponents, k
// major; a zero has the exponent SIM_STEP_ZERO. c and d are [column][row].
enum { SIM_STEP_ZERO = -16000, SIM_STEP_MAX_K = 32 };
typedef struct sim_step_a {
  float value[SIM_STEP_MAX_K][16];
  int16_t exp[SIM_STEP_MAX_K][16];
} sim_step_a;
typedef struct sim_step_b {
  float value[SIM_STEP_MAX_K][8];
  int16_t exp[SIM_STEP_MAX_K][8];
} sim_step_b;
// Register words by position (aw[k word][row], bw[k word][column]) to decoded operands. split:
// those of two steps, elements with (k & 2) != 0 in the second, as f16 (a and b are arrays of two).
// false: a NaN or infinity is among them.
bool sim_step_decode(sim_mma_type type_a, sim_mma_type type_b, int words, bool split,
                     uint32_t aw[][16], uint32_t bw[][8], sim_step_a *a, sim_step_b *b);
// false: the operands reach so near the ends of the f32 range, or c is infinite or NaN, that floats
// cannot hold the intermediate values; nothing was written, use the reference.
bool sim_step_tile(const sim_step_a *a, const sim_step_b *b, int k, int frac_bits, sim_step_out out,
                   const uint32_t c[8][16], uint32_t d[8][16]);
#endif
