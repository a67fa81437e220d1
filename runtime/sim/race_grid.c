// Dependent launches: a grid that may run beside the one launched before it.
//
// The simulator runs grids one after the other, so the values are those of the order in which they
// were launched. What would go wrong beside each other is seen in the shadow that the earlier grid
// left: a byte that it wrote is not touched, and one that it read is not written, by whoever has not
// been told by griddepcontrol.wait that it has ended, directly or through a barrier.
#include "runtime/sim/race_impl.h"

void sim_race_wait_grids(sim_race_agent *agent) {
  uint32_t one = 1;
  sim_clocks *waited = sim_clocks_of_dense(GRIDS_KEY, &one, 1);
  agent->foreign = sim_clocks_join(agent->foreign, waited);
  sim_clocks_drop(waited);
}

void sim_race_keep_before(sim_race *race, sim_region *region) {
  sim_race_cell *before = region->shadow;
  region->shadow = NULL;
  sim_race_forget(region);
  region->before = before;
  region->before_launch = race->launch;
}

void sim_race_host_write(sim_region *region, uint64_t offset, uint64_t bytes) {
  if (!bytes)
    return;
  uint64_t first = offset / 4, count = (offset + bytes + 3) / 4 - first;
  if (region->shadow)
    memset(region->shadow + first, 0, count * sizeof *region->shadow);
  if (region->before)
    memset(region->before + first, 0, count * sizeof *region->before);
}

bool sim_race_check_before(const sim_race_agent *agent, const sim_region *region, uint64_t offset,
                           uint64_t bytes, int lane, bool writes, uint32_t line,
                           sim_fault *fault) {
  for (uint64_t i = offset / 4; i < (offset + bytes + 3) / 4; i++) {
    const sim_race_cell *cell = &region->before[i];
    if (!cell->write && !(writes && cell->read))
      continue;
    fault->verdict = SIM_RACE;
    fault->lane = lane;
    fault->address = region->base + 4 * i;
    fault->line = line;
    fault->earlier = 0; // a line of another program perhaps
    snprintf(fault->text, sizeof fault->text,
             "race on '%s' + 0x%llx: %s by the grid before this one, and %s at PTX line %u by warp "
             "%u, which that grid may still run beside: no griddepcontrol.wait lies before",
             region->name, (unsigned long long)(4 * i), cell->write ? "written" : "read",
             writes ? "written" : "read", line, agent->index);
    return false;
  }
  return true;
}
