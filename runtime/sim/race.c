// Happens-before race detection (see race.h).
//
// Time of an agent is a clock that ticks at each of its releasing operations; a warp's vector clock
// says up to which clock it knows each agent of its CTA (index: warp, then the warps' asynchronous
// agents), and a sparse map says the same for agents of other CTAs, which is empty unless a kernel
// synchronises CTAs. A shadow cell holds the last write and the last reads. Where one epoch does
// not do (unordered readers, bytes with different writers) the cell names a set of epochs. Sets are
// immutable and interned: the cells of a tile have equal histories, so whole rows move from one set
// to the next with one lookup.
//
// What can be missed: an access whose cell was overwritten by a later ordered strong access;
// readers beyond MAX_SET of one cell; everything between synchronisations 2^21 and later of one
// warp.
#include "runtime/sim/race_impl.h"
#include "runtime/sim/mma_tile.h"
#include "lang/base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- launches and CTAs --------------------------------------------------------------------------
sim_race *sim_race_new(void) { return must(calloc(1, sizeof(sim_race))); }

static void drop_sets(sim_race *race) {
  race->set_count = 0;
  race->set_words = 0;
  if (race->set_hash)
    memset(race->set_hash, 0, race->hash_cap * sizeof *race->set_hash);
  memset(race->memo, 0, sizeof race->memo);
}

void sim_race_free(sim_race *race) {
  if (!race)
    return;
  while (race->shadowed_count)
    sim_race_forget(race->shadowed[0]);
  sim_race_drop_objects(race);
  free(race->set_data);
  free(race->set_at);
  free(race->set_len);
  free(race->set_hash);
  free(race->shadowed);
  free(race);
}

void sim_race_begin(sim_race *race, uint32_t warps, uint64_t ctas, const uint32_t grid[3],
                    bool dependent) {
  TL_ASSERT(warps >= 1 && warps <= MAX_WARPS, "a CTA of %u warps", warps);
  race->launch++;
  race->proxies = false;
  race->dependent = dependent;
  race->warps = warps;
  race->agents_per_cta = 2 * warps + BULK_AGENTS;
  race->ctas = ctas;
  memcpy(race->grid, grid, sizeof race->grid);
  sim_race_drop_objects(race);
  drop_sets(race);
}

sim_race_cta *sim_race_cta_new(sim_race *race, uint64_t cta, sim_region *shared) {
  sim_race_cta *c = must(calloc(1, sizeof *c + race->warps * sizeof(sim_race_agent)));
  c->race = race;
  c->linear = cta;
  // Ids repeat after 2^20 agents: two CTAs that far apart are then taken for one.
  c->first_agent =
      (uint32_t)(cta % ((AGENT_SET - 1) / race->agents_per_cta)) * race->agents_per_cta;
  for (uint32_t w = 0; w < race->warps; w++) {
    c->warps[w].cta = c;
    c->warps[w].index = w;
    c->warps[w].clock[w] = 1;
    c->warps[w].async_clock = 1;
  }
  if (shared && shared->shadow)
    sim_race_forget(shared);
  return c;
}

void sim_race_cta_free(sim_race_cta *cta) {
  if (!cta)
    return;
  for (uint32_t w = 0; w < cta->race->warps; w++) {
    sim_clocks_drop(cta->warps[w].foreign);
    sim_clocks_drop(cta->warps[w].released);
    sim_clocks_drop(cta->warps[w].acquired);
  }
  for (int i = 0; i < MAX_BARRIERS; i++)
    sim_clocks_drop(cta->barriers[i].foreign);
  free(cta);
}

sim_race_agent *sim_race_warp(sim_race_cta *cta, uint32_t warp) { return &cta->warps[warp]; }

// --- shadows ------------------------------------------------------------------------------------
void sim_race_forget(sim_region *region) {
  sim_race *race = region->shadow_owner;
  for (size_t i = 0; race && i < race->shadowed_count; i++) {
    if (race->shadowed[i] != region)
      continue;
    race->shadowed[i] = race->shadowed[--race->shadowed_count];
    break;
  }
  free(region->shadow);
  free(region->before);
  region->shadow = region->before = NULL;
}

// calloc of a large shadow costs nothing until its pages are touched.
static void need_shadow(sim_race *race, sim_region *region) {
  if (region->shadow && region->shadow_launch == race->launch)
    return;
  if (region->shadow && race->dependent && region->shadow_launch + 1 == race->launch)
    sim_race_keep_before(race, region);
  else if (region->shadow)
    sim_race_forget(region);
  region->shadow = must(calloc(region->bytes / 4 + 1, sizeof(sim_race_cell)));
  region->shadow_launch = race->launch;
  region->shadow_owner = race;
  if (race->shadowed_count == race->shadowed_cap) {
    race->shadowed_cap = race->shadowed_cap ? race->shadowed_cap * 2 : 16;
    race->shadowed = must(realloc(race->shadowed, race->shadowed_cap * sizeof *race->shadowed));
  }
  race->shadowed[race->shadowed_count++] = region;
}

// --- sets of epochs -----------------------------------------------------------------------------
typedef struct epochs {
  uint32_t count;
  const uint64_t *data;
  uint64_t single;
} epochs;

// The epochs of a cell's word; `view` must outlive the result.
static void open_epochs(const sim_race *race, uint64_t word, epochs *view) {
  if (is_set(word)) {
    uint32_t id = (uint32_t)word;
    view->count = race->set_len[id];
    view->data = race->set_data + race->set_at[id];
  } else {
    view->single = word;
    view->count = word != 0;
    view->data = &view->single;
  }
}

static uint64_t hash_epochs(const uint64_t *data, uint32_t count) {
  uint64_t h = count;
  for (uint32_t i = 0; i < count; i++)
    h = mix(h ^ data[i]) + i;
  return h;
}

static void grow_hash(sim_race *race) {
  race->hash_cap = race->hash_cap ? race->hash_cap * 2 : 1024;
  free(race->set_hash);
  race->set_hash = must(calloc(race->hash_cap, sizeof *race->set_hash));
  for (uint32_t id = 0; id < race->set_count; id++) {
    uint32_t at = (uint32_t)hash_epochs(race->set_data + race->set_at[id], race->set_len[id]);
    at &= race->hash_cap - 1;
    while (race->set_hash[at])
      at = (at + 1) & (race->hash_cap - 1);
    race->set_hash[at] = id + 1;
  }
}

// The word for a set given in ascending order: 0, the epoch itself, or the index of the set.
static uint64_t intern(sim_race *race, const uint64_t *data, uint32_t count) {
  if (count == 0)
    return 0;
  if (count == 1)
    return data[0];
  if (race->set_count * 2 >= race->hash_cap)
    grow_hash(race);
  uint32_t at = (uint32_t)hash_epochs(data, count) & (race->hash_cap - 1);
  for (; race->set_hash[at]; at = (at + 1) & (race->hash_cap - 1)) {
    uint32_t id = race->set_hash[at] - 1;
    if (race->set_len[id] == count &&
        !memcmp(race->set_data + race->set_at[id], data, count * sizeof *data))
      return (uint64_t)AGENT_SET << AGENT_SHIFT | id;
  }
  if (race->set_count == race->set_cap) {
    race->set_cap = race->set_cap ? race->set_cap * 2 : 512;
    race->set_at = must(realloc(race->set_at, race->set_cap * sizeof *race->set_at));
    race->set_len = must(realloc(race->set_len, race->set_cap * sizeof *race->set_len));
  }
  if (race->set_words + count > race->set_words_cap) {
    race->set_words_cap = (race->set_words + count) * 2;
    race->set_data = must(realloc(race->set_data, race->set_words_cap * sizeof *race->set_data));
  }
  uint32_t id = race->set_count++;
  race->set_at[id] = (uint32_t)race->set_words;
  race->set_len[id] = count;
  memcpy(race->set_data + race->set_words, data, count * sizeof *data);
  race->set_words += count;
  race->set_hash[at] = id + 1;
  return (uint64_t)AGENT_SET << AGENT_SHIFT | id;
}

// Keeps only the sets some cell names.
static void collect_sets(sim_race *race) {
  uint64_t *old_data = race->set_data;
  uint32_t *old_at = race->set_at, *old_len = race->set_len, old_count = race->set_count;
  uint64_t *renamed = must(calloc(old_count, sizeof *renamed));
  race->set_data = NULL;
  race->set_at = race->set_len = NULL;
  race->set_words = race->set_words_cap = 0;
  race->set_cap = 0;
  drop_sets(race);
  for (size_t r = 0; r < race->shadowed_count; r++) {
    sim_region *region = race->shadowed[r];
    if (region->shadow_launch != race->launch)
      continue;
    for (uint64_t i = 0; i < 2 * (region->bytes / 4 + 1); i++) {
      uint64_t *word = i & 1 ? &region->shadow[i / 2].read : &region->shadow[i / 2].write;
      if (!is_set(*word))
        continue;
      uint32_t id = (uint32_t)*word;
      if (!renamed[id])
        renamed[id] = intern(race, old_data + old_at[id], old_len[id]);
      *word = renamed[id];
    }
  }
  free(renamed);
  free(old_data);
  free(old_at);
  free(old_len);
}

static void insert_sorted(uint64_t *list, uint32_t *count, uint64_t e) {
  uint32_t at = (*count)++;
  for (; at && list[at - 1] > e; at--)
    list[at] = list[at - 1];
  list[at] = e;
}

// `word` after the read e: readers that e is ordered after (and that read no other bytes) go.
static uint64_t add_reader(const sim_race_agent *agent, uint64_t word, uint64_t e) {
  sim_race *race = agent->cta->race;
  if (!word)
    return e;
  if (((word ^ e) & ~BYTES_MASK) == 0)
    return word | (e & BYTES_MASK);
  uint64_t list[MAX_SET + 1];
  uint32_t count = 0;
  epochs old;
  open_epochs(race, word, &old);
  for (uint32_t i = 0; i < old.count; i++) {
    uint64_t x = old.data[i];
    if (((x ^ e) & ~BYTES_MASK) == 0)
      e |= x & BYTES_MASK;
    else if (!(known(agent, x) && (x & BYTES_MASK & ~e) == 0 &&
               (x & STRONG_BIT) >= (e & STRONG_BIT)))
      list[count++] = x;
  }
  if (count == MAX_SET)
    return word;
  insert_sorted(list, &count, e);
  return intern(race, list, count);
}

// `word` without the bytes of e: what is left of earlier accesses after a checked write.
static uint64_t without_bytes(sim_race *race, uint64_t word, uint64_t e, bool add) {
  uint64_t list[MAX_SET + 1];
  uint32_t count = 0;
  epochs old;
  open_epochs(race, word, &old);
  for (uint32_t i = 0; i < old.count; i++) {
    uint64_t x = old.data[i], left = x & ~(e & BYTES_MASK);
    if (add && ((x ^ e) & ~BYTES_MASK) == 0)
      e |= x & BYTES_MASK;
    else if ((left & BYTES_MASK) && count < MAX_SET)
      insert_sorted(list, &count, left);
  }
  if (add)
    insert_sorted(list, &count, e);
  return intern(race, list, count);
}

static uint64_t memo_reader(const sim_race_agent *agent, uint64_t word, uint64_t e) {
  sim_race *race = agent->cta->race;
  if (!word)
    return e;
  memo *m = &race->memo[mix(word ^ mix(e)) & (MEMO_SIZE - 1)];
  if (m->from == word && m->epoch == e)
    return m->to;
  uint64_t to = add_reader(agent, word, e);
  *m = (memo){word, e, to};
  return to;
}

// --- reports ------------------------------------------------------------------------------------
static void name_agent(const sim_race *race, uint32_t id, char *out, size_t size) {
  uint32_t local = id % race->agents_per_cta;
  uint64_t cta = id / race->agents_per_cta;
  uint64_t x = cta % race->grid[0], y = cta / race->grid[0] % race->grid[1];
  uint64_t z = cta / race->grid[0] / race->grid[1];
  if (local >= 2 * race->warps) {
    snprintf(out, size, "the async proxy for CTA (%llu,%llu,%llu)", (unsigned long long)x,
             (unsigned long long)y, (unsigned long long)z);
    return;
  }
  snprintf(out, size, "%swarp %u of CTA (%llu,%llu,%llu)",
           local >= race->warps ? "cp.async of " : "", local % race->warps, (unsigned long long)x,
           (unsigned long long)y, (unsigned long long)z);
}

static void missing_edge(const sim_race_agent *agent, uint64_t earlier, bool now_async, char *out,
                         size_t size) {
  const sim_race *race = agent->cta->race;
  uint32_t local = epoch_agent(earlier) - agent->cta->first_agent;
  if (local >= race->agents_per_cta)
    snprintf(out, size,
             "CTAs of one launch are ordered by release and acquire only, and no such "
             "pair lies between");
  else if (local >= 2 * race->warps)
    snprintf(out, size, "the asynchronous operation has not been waited for");
  else if (local == race->warps + agent->index)
    snprintf(out, size, "the warp has not executed cp.async.wait_group for that copy");
  else if (local >= race->warps)
    snprintf(out, size, "no cp.async.wait_group by warp %u and barrier after it lie between",
             local - race->warps);
  else if (now_async && local == agent->index)
    snprintf(out, size, "nothing orders them");
  else
    snprintf(out, size, "no barrier or release/acquire pair lies between");
}

static bool is_bulk(sim_race_kind kind) {
  return kind == SIM_RACE_BULK_READ || kind == SIM_RACE_BULK_WRITE;
}

// The async proxy would not see an ordered write of the generic proxy.
static bool report_proxy(const sim_race_agent *agent, const sim_region *region, uint64_t offset,
                         uint64_t earlier, sim_race_kind kind, uint32_t line, sim_fault *fault) {
  char name[80];
  name_agent(agent->cta->race, epoch_agent(earlier), name, sizeof name);
  fault->verdict = SIM_PROXY_RACE;
  fault->lane = -1;
  fault->address = region->base + offset;
  fault->line = line;
  fault->earlier = epoch_line(earlier);
  snprintf(fault->text, sizeof fault->text,
           "no fence.proxy.async lies between the write of '%s' + 0x%llx at PTX line %u by %s and "
           "the %s by the async proxy at PTX line %u",
           region->name, (unsigned long long)offset, epoch_line(earlier), name,
           kind == SIM_RACE_BULK_READ ? "read" : "write", line);
  return false;
}

static bool report(const sim_race_agent *agent, const sim_region *region, uint64_t offset,
                   uint32_t bytes, int lane, uint64_t earlier, bool earlier_writes,
                   sim_race_kind kind, uint32_t line, sim_fault *fault) {
  static const char *const words[] = {"read", "write", "strong read", "strong write", "atomic",
                                      "read", "write", "read",        "write"};
  const sim_race *race = agent->cta->race;
  bool now_async = kind == SIM_RACE_ASYNC_READ || kind == SIM_RACE_ASYNC_WRITE;
  bool now_bulk = is_bulk(kind);
  char then_name[80], now_name[80], edge[160];
  name_agent(race, epoch_agent(earlier), then_name, sizeof then_name);
  name_agent(race,
             agent->cta->first_agent + (now_bulk ? 2 * race->warps : agent->index) +
                 (now_async ? race->warps : 0),
             now_name, sizeof now_name);
  missing_edge(agent, earlier, now_async, edge, sizeof edge);
  fault->verdict = SIM_RACE;
  fault->lane = lane;
  fault->address = region->base + offset;
  fault->line = line;
  fault->earlier = epoch_line(earlier);
  snprintf(fault->text, sizeof fault->text,
           "race on '%s' + 0x%llx (%u bytes): %s at PTX line %u%s by %s, and %s at PTX line %u by "
           "%s, lane %d: %s",
           region->name, (unsigned long long)offset, bytes,
           earlier_writes ? (earlier & STRONG_BIT ? "atomic or strong write" : "write")
                          : (earlier & STRONG_BIT ? "strong read" : "read"),
           epoch_line(earlier), epoch_line(earlier) == LINE_MAX_VALUE ? " or later" : "", then_name,
           words[kind], line, now_name, lane, edge);
  return false;
}

// --- accesses -----------------------------------------------------------------------------------
// The first epoch of `word` that races with e (same bytes, not both strong, unknown), or 0.
static uint64_t conflict(const sim_race_agent *agent, uint64_t word, uint64_t e) {
  epochs old;
  open_epochs(agent->cta->race, word, &old);
  for (uint32_t i = 0; i < old.count; i++) {
    uint64_t x = old.data[i];
    if ((x & e & BYTES_MASK) && !(x & e & STRONG_BIT) && !known(agent, x) &&
        !((x ^ e) >> CLOCK_SHIFT == 0 && is_bulk_epoch(agent->cta->race, e)))
      return x;
  }
  return 0;
}

// The first write of `word` that an access e of the async proxy would miss, or 0.
static uint64_t unseen(const sim_race_agent *agent, uint64_t word, uint64_t e, bool global) {
  epochs old;
  open_epochs(agent->cta->race, word, &old);
  for (uint32_t i = 0; i < old.count; i++)
    if ((old.data[i] & e & BYTES_MASK) && hidden_from_async(agent, old.data[i], global))
      return old.data[i];
  return 0;
}

typedef struct access_run {
  sim_race_agent *agent;
  sim_region *region;
  uint32_t bytes, line; // per lane
  sim_race_kind kind;
  sim_fault *fault;
  uint64_t epoch;
  // What the last distinct cell contents became: neighbours usually look alike.
  uint64_t write_from, write_to, read_from, read_to;
} access_run;

static bool is_read(sim_race_kind kind) {
  return kind == SIM_RACE_READ || kind == SIM_RACE_STRONG_READ || kind == SIM_RACE_ASYNC_READ ||
         kind == SIM_RACE_BULK_READ;
}

// Checks the contents of a cell that differ from the last ones and works out what they become.
static __attribute__((noinline)) bool enter_cell(access_run *a, const sim_race_cell *cell,
                                                 uint64_t offset, int lane) {
  sim_race *race = a->agent->cta->race;
  uint64_t e = a->epoch, x;
  bool whole = (e & BYTES_MASK) == BYTES_MASK, reads = is_read(a->kind);
  if (cell->write != a->write_from) {
    x = conflict(a->agent, cell->write, e);
    if (x)
      return report(a->agent, a->region, offset, a->bytes, lane, x, true, a->kind, a->line,
                    a->fault);
    x = is_bulk(a->kind) ? unseen(a->agent, cell->write, e, a->region->space == SIM_SPACE_GLOBAL)
                         : 0;
    if (x)
      return report_proxy(a->agent, a->region, offset, x, a->kind, a->line, a->fault);
    a->write_from = cell->write;
    a->write_to = reads ? cell->write : whole ? e : without_bytes(race, cell->write, e, true);
  }
  if (cell->read != a->read_from) {
    x = reads ? 0 : conflict(a->agent, cell->read, e);
    if (x)
      return report(a->agent, a->region, offset, a->bytes, lane, x, false, a->kind, a->line,
                    a->fault);
    a->read_from = cell->read;
    a->read_to = reads   ? memo_reader(a->agent, cell->read, e)
                 : whole ? 0
                         : without_bytes(race, cell->read, e, false);
  }
  return true;
}

// `count` adjacent cells from `offset` on; `lane` is the first one's.
SIM_INLINE bool run_cells(access_run *a, uint64_t offset, uint32_t count, int lane) {
  sim_race_cell *cell = a->region->shadow + (offset >> 2);
  uint64_t differ = 0, write = cell->write, read = cell->read;
  if ((write != a->write_from || read != a->read_from) && !enter_cell(a, cell, offset, lane))
    return false;
  if (count >= 4 && count % 4 == 0) {
    for (uint32_t i = 0; i < count; i += 4)
      for (uint32_t j = i; j < i + 4; j++)
        differ |= (cell[j].write ^ write) | (cell[j].read ^ read);
    if (!differ) {
      sim_race_cell to = {a->write_to, a->read_to};
      for (uint32_t i = 0; i < count; i += 4)
        for (uint32_t j = i; j < i + 4; j++)
          cell[j] = to;
      return true;
    }
  }
  for (uint32_t i = 0; i < count; i++, cell++) {
    if ((cell->write != a->write_from || cell->read != a->read_from) &&
        !enter_cell(a, cell, offset + 4 * i, lane + (int)(4 * i / a->bytes)))
      return false;
    *cell = (sim_race_cell){a->write_to, a->read_to};
  }
  return true;
}

SIM_CLONES static bool run_lanes(access_run *a, const uint64_t *offset, uint32_t mask) {
  uint32_t cells = a->bytes < 4 ? 1 : a->bytes / 4;
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    if (!run_cells(a, offset[lane], cells, lane))
      return false;
  }
  return true;
}

SIM_CLONES static bool run_block(access_run *a, uint64_t offset, uint32_t bytes) {
  return run_cells(a, offset, bytes / 4, 0);
}

static bool run(access_run *a, const uint64_t *offset, uint32_t mask, uint64_t epoch) {
  a->epoch = epoch;
  a->write_from = a->read_from = 0; // an untouched cell: nothing to check
  a->write_to = is_read(a->kind) ? 0 : epoch;
  a->read_to = is_read(a->kind) ? epoch : 0;
  return mask ? run_lanes(a, offset, mask) : run_block(a, offset[0], a->bytes * SIM_LANES);
}

// All lanes one after the other, covering whole cells.
static bool adjacent(const uint64_t offset[SIM_LANES], uint32_t mask, uint32_t bytes) {
  uint64_t differ = offset[0] & 3;
  if (mask != UINT32_MAX)
    return false;
  for (int lane = 0; lane < SIM_LANES; lane++)
    differ |= offset[lane] ^ (offset[0] + (uint64_t)lane * bytes);
  return !differ;
}

bool sim_race_access(sim_race_agent *agent, sim_region *region, const uint64_t offset[SIM_LANES],
                     uint32_t mask, uint32_t bytes, sim_race_kind kind, uint32_t line,
                     sim_fault *fault) {
  sim_race *race = agent->cta->race;
  if (bytes != 2 && bytes & 3 && bytes != 1) { // a cp.async source of odd length
    uint64_t at[SIM_LANES];
    for (uint32_t done = 0; done < bytes; done += bytes - done < 4 ? 1 : 4) {
      for (int lane = 0; lane < SIM_LANES; lane++)
        at[lane] = offset[lane] + done;
      if (!sim_race_access(agent, region, at, mask, bytes - done < 4 ? 1 : 4, kind, line, fault))
        return false;
    }
    return true;
  }
  need_shadow(race, region);
  if (race->set_count >= MAX_SETS)
    collect_sets(race);
  if (sim_race_must_check_before(agent, region))
    for (uint32_t m = mask; m; m &= m - 1) {
      int lane = __builtin_ctz(m);
      if (!sim_race_check_before(agent, region, offset[lane], bytes, lane, !is_read(kind), line,
                                 fault))
        return false;
    }
  bool async = kind == SIM_RACE_ASYNC_READ || kind == SIM_RACE_ASYNC_WRITE;
  bool strong =
      kind == SIM_RACE_STRONG_READ || kind == SIM_RACE_STRONG_WRITE || kind == SIM_RACE_ATOMIC;
  uint32_t id = agent->cta->first_agent + agent->index + (async ? race->warps : 0);
  uint64_t e = (uint64_t)id << AGENT_SHIFT |
               (uint64_t)(async ? agent->async_clock : agent->clock[agent->index]) << CLOCK_SHIFT |
               (uint64_t)(line < LINE_MAX_VALUE ? line : LINE_MAX_VALUE) << LINE_SHIFT |
               (strong ? STRONG_BIT : 0);
  access_run a = {
      .agent = agent, .region = region, .bytes = bytes, .line = line, .kind = kind, .fault = fault};
  if (adjacent(offset, mask, bytes))
    return run(&a, offset, 0, e | BYTES_MASK);
  if (bytes >= 4)
    return run(&a, offset, mask, e | BYTES_MASK);
  // Narrow accesses: lanes that touch the same bytes of their cells go together.
  for (uint32_t first = 0; first < 4; first += bytes) {
    uint32_t lanes = 0;
    for (uint32_t m = mask; m; m &= m - 1) {
      int lane = __builtin_ctz(m);
      lanes |= (uint32_t)((offset[lane] & 3) / bytes == first / bytes) << lane;
    }
    uint64_t touched = ((UINT64_C(1) << bytes) - 1) << first & BYTES_MASK;
    if (lanes && !run(&a, offset, lanes, e | touched))
      return false;
  }
  return true;
}

static bool run_range(sim_race_agent *issuer, uint64_t token, sim_region *region, uint64_t offset,
                      uint64_t bytes, sim_race_kind kind, uint32_t line, sim_fault *fault) {
  bool writes = !is_read(kind);
  sim_race *race = issuer->cta->race;
  if (!bytes)
    return true;
  need_shadow(race, region);
  if (race->set_count >= MAX_SETS)
    collect_sets(race);
  if (sim_race_must_check_before(issuer, region) &&
      !sim_race_check_before(issuer, region, offset, bytes, -1, writes, line, fault))
    return false;
  access_run a = {
      .agent = issuer, .region = region, .bytes = 4, .line = line, .kind = kind, .fault = fault};
  uint64_t e = token | (kind == SIM_RACE_ATOMIC ? STRONG_BIT : 0) |
               (uint64_t)(line < LINE_MAX_VALUE ? line : LINE_MAX_VALUE) << LINE_SHIFT;
  uint64_t at = offset, end = offset + bytes;
  bool ok = true;
  while (ok && at < end) { // whole cells at once, the odd bytes at either end alone
    uint32_t first = (uint32_t)(at & 3);
    uint64_t next = (at & ~UINT64_C(3)) + 4;
    if (first || end - at < 4) {
      uint32_t n = (uint32_t)((end < next ? end : next) - at);
      a.epoch = e | (((UINT64_C(1) << n) - 1) << first & BYTES_MASK);
      next = at + n;
    } else {
      a.epoch = e | BYTES_MASK;
      next = end & ~UINT64_C(3);
    }
    a.write_from = a.read_from = 0;
    a.write_to = writes ? a.epoch : 0;
    a.read_to = writes ? 0 : a.epoch;
    ok = run_block(&a, at, (uint32_t)(next - at < 4 ? 4 : next - at));
    at = next;
  }
  if (!ok)
    fault->lane = -1;
  return ok;
}

bool sim_race_bulk_access(sim_race_agent *issuer, uint64_t token, sim_region *region,
                          uint64_t offset, uint64_t bytes, bool writes, uint32_t line,
                          sim_fault *fault) {
  return run_range(issuer, token, region, offset, bytes,
                   writes ? SIM_RACE_BULK_WRITE : SIM_RACE_BULK_READ, line, fault);
}

bool sim_race_async_store(sim_race_agent *issuer, uint64_t token, sim_region *region,
                          uint64_t offset, uint64_t bytes, bool atomic, uint32_t line,
                          sim_fault *fault) {
  return run_range(issuer, token, region, offset, bytes, atomic ? SIM_RACE_ATOMIC : SIM_RACE_WRITE,
                   line, fault);
}
