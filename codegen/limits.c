// A tile that cannot be in registers is a mistake worth a message: it would compile, slowly, to
// code that runs from local memory. One report per function, at the first such tile.
#include "codegen/limits.h"

enum { MOST_REGS = 512 }; // a thread has 255; up to twice that, spilling is merely slow

typedef struct limits {
  const ir_func *func;
  tl_diags *diags;
  bool good;
} limits;

static int64_t regs_per_thread(int threads, const ty_type *type) {
  int64_t bits = ty_elems(type) * tl_dtype_bits(type->dtype);
  return (bits + threads * 32 - 1) / ((int64_t)threads * 32);
}

// One value repeated needs one register, however large the tile.
static bool is_repeated(const ir_op *op) {
  return op->code == IR_SPLAT || op->code == IR_BROADCAST || op->code == IR_EXPAND;
}

static void check_op(ir_op *op, void *user) {
  limits *l = user;
  int threads = 32 * ir_warps_at(l->func, op);
  for (uint32_t i = 0; i < op->nres && l->good && !is_repeated(op); i++) {
    const ty_type *type = ir_type(l->func, op->res[i]);
    if (!ty_is_tile(type))
      continue;
    int64_t regs = regs_per_thread(threads, type);
    if (regs <= MOST_REGS)
      continue;
    l->good = false;
    tl_diag *diag =
        tl_report(l->diags, op->loc, DIAG_E0402, ty_text(l->diags->arena, type),
                  (int)(regs < INT32_MAX ? regs : INT32_MAX), threads, MOST_REGS);
    int64_t most = (int64_t)MOST_REGS * 32 * threads / tl_dtype_bits(type->dtype);
    tl_help(l->diags, diag, "up to %lld elements fit, the tile has %lld", (long long)most,
            (long long)ty_elems(type));
  }
}

bool cg_check_limits(const ir_func *func, tl_diags *diags) {
  limits l = {func, diags, true};
  ir_walk(func->body, check_op, &l);
  return l.good;
}
