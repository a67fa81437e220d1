// Writes the .tla: see lang/artifact.h for what it holds.
#ifndef CODEGEN_ARTIFACT_H
#define CODEGEN_ARTIFACT_H
#include "codegen/compile.h"
#include "codegen/work.h"

typedef struct cg_artifact cg_artifact;

typedef struct cg_variant_info {
  const char *name; // "BM128_BN128", "_u" behind it when align is 0
  int align, rank;
  bool is_default;
  int ctas_per_sm, stages, sum_bits;
  cg_work work;
} cg_variant_info;

cg_artifact *cg_artifact_new(void);
void cg_artifact_meta(cg_artifact *artifact, const char *key, const char *value);
// Returns the kernel's id.
int cg_artifact_kernel(cg_artifact *artifact, const char *name, const char *export_name,
                       const char *source, int line);
void cg_artifact_params(cg_artifact *artifact, int kernel, const fe_contract *contract);
void cg_artifact_keys(cg_artifact *artifact, int kernel, const fe_contract *contract);
void cg_artifact_variant(cg_artifact *artifact, int kernel, const ir_func *func,
                         const fe_contract *contract, const cg_variant_info *info,
                         const cg_image *image);
// A tuning record as a JSON object; one of another kernel, or of a variant that the artifact does not
// have, is left out. False: it is no record.
bool cg_artifact_record(cg_artifact *artifact, int kernel, const char *kernel_name, const char *json);
// The file's bytes, appended to `out`; frees the artifact.
void cg_artifact_finish(cg_artifact *artifact, tl_buf *out);
#endif
