// Runs the table of passes. The verifier stands between any two of them, so that a broken function
// is blamed on the pass that broke it.
#include "ir/pass_list.h"
#include "ir/verify_channel.h"
#include <stdio.h>
#include <time.h>

#define PASS_TIR false
#define PASS_SIR true
const ir_pass_info ir_passes[] = {
#define PASS(name, dialect, mechanism, doc) {#name, pass_##name, PASS_##dialect, mechanism, doc},
#include "ir/passes.def"
#undef PASS
};
const int ir_pass_count = sizeof ir_passes / sizeof *ir_passes;

unsigned ir_mechanism_by_name(const char *name) {
  static const struct {
    const char *name;
    ir_mechanism bit;
  } rows[] = {
      {"pipeline", IR_NO_PIPELINE},   {"cp-async", IR_NO_CP_ASYNC}, {"swizzle", IR_NO_SWIZZLE},
      {"ldmatrix", IR_NO_LDMATRIX},   {"licm", IR_NO_LICM},         {"cse", IR_NO_CSE},
      {"vectorize", IR_NO_VECTORIZE}, {"swap", IR_NO_SWAP},         {"split-k", IR_NO_SPLIT_K},
      {"evict", IR_NO_EVICT},
      {"specialize", IR_NO_SPECIALIZE},
      {"tma-store", IR_NO_TMA_STORE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(rows[i].name, name))
      return rows[i].bit;
  return 0;
}

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

// Are the channels right, at any speed of the roles? What is not right is our own mistake: roles from
// a user's source have been checked by the pass that lowers them.
static void verify_schedule(const ir_func *func, const char *pass) {
  tl_arena arena = {0};
  ir_schedule_fault fault;
  if (!ir_check_schedule(func, &arena, &fault)) {
    tl_buf text = {0};
    ir_print_fault(func, &fault, &text);
    TL_UNREACHABLE("%s left a schedule that can go wrong:\n%s", pass, text.data);
  }
  tl_arena_free(&arena);
}

static void verify_after(const ir_func *func, const char *pass) {
  tl_buf failures = {0}, text = {0};
  if (!ir_verify(func, &failures)) {
    verify_schedule(func, pass);
    return;
  }
  ir_print_func(func, &text);
  TL_UNREACHABLE("%s left a function that does not verify:\n%s\n%s", pass, failures.data,
                 text.data);
}

// The text of a function must read back and print the same: dumps and tests rely on it.
static void check_round_trip(const ir_func *func, const char *pass) {
  tl_arena arena = {0};
  tl_sources sources = {.arena = &arena};
  tl_buf once = {0}, twice = {0};
  const char *error;
  ir_print_func(func, &once);
  ir_module *again = ir_parse(&arena, &sources, once.data, once.len, &error);
  if (!again)
    TL_UNREACHABLE("the text after %s does not read back: %s\n%s", pass, error, once.data);
  ir_print(again, &twice);
  if (strcmp(once.data, twice.data) != 0)
    TL_UNREACHABLE("the text after %s changes when read back:\n%s\n%s", pass, once.data,
                   twice.data);
  tl_buf_free(&once);
  tl_buf_free(&twice);
  tl_arena_free(&arena);
}

static bool is_named(const char *wanted_or_null, const char *name) {
  return wanted_or_null && !strcmp(wanted_or_null, name);
}

static void dump(const ir_func *func, const char *pass) {
  tl_buf text = {0};
  ir_print_func(func, &text);
  fprintf(stderr, "// after %s\n%s\n", pass, text.data);
  tl_buf_free(&text);
}

static void run_pass(ir_pass_ctx *ctx, const ir_run_options *options, int index) {
  const ir_pass_info *pass = &ir_passes[index];
  tl_arena own = {0}, *given = ctx->scratch;
  if (!given)
    ctx->scratch = &own;
  double start = now_ms();
  pass->run(ctx);
  if (options->pass_ms)
    options->pass_ms[index] += now_ms() - start;
  tl_arena_free(ctx->scratch);
  ctx->scratch = given;
}

// tir passes have nothing to do on sir read from text; sir passes need sir.
static bool applies(const ir_pass_ctx *ctx, const ir_pass_info *pass) {
  if (pass->mechanism && (ctx->disabled & pass->mechanism))
    return false;
  return pass->sir == ctx->func->sir;
}

bool ir_run_passes(ir_pass_ctx *ctx, const ir_run_options *options) {
  int errors = ctx->diags ? ctx->diags->error_count : 0;
  bool skipping = options->start_after != NULL;
  verify_after(ctx->func, skipping ? options->start_after : "the frontend");
  for (int i = 0; i < ir_pass_count; i++) {
    const ir_pass_info *pass = &ir_passes[i];
    if (options->stop_before_sir && (pass->sir || is_named("to_sir", pass->name)))
      break;
    if (!skipping && applies(ctx, pass)) {
      run_pass(ctx, options, i);
      if (ctx->diags && ctx->diags->error_count > errors)
        return false;
      verify_after(ctx->func, pass->name);
      if (options->round_trip)
        check_round_trip(ctx->func, pass->name);
    }
    if (!skipping && (is_named(options->dump, "all") || is_named(options->dump, pass->name)))
      dump(ctx->func, pass->name);
    if (is_named(options->start_after, pass->name))
      skipping = false;
    if (is_named(options->stop_after, pass->name))
      break;
  }
  return true;
}
