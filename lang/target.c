// The rows of targets.def as one constant table, and the names that has(...) knows.
#include "lang/target.h"
#include "lang/base/assert.h"
#include <stddef.h>
#include <string.h>

static const tl_target target_rows[TL_TARGET_COUNT] = {
#define TARGET(id_, name_, cpu_, cc, smem, smem_sm, threads, feats)                                \
  [TL_##id_] = {TL_##id_, name_, cpu_, cc, smem, smem_sm, threads, feats},
#include "lang/targets.def"
#undef TARGET
};

static const struct {
  const char *name;
  unsigned bit;
} feature_rows[] = {
    {"tma", FEAT_TMA},         {"wgmma", FEAT_WGMMA},
    {"tcgen05", FEAT_TCGEN05}, {"block_scale", FEAT_BLOCK_SCALE_MMA},
    {"f32x2", FEAT_F32X2},     {"narrow_cvt", FEAT_NARROW_CVT},
};

const tl_target *tl_target_of(tl_target_id id) {
  TL_ASSERT(id > TL_NO_TARGET && id < TL_TARGET_COUNT, "no such target: %d", (int)id);
  return &target_rows[id];
}

const tl_target *tl_target_by_name(const char *name) {
  for (int i = TL_NO_TARGET + 1; i < TL_TARGET_COUNT; i++)
    if (strcmp(target_rows[i].name, name) == 0)
      return &target_rows[i];
  return NULL;
}

unsigned tl_feature_by_name(const char *name) {
  for (size_t i = 0; i < sizeof feature_rows / sizeof *feature_rows; i++)
    if (strcmp(feature_rows[i].name, name) == 0)
      return feature_rows[i].bit;
  return 0;
}
