// From a parsed module to tile IR: names, constants, types, shapes; one ir_func per instantiation.
//
// Generics are bound before checking, so every dim is a number and every check happens on real
// shapes; a mistake inside a kernel is reported with "while instantiating NAME[BM=128, ...]".
#ifndef FRONTEND_SEMA_H
#define FRONTEND_SEMA_H
#include "frontend/ast.h"
#include "ir/ir.h"
#include "lang/base/diag.h"

typedef struct fe_binding {
  const char *name, *value;
} fe_binding; // BM = "128", OT = "bf16"

// One kernel with its generics and the parts that do not depend on an instantiation.
typedef struct fe_kernel {
  const ast_kernel *ast;
  const char *name, *export_name; // @export("...") or the name
} fe_kernel;

typedef struct fe_program fe_program; // checked module: names resolved, constants known

// NULL after errors. Finds duplicate names, unknown imports, recursion among fns.
// `std_dir`: where import "std/x.tile" is looked up after the importing file's folder.
fe_program *fe_check(tl_arena *arena, tl_diags *diags, tl_sources *sources,
                     const ast_module *module, const char *std_dir);
int fe_kernel_count(const fe_program *program);
const fe_kernel *fe_kernel_at(const fe_program *program, int index);
const fe_kernel *fe_kernel_find(const fe_program *program, const char *name);

// All points of the tune space for a target (NULL: of all targets together) in declaration order,
// first point = the defaults where they are in the space; with `fixed` bindings applied (--set). Each variant lists every generic in declaration
// order. Points whose `require` is statically false (a require over generics alone) are left out.
// Errors (unknown --set name, value of the wrong kind) are reported.
typedef struct fe_variant {
  const fe_binding *bindings;
  int count;
  bool is_default;
} fe_variant;
bool fe_variants(fe_program *program, const fe_kernel *kernel, const tl_target *target,
                 const fe_binding *fixed, int nfixed, const fe_variant **out_variants,
                 int *out_count);
bool fe_is_tuned(const fe_kernel *kernel, const char *generic); // does a tune clause name it?

// Contract of a kernel for the artifact, independent of the variant except where generics appear in
// dims (they are substituted). See lang/artifact.h for the text forms.
typedef struct fe_param_info {
  const char *name, *kind, *dir, *dtype; // kind "tensor" | "scalar"
  const char *dims, *strides;            // '|'-separated expressions
} fe_param_info;
typedef struct fe_key { // key(NAME = bucket(A, B, ..)): ascending, NULL when every value is its own
  const char *name, *buckets; // "1,16,64"
} fe_key;
typedef struct fe_contract {
  int nkeys;
  const fe_key *keys; // of tuning records
  int nparams;
  const fe_param_info *params;
  int nrequires;
  const char *const *require_exprs; // over dims, generics substituted
  const char *const *require_texts; // as the user wrote it
  bool float_atomics;
} fe_contract;

typedef struct fe_instance {
  ir_func *func; // tir, verified
  fe_contract contract;
  int min_align;             // bytes that bases and run-time strides must keep although align is 0
  const char *settings_name; // "BM128_BN128_STAGES4": non-default-able symbol suffix, C identifier
} fe_instance;

// Types and lowers one kernel for one target. NULL after errors (reported; with the instantiation
// note). `align` = 16: bases and run-time strides are multiples of 16 bytes; 0: element alignment.
fe_instance *fe_instantiate(fe_program *program, ir_module *module, const fe_kernel *kernel,
                            const fe_variant *variant, const tl_target *target, int align);

// Does the kernel refuse bases and run-time strides that are no multiples of 16 bytes (@align(16))?
bool fe_wants_aligned(const fe_kernel *kernel);

// --list: kernels, parameters, generics, tune space and its size.
void fe_print_list(fe_program *program, FILE *out);
#endif
