// ptxas as a subprocess: PTX in, cubin and resource figures out. No temporary files.
#ifndef CODEGEN_PTX_PTXAS_H
#define CODEGEN_PTX_PTXAS_H
#include "codegen/compile.h"

// One assembly under way. Several may run side by side; finish them in any order.
typedef struct cg_job cg_job;

// Path of the assembler (TILE_PTXAS, $CUDA_HOME/bin/ptxas, PATH); NULL when there is none.
const char *cg_find_ptxas(void);
// NULL when the process cannot be started. The PTX text is not needed afterwards.
cg_job *cg_assemble_start(const char *ptxas, const tl_target *target, const char *ptx, size_t len);
// Waits; fills cubin, figures and log of `image`. False when ptxas refused the text.
bool cg_assemble_finish(cg_job *job, cg_image *image);
#endif
