// Between module.c and func.c: emission of one kernel into a fresh module.
#ifndef CODEGEN_LL_FUNC_H
#define CODEGEN_LL_FUNC_H
#include "codegen/ll/emit.h"

// Expects func, arena, cx and module to be set; fills the rest.
void ll_emit_kernel(ll_ctx *c);
#endif
