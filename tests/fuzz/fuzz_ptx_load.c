// Any bytes as PTX for the simulator: refused with one line, or every instruction matched and
// decoded.
#include "runtime/sim/sim_api.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const archs[] = {"sm_90a", "sm_100a", "sm_120a"};
  if (size > 16384)
    return 0;
  sim_verdict verdict;
  sim_machine *machine = sim_create(archs[size % 3], NULL);
  sim_module *module = sim_load_ptx(machine, "fuzz.ptx", (const char *)data, size, &verdict);
  if (!module && (verdict == SIM_OK || !*sim_error(machine) || strchr(sim_error(machine), '\n')))
    abort(); // refused without a word, or with too many
  sim_unload(module);
  sim_destroy(machine);
  return 0;
}
