// --print-resources: one line per variant and architecture, from ptxas where there is one.
#ifndef CODEGEN_REPORT_H
#define CODEGEN_REPORT_H
#include "codegen/compile.h"

void cg_report_header(FILE *out);
void cg_report_line(FILE *out, const ir_func *func, const char *variant, const cg_image *image);
// CTAs of this shape that fit one SM at a time, by registers, shared memory and warps.
int cg_ctas_per_sm(const ir_func *func, int regs);
// Deepest channel of the function; 1 without channels.
int cg_stages(const ir_func *func);
// Fraction bits of a product that the tensor core keeps beside larger ones, at least.
int cg_sum_bits(const ir_func *func);
#endif
