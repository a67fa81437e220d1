// The passes by name, generated from ir/passes.def; included by pass.c and by every pass's own file.
#ifndef IR_PASS_LIST_H
#define IR_PASS_LIST_H
#include "ir/pass.h"
#define PASS(name, dialect, mechanism, doc) bool pass_##name(ir_pass_ctx *ctx);
#include "ir/passes.def"
#undef PASS
#endif
