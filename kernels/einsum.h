// Typed launches of the einsum family (einsum.tile); conventions as in kernels/gemm.h.
#ifndef KERNELS_EINSUM_H
#define KERNELS_EINSUM_H
#include "kernels/gemm.h"

typedef enum tile_einsum_expr {
  TILE_BHR_HDR_BHD, // z[b, h, d] = sum over r
  TILE_BHD_HDR_BHR, // z[b, h, r] = sum over d
  TILE_BHD_BHR_HDR  // z[h, d, r] = c[h, d, r] + sum over b; c NULL stands for z
} tile_einsum_expr;

// bf16 without scales, FP8 with f32 scales.
tile_status tile_einsum(const tile_target *target, tile_einsum_expr expr, tile_operand x,
                        tile_operand y, const tile_tensor *c, const tile_tensor *z);
// z[m, n] += sum over s, k of x[s, m, k] y[s, n, k], in `parts` parts that are added as they come.
tile_status tile_bmk_bnk_mn(const tile_target *target, const tile_tensor *x, const tile_tensor *y,
                            const tile_tensor *z, int parts);
// The same in a fixed order: slices[parts, m, n], then their sum (+ c, where the artifact of
// sum_slices has ACC).
tile_status tile_bmk_bnk_mn_slices(const tile_target *target, const tile_tensor *x,
                                   const tile_tensor *y, const tile_tensor *slices);
tile_status tile_sum_slices(const tile_target *target, const tile_tensor *slices,
                            const tile_tensor *c, const tile_tensor *z);
// Attention output o[t, h, 512] to q[t, h / 8, 4096] and its scales, f32 or packed by their type.
tile_status tile_inv_rope_fp8_quant(const tile_target *target, const tile_tensor *o,
                                    const tile_tensor *positions, const tile_tensor *cos_sin,
                                    const tile_tensor *q, const tile_tensor *scales);
#endif
