// Resource figures of compiled functions: what ptxas said, and what follows for occupancy.
#include "codegen/report.h"

void cg_report_header(FILE *out) {
  fprintf(out, "%-8s %-16s %-36s %7s %5s %5s %6s %6s %6s %4s %8s %7s\n", "arch", "kernel",
          "variant", "threads", "regs", "spill", "stack", "smem", "stages", "bars", "ctas/SM",
          "cubin");
}

// A figure that only ptxas knows prints as '-' without one.
static const char *figure(char *text, size_t size, int value) {
  snprintf(text, size, "%d", value);
  return value < 0 ? "-" : text;
}

void cg_report_line(FILE *out, const ir_func *func, const char *variant, const cg_image *image) {
  char regs[16], spill[16], stack[16], bars[16];
  fprintf(out, "%-8s %-16s %-36s %7d %5s %5s %6s %6lld %6d %4s %8d %7zu\n", func->target->name,
          func->kernel, variant, (func->warps + func->extra_warps) * 32,
          figure(regs, sizeof regs, image->regs), figure(spill, sizeof spill, image->spill_bytes),
          figure(stack, sizeof stack, image->stack_bytes), (long long)func->smem_bytes,
          cg_stages(func), figure(bars, sizeof bars, image->barriers),
          cg_ctas_per_sm(func, image->regs), image->cubin_len);
}

static int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// The occupancy calculator of CUDA 13.0: registers are given to warps in units of 256, from four
// quarters of 16384; 1 KiB of shared memory is reserved per CTA.
int cg_ctas_per_sm(const ir_func *func, int regs) {
  const tl_target *target = func->target;
  int max_warps = target->capability >= 120 ? 48 : 64;
  int warps = func->warps + func->extra_warps;
  int64_t by_warps = max_warps / warps;
  int64_t by_smem = target->smem_sm_bytes / round_up(func->smem_bytes + 1024, 128);
  int64_t by_regs = by_warps;
  if (regs > 0)
    by_regs = 4 * (16384 / round_up(32 * (int64_t)regs, 256)) / round_up(warps, 4);
  int64_t least = by_warps < by_smem ? by_warps : by_smem;
  if (by_regs < least)
    least = by_regs;
  return least < 1 ? 1 : (int)least;
}

static void deepest(ir_op *op, void *user) {
  int *depth = user;
  bool counts = op->code == IR_CHANNEL && ir_int(op, "feeders", 1) == 1; // scales do not
  int stages = counts ? (int)ir_int(op, "depth", 1) : 1;
  if (stages > *depth)
    *depth = stages;
}

int cg_stages(const ir_func *func) {
  int depth = 1;
  ir_walk(func->body, deepest, &depth);
  return depth;
}

typedef struct narrowest {
  const ir_func *func;
  int bits;
} narrowest;

static void narrow_sums(ir_op *op, void *user) {
  narrowest *found = user;
  if (op->code != IR_WGMMA)
    return;
  const ir_op *channel = ir_def(found->func, op->args[0]);
  ir_val a = channel->args[ir_int(op, "a", 0)];
  if (tl_dtype_bits(ir_type(found->func, a)->dtype) == 8)
    found->bits = 13;
}

int cg_sum_bits(const ir_func *func) {
  narrowest found = {func, 21};
  ir_walk(func->body, narrow_sums, &found);
  return found.bits;
}
