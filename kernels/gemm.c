// See gemm.h: which kernel, and its arguments in order.
#include "kernels/launch.h"

static void operands(launch *l, tile_operand a, tile_operand b, tile_scaling scaling) {
  launch_tensor(l, a.data);
  launch_tensor(l, b.data);
  if (scaling == TILE_UNSCALED)
    return;
  launch_tensor(l, a.scales);
  launch_tensor(l, b.scales);
}

tile_status tile_gemm(const tile_target *target, tile_major major, tile_operand a, tile_operand b,
                      const tile_tensor *c, const tile_tensor *d) {
  static const char *const plain[] = {"bf16_gemm_nt_add", "bf16_gemm_nn", "bf16_gemm_tn",
                                      "bf16_gemm_tt"};
  static const char *const scaled[] = {"fp8_fp4_gemm_nt", "fp8_fp4_gemm_nn", "fp8_fp4_gemm_tn",
                                       "fp8_fp4_gemm_tt"};
  bool has_scales = a.scales || b.scales, bare = !has_scales && !c && major == TILE_NT;
  launch l = launch_of(target, bare ? "bf16_gemm_nt" : (has_scales ? scaled : plain)[major]);
  operands(&l, a, b, has_scales ? TILE_PACKED_SCALES : TILE_UNSCALED);
  if (!bare)
    launch_tensor(&l, c ? c : d);
  launch_tensor(&l, d);
  return launch_run(&l);
}

tile_status tile_fp8_gemm(const tile_target *target, tile_operand a, tile_operand b,
                          const tile_tensor *d) {
  launch l = launch_of(target, "fp8_gemm_nt");
  operands(&l, a, b, TILE_F32_SCALES);
  launch_tensor(&l, d);
  return launch_run(&l);
}

tile_status tile_fp8_gemm_per_row(const tile_target *target, tile_operand a, tile_operand b,
                                  const tile_tensor *c, const tile_tensor *d) {
  launch l = launch_of(target, "fp8_gemm_nt_per_row");
  operands(&l, a, b, TILE_F32_SCALES);
  launch_tensor(&l, c ? c : d);
  launch_tensor(&l, d);
  return launch_run(&l);
}

tile_status tile_fp8_gemm_skip_head_mid(const tile_target *target, tile_operand a, tile_operand b,
                                        const tile_tensor *d, int left, int mid, int right) {
  launch l = launch_of(target, "fp8_gemm_nt_skip_head_mid");
  operands(&l, a, b, TILE_F32_SCALES);
  launch_tensor(&l, d);
  launch_int(&l, left), launch_int(&l, mid), launch_int(&l, right);
  return launch_run(&l);
}

tile_status tile_m_grouped_contiguous(const tile_target *target, tile_scaling scaling,
                                      tile_major major, tile_operand a, tile_operand b,
                                      const tile_tensor *layout, const tile_tensor *d, int align) {
  static const char *const names[] = {"m_grouped_bf16_gemm_nt_contiguous",
                                      "m_grouped_fp8_gemm_nt_contiguous",
                                      "m_grouped_fp8_fp4_gemm_nt_contiguous"};
  bool nn = major == TILE_NN && scaling == TILE_UNSCALED;
  launch l = launch_of(target, nn                 ? "m_grouped_bf16_gemm_nn_contiguous"
                               : major == TILE_NT ? names[scaling]
                                                  : "m_grouped_gemm_of_this_major");
  operands(&l, a, b, scaling);
  launch_tensor(&l, layout);
  launch_tensor(&l, d);
  launch_int(&l, align);
  return launch_run(&l);
}

tile_status tile_m_grouped_masked(const tile_target *target, tile_scaling scaling, tile_operand a,
                                  tile_operand b, const tile_tensor *counts, const tile_tensor *d) {
  static const char *const names[] = {"m_grouped_bf16_gemm_nt_masked",
                                      "m_grouped_fp8_gemm_nt_masked",
                                      "m_grouped_fp8_fp4_gemm_nt_masked"};
  launch l = launch_of(target, names[scaling]);
  operands(&l, a, b, scaling);
  launch_tensor(&l, counts);
  launch_tensor(&l, d);
  return launch_run(&l);
}

tile_status tile_k_grouped(const tile_target *target, tile_scaling scaling, tile_major major,
                           tile_operand a, tile_operand b, const tile_tensor *sizes,
                           const tile_tensor *c, const tile_tensor *d) {
  static const char *const tn[] = {"k_grouped_bf16_gemm_tn", "k_grouped_fp8_gemm_tn",
                                   "k_grouped_fp8_packed_gemm_tn"};
  bool nt = major == TILE_NT && scaling == TILE_F32_SCALES;
  launch l = launch_of(target, nt                 ? "k_grouped_fp8_gemm_nt"
                               : major == TILE_TN ? tn[scaling]
                                                  : "k_grouped_gemm_of_this_major");
  operands(&l, a, b, scaling);
  launch_tensor(&l, sizes);
  launch_tensor(&l, c ? c : d);
  launch_tensor(&l, d);
  return launch_run(&l);
}
