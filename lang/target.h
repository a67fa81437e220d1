// Architectures and what they offer; rows in lang/targets.def.
#ifndef LANG_TARGET_H
#define LANG_TARGET_H
#include <stdbool.h>
#include <stdint.h>

typedef enum tl_feature {
  FEAT_TMA = 1 << 0,              // cp.async.bulk.tensor, mbarrier transactions
  FEAT_WGMMA = 1 << 1,            // wgmma.mma_async
  FEAT_TCGEN05 = 1 << 2,          // tcgen05.mma and tensor memory
  FEAT_BLOCK_SCALE_MMA = 1 << 3,  // mma.sync kind::mxf8f6f4 and friends
  FEAT_FP8_MMA_EMULATED = 1 << 4, // fp8 mma.sync exists but ptxas expands it to two f16 MMAs
  FEAT_F32X2 = 1 << 5,            // fma.rn.f32x2
  FEAT_NARROW_CVT = 1 << 6        // cvt to and from fp4, fp6, ue8m0
} tl_feature;

typedef enum tl_target_id {
  TL_NO_TARGET,
#define TARGET(id, name, cpu, cc, smem, smem_sm, threads, feats) TL_##id,
#include "lang/targets.def"
#undef TARGET
  TL_TARGET_COUNT
} tl_target_id;

typedef struct tl_target {
  tl_target_id id;
  const char *name; // "sm_90a"
  const char *cpu;  // LLVM's name
  int capability;   // 90, 100, 120
  int smem_cta_bytes, smem_sm_bytes;
  int max_threads;
  unsigned features; // tl_feature bits
} tl_target;

const tl_target *tl_target_of(tl_target_id id);
const tl_target *tl_target_by_name(const char *name); // NULL when unknown
// Feature bit for has(NAME): "tma", "wgmma", "tcgen05", "block_scale", "f32x2", "narrow_cvt"; 0:
// unknown.
unsigned tl_feature_by_name(const char *name);
#endif
