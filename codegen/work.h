// What a variant does, counted: products, bytes, and how often, as expressions over the dims. The
// artifact carries it so that the runtime can estimate what a variant costs without running it.
#ifndef CODEGEN_WORK_H
#define CODEGEN_WORK_H
#include "ir/ir.h"

typedef struct cg_work_row { // see `work` in lang/artifact.h
  const char *kind, *name;
  int m, n, k;
  const char *times; // "": not known
} cg_work_row;

typedef struct cg_work {
  cg_work_row *rows;
  int nrows;
} cg_work;

// Of a function in tir; on the arena.
cg_work cg_work_of(const ir_func *func, tl_arena *arena);
#endif
