// What code generation refuses for its size, before LLVM spends minutes on it.
#ifndef CODEGEN_LIMITS_H
#define CODEGEN_LIMITS_H
#include "ir/ir.h"
#include "lang/base/diag.h"

// sir after all passes. False after E0402: a tile too large for the registers of its threads.
bool cg_check_limits(const ir_func *func, tl_diags *diags);
#endif
