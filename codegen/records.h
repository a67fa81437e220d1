// Tuning records kept beside the sources: DIR/tune/KERNEL.jsonl for a kernel of DIR/FILE.tile, one
// JSON object per line as `tiletune export` writes them.
#ifndef CODEGEN_RECORDS_H
#define CODEGEN_RECORDS_H
#include "codegen/artifact.h"

// Adds the records of variants that the artifact has. False: a line is no record; *out_error says
// which, on the arena. No file: no records.
bool cg_records_add(cg_artifact *artifact, int kernel, const char *kernel_name,
                    const char *source_path, tl_arena *arena, const char **out_error);
#endif
