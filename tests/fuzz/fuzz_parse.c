// Feeds any bytes to the parser. What parses without errors must print, parse again without errors,
// and print to the same text: the printer loses nothing and the parser never crashes.
#include "frontend/parse.h"
#include "lang/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *parse_and_print(tl_arena *arena, const char *text, uint32_t len) {
  tl_sources sources = {.arena = arena};
  tl_diags diags;
  tl_diags_init(&diags, arena, &sources);
  uint32_t file = tl_source_add(&sources, "fuzz.tile", text, len);
  ast_module *module = fe_parse(arena, &diags, &sources, file);
  TL_ASSERT(module || diags.error_count, "no tree and no error");
  tl_buf out = {0};
  if (module)
    ast_print(&out, module); // a tree with errors has to be printable too
  char *copy = diags.error_count ? NULL : tl_strndup(arena, out.data ? out.data : "", out.len);
  tl_buf_free(&out);
  return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tl_arena arena = {0};
  char *text = tl_strndup(&arena, (const char *)data, size);
  char *once = parse_and_print(&arena, text, (uint32_t)size);
  if (once) {
    char *twice = parse_and_print(&arena, once, (uint32_t)strlen(once));
    TL_ASSERT(twice, "printed text does not parse:\n%s", once);
    TL_ASSERT(!strcmp(once, twice), "printing is no fixpoint:\n%s\n---\n%s", once, twice);
  }
  tl_arena_free(&arena);
  return 0;
}
