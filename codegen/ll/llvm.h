// The LLVM C API headers, in one place: nothing outside codegen/ll includes them.
#ifndef CODEGEN_LL_LLVM_H
#define CODEGEN_LL_LLVM_H
#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Support.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#endif
