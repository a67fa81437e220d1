// Text to syntax tree: the lexer (lang/tile.l), the grammar (lang/tile.y) and its actions.
#ifndef FRONTEND_PARSE_H
#define FRONTEND_PARSE_H
#include "frontend/ast.h"
#include "lang/base/diag.h"

// Parses file `file` (1-based, see tl_source_add) of `sources`. Mistakes are reported to `diags`;
// what could be read around them is still returned, so check diags->error_count. NULL: nothing
// usable. Imports are recorded, not followed.
ast_module *fe_parse(tl_arena *arena, tl_diags *diags, tl_sources *sources, uint32_t file);
#endif
