// The artifact's bytes in the form that was asked for: file, ELF object, C header or JSON contract.
#ifndef CODEGEN_EMBED_H
#define CODEGEN_EMBED_H
#include "codegen/compile.h"

void cg_embed(cg_stage form, const char *input_path, const tl_buf *artifact, tl_buf *out);
#endif
