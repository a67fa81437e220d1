// tilerun: one kernel, once, from the command line. `tilerun --help` says how.
#include "runtime/tilerun.h"
#include "lang/base/assert.h"
#include <string.h>

static const char *doing = "reading the command line";
static void say_what_we_did(void) { fprintf(stderr, "tilerun: internal error while %s\n", doing); }

int main(int argc, char **argv) {
  tl_on_internal_error = say_what_we_did;
  tl_arena arena = {0};
  run_options options;
  int code = RUN_USAGE;
  if (run_parse_options(&arena, argc, argv, &options)) {
    if (options.print_help) {
      fputs(run_help, stdout);
      code = RUN_OK;
    } else if (options.print_version) {
      puts("tilerun " TILE_VERSION);
      code = RUN_OK;
    } else {
      doing = options.kernel;
      code = run_all(&options);
    }
  }
  tl_arena_free(&arena);
  if (fflush(stdout) != 0) {
    perror("tilerun: standard output");
    code = code ? code : RUN_BAD_INPUT;
  }
  return code;
}
