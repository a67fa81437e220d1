// See einsum.h: which kernel, and its arguments in order.
#include "kernels/einsum.h"
#include "kernels/launch.h"

tile_status tile_einsum(const tile_target *target, tile_einsum_expr expr, tile_operand x,
                        tile_operand y, const tile_tensor *c, const tile_tensor *z) {
  static const char *const names[2][3] = {
      {"bf16_einsum_bhr_hdr_bhd", "bf16_einsum_bhd_hdr_bhr", "bf16_einsum_bhd_bhr_hdr"},
      {"fp8_einsum_bhr_hdr_bhd", "fp8_einsum_bhd_hdr_bhr", "fp8_einsum_bhd_bhr_hdr"}};
  bool scaled = x.scales || y.scales;
  launch l = launch_of(target, names[scaled][expr]);
  launch_tensor(&l, x.data);
  if (scaled)
    launch_tensor(&l, x.scales);
  launch_tensor(&l, y.data);
  if (scaled)
    launch_tensor(&l, y.scales);
  if (expr == TILE_BHD_BHR_HDR)
    launch_tensor(&l, c ? c : z);
  launch_tensor(&l, z);
  return launch_run(&l);
}

tile_status tile_bmk_bnk_mn(const tile_target *target, const tile_tensor *x, const tile_tensor *y,
                            const tile_tensor *z, int parts) {
  launch l = launch_of(target, "bf16_einsum_bmk_bnk_mn");
  launch_tensor(&l, x);
  launch_tensor(&l, y);
  launch_tensor(&l, z);
  launch_int(&l, parts);
  return launch_run(&l);
}

tile_status tile_bmk_bnk_mn_slices(const tile_target *target, const tile_tensor *x,
                                   const tile_tensor *y, const tile_tensor *slices) {
  launch l = launch_of(target, "bf16_einsum_bmk_bnk_mn_slices");
  launch_tensor(&l, x);
  launch_tensor(&l, y);
  launch_tensor(&l, slices);
  return launch_run(&l);
}

tile_status tile_sum_slices(const tile_target *target, const tile_tensor *slices,
                            const tile_tensor *c, const tile_tensor *z) {
  launch l = launch_of(target, "sum_slices");
  launch_tensor(&l, slices);
  launch_tensor(&l, c ? c : z);
  launch_tensor(&l, z);
  return launch_run(&l);
}

tile_status tile_inv_rope_fp8_quant(const tile_target *target, const tile_tensor *o,
                                    const tile_tensor *positions, const tile_tensor *cos_sin,
                                    const tile_tensor *q, const tile_tensor *scales) {
  bool packed = scales && scales->dtype == TILE_I32;
  launch l = launch_of(target, packed ? "inv_rope_fp8_quant_packed" : "inv_rope_fp8_quant");
  launch_tensor(&l, o);
  launch_tensor(&l, positions);
  launch_tensor(&l, cos_sin);
  launch_tensor(&l, q);
  launch_tensor(&l, scales);
  return launch_run(&l);
}
