// A kernel as one LLVM module: target set-up, the short pass list, LLVM IR or PTX as text.
//
// Each call owns its LLVM context and target machine, so calls may run on several threads at once.
#include "codegen/compile.h"
#include "codegen/ll/func.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

// Not declared by the C API headers of a build that knows all targets.
void LLVMInitializeNVPTXTargetInfo(void);
void LLVMInitializeNVPTXTarget(void);
void LLVMInitializeNVPTXTargetMC(void);
void LLVMInitializeNVPTXAsmPrinter(void);

static const char triple[] = "nvptx64-nvidia-cuda";
// default<O3> costs 5 times as much and gives ptxas nothing better to work on.
static const char pass_list[] =
    "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,"
    "loop-mssa(licm),instcombine<no-verify-fixpoint>,gvn,simplifycfg)";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static LLVMTargetRef nvptx;

static void on_fatal_error(const char *reason) { TL_UNREACHABLE("LLVM: %s", reason); }

static void init_llvm(void) {
  const char *options[] = {"tilec", "-nvptx-short-ptr"}; // shared addresses in 32 bits
  LLVMParseCommandLineOptions(2, options, "");
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  LLVMInstallFatalErrorHandler(on_fatal_error);
  char *error = NULL;
  if (LLVMGetTargetFromTriple(triple, &nvptx, &error))
    TL_UNREACHABLE("LLVM: %s", error);
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

// Severity 0 is an error (a wrong asm constraint, an unsupported operation); the rest is chatter.
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user) {
  (void)user;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError)
    return;
  char *text = LLVMGetDiagInfoDescription(info);
  TL_UNREACHABLE("LLVM: %s", text);
}

typedef struct unit {
  tl_arena arena;
  ll_ctx ctx;
  LLVMTargetMachineRef machine;
} unit;

static void set_flag(ll_ctx *c, const char *name, unsigned value) {
  LLVMAddModuleFlag(c->module, LLVMModuleFlagBehaviorWarning, name, strlen(name),
                    LLVMValueAsMetadata(ll_i32(c, value)));
}

static void check_module(LLVMModuleRef module) {
  char *error = NULL;
  if (!LLVMVerifyModule(module, LLVMReturnStatusAction, &error)) {
    LLVMDisposeMessage(error);
    return;
  }
  if (getenv("TILEC_DUMP_BAD_LLVM"))
    LLVMDumpModule(module);
  TL_UNREACHABLE("the emitted module is invalid: %s", error);
}

static void open_unit(unit *u, const ir_func *func) {
  pthread_once(&once, init_llvm);
  memset(u, 0, sizeof *u);
  u->ctx.func = func;
  u->ctx.arena = &u->arena;
  u->ctx.cx = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(u->ctx.cx, on_diagnostic, NULL);
  u->ctx.module = LLVMModuleCreateWithNameInContext(func->name, u->ctx.cx);
  LLVMSetSourceFileName(u->ctx.module, "", 0);
  u->machine =
      LLVMCreateTargetMachine(nvptx, triple, func->target->cpu, "+ptx90",
                              LLVMCodeGenLevelAggressive, LLVMRelocDefault, LLVMCodeModelDefault);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(u->machine);
  LLVMSetModuleDataLayout(u->ctx.module, layout);
  LLVMDisposeTargetData(layout);
  LLVMSetTarget(u->ctx.module, triple);
  ll_emit_kernel(&u->ctx);
  set_flag(&u->ctx, "Debug Info Version", LLVMDebugMetadataVersion());
  set_flag(&u->ctx, "Dwarf Version", 2);
  check_module(u->ctx.module);
}

static void close_unit(unit *u) {
  LLVMDisposeModule(u->ctx.module);
  LLVMDisposeTargetMachine(u->machine);
  LLVMContextDispose(u->ctx.cx);
  tl_arena_free(&u->arena);
}

static void optimise(unit *u) {
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMPassBuilderOptionsSetLoopVectorization(options, false);
  LLVMPassBuilderOptionsSetSLPVectorization(options, false);
  LLVMErrorRef error = LLVMRunPasses(u->ctx.module, pass_list, u->machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (error)
    TL_UNREACHABLE("LLVM: %s", LLVMGetErrorMessage(error));
}

static char *copy_text(const char *text, size_t len) {
  char *copy = malloc(len + 1);
  TL_ASSERT(copy, "out of memory");
  memcpy(copy, text, len);
  copy[len] = 0;
  return copy;
}

char *cg_emit_llvm(const ir_func *func, size_t *out_len) {
  unit u;
  open_unit(&u, func);
  optimise(&u);
  char *text = LLVMPrintModuleToString(u.ctx.module);
  *out_len = strlen(text);
  char *copy = copy_text(text, *out_len);
  LLVMDisposeMessage(text);
  close_unit(&u);
  return copy;
}

char *cg_emit_ptx(const ir_func *func, size_t *out_len, double *out_build_ms, double *out_opt_ms,
                  double *out_codegen_ms) {
  unit u;
  double start = now_ms();
  open_unit(&u, func);
  double built = now_ms();
  optimise(&u);
  double optimised = now_ms();
  char *error = NULL;
  LLVMMemoryBufferRef out = NULL;
  if (LLVMTargetMachineEmitToMemoryBuffer(u.machine, u.ctx.module, LLVMAssemblyFile, &error, &out))
    TL_UNREACHABLE("LLVM: %s", error);
  *out_len = LLVMGetBufferSize(out);
  char *copy = copy_text(LLVMGetBufferStart(out), *out_len);
  LLVMDisposeMemoryBuffer(out);
  double end = now_ms();
  close_unit(&u);
  if (out_build_ms)
    *out_build_ms = built - start;
  if (out_opt_ms)
    *out_opt_ms = optimised - built;
  if (out_codegen_ms)
    *out_codegen_ms = end - optimised;
  return copy;
}
