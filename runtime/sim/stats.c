// Counters and the support table of forms, printed.
#include "runtime/sim/sim.h"
#include <inttypes.h>
#include <stdlib.h>

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static void print_bytes(FILE *out, const char *what, uint64_t loaded, uint64_t stored) {
  fprintf(out, "%-20s %" PRIu64 " loaded, %" PRIu64 " stored\n", what, loaded, stored);
}

// How much of the program is tensor work, and how fast the host was at that and at all else.
static void print_tensor(const sim_counters *c, FILE *out) {
  uint64_t others = c->thread_instructions - 32 * c->mma_instructions;
  uint64_t global = c->global_load_bytes + c->global_store_bytes;
  double rest = c->seconds - c->tensor_seconds;
  fprintf(out,
          "tensor instructions  %" PRIu64 " by warp, %.2f %% of all; %.1f multiply-accumulates "
          "per byte of global memory\n",
          c->mma_instructions,
          100 * ratio((double)c->mma_instructions, (double)c->warp_instructions),
          ratio((double)c->macs, (double)global));
  fprintf(out, "outside tensor ops   %.3f seconds, %.1f M thread instructions per second\n", rest,
          ratio((double)others, rest) * 1e-6);
  fprintf(out, "tensor ops           %.3f seconds, %" PRIu64 " multiply-accumulates, %.3f ns each\n",
          c->tensor_seconds, c->macs, ratio(c->tensor_seconds, (double)c->macs) * 1e9);
}

void sim_print_stats(const sim_machine *machine, FILE *out) {
  const sim_counters *c = &machine->counters;
  fprintf(out, "warp instructions    %" PRIu64 "\n", c->warp_instructions);
  fprintf(out, "thread instructions  %" PRIu64 "\n", c->thread_instructions);
  print_bytes(out, "global bytes", c->global_load_bytes, c->global_store_bytes);
  print_bytes(out, "shared bytes", c->shared_load_bytes, c->shared_store_bytes);
  print_bytes(out, "bulk copy bytes", c->bulk_load_bytes, c->bulk_store_bytes);
  fprintf(out, "bank conflicts       %" PRIu64 "\n", c->shared_bank_conflicts);
  fprintf(out, "CTA barriers         %" PRIu64 " arrivals of warps\n", c->barrier_arrivals);
  fprintf(out, "mbarrier waits       %" PRIu64 ", of which slept %" PRIu64 " times\n", c->mbar_waits,
          c->mbar_waits_slept);
  fprintf(out, "seconds              %.3f (%.1f M thread instructions per second)\n", c->seconds,
          ratio((double)c->thread_instructions, c->seconds) * 1e-6);
  if (!machine->options.stats)
    return;
  print_tensor(c, out);
  fprintf(out, "form                 count        with lanes off\n");
  for (int i = 1; i < PTX_FORM_COUNT; i++)
    if (machine->form_counts[i])
      fprintf(out, "%-20s %-12" PRIu64 " %" PRIu64 "\n", ptx_form_rows[i].id,
              machine->form_counts[i], machine->form_partial[i]);
}

typedef struct form_line {
  const char *opcode;
  uint64_t count;
} form_line;

typedef struct forms {
  tl_arena arena;
  TL_VEC(form_line) lines;
} forms;

static void collect(forms *f, const ptx_stmts *body) {
  for (uint32_t i = 0; i < body->len; i++) {
    const ptx_stmt *stmt = &body->data[i];
    if (stmt->kind == PTX_STMT_SCOPE)
      collect(f, stmt->scope);
    if (stmt->kind != PTX_STMT_INSTR)
      continue;
    form_line *found = NULL;
    for (uint32_t k = 0; k < f->lines.len && !found; k++)
      if (strcmp(f->lines.data[k].opcode, stmt->instr->opcode) == 0)
        found = &f->lines.data[k];
    if (found)
      found->count++;
    else
      tl_push(&f->arena, &f->lines, ((form_line){stmt->instr->opcode, 1}));
  }
}

static int by_opcode(const void *a, const void *b) {
  return strcmp(((const form_line *)a)->opcode, ((const form_line *)b)->opcode);
}

int sim_print_forms(const char *path, const char *text, size_t len, FILE *out) {
  forms f = {0};
  const char *error;
  int unsupported = 0;
  ptx_module *module = ptx_parse(&f.arena, path, text, len, &error);
  if (!module) {
    fprintf(out, "%s\n", error);
    tl_arena_free(&f.arena);
    return -1;
  }
  for (uint32_t i = 0; i < module->funcs.len; i++)
    collect(&f, &module->funcs.data[i]->body);
  if (f.lines.len)
    qsort(f.lines.data, f.lines.len, sizeof *f.lines.data, by_opcode);
  for (uint32_t i = 0; i < f.lines.len; i++) {
    ptx_match_result match;
    tl_buf why = {0};
    bool ok = ptx_match_opcode(&f.arena, f.lines.data[i].opcode, &match, &why);
    fprintf(out, "%-60s %-11s %6" PRIu64 "  %s\n", f.lines.data[i].opcode,
            ok ? "supported" : "UNSUPPORTED", f.lines.data[i].count,
            ok ? ptx_form_rows[match.form].id : why.data);
    unsupported += !ok;
    tl_buf_free(&why);
  }
  tl_arena_free(&f.arena);
  return unsupported;
}
