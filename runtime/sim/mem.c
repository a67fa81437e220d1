// Whole-warp memory accesses over regions (see mem.h).
//
// The usual access has all lanes (or the first 8 or 16) in one region: one vectorised pass over the
// addresses finds alignment, bounds, the range touched and whether lanes are adjacent, and the data
// then moves in blocks. Everything else (partial masks, lanes in several regions, faults to be
// named) goes lane by lane: the lanes that share the region of the first one, then the others.
#include "runtime/sim/mem.h"
#include "runtime/sim/mma_tile.h"
#include "runtime/sim/race.h"
#include <stdio.h>
#include <string.h>

// --- faults -------------------------------------------------------------------------------------
typedef enum verb { V_LOAD, V_STORE, V_ATOMIC, V_COPY_FROM, V_COPY_TO } verb;
static const char *const verb_words[] = {"load", "store", "atomic operation", "asynchronous read",
                                         "asynchronous write"};

static bool fault(sim_mem_view *view, sim_verdict verdict, int lane, uint64_t address, verb what,
                  uint32_t bytes, const char *why) {
  sim_fault *f = view->fault;
  f->verdict = verdict;
  f->lane = lane;
  f->address = address;
  f->line = view->line;
  f->earlier = 0;
  snprintf(f->text, sizeof f->text, "%s of %u bytes at 0x%llx, lane %d: %s", verb_words[what],
           bytes, (unsigned long long)address, lane, why);
  return false;
}

static const char *space_name(sim_space space) {
  static const char *const names[] = {"generic",   "global",   "shared",         "local",
                                      "parameter", "constant", "shared::cluster"};
  return names[space];
}

// Why an address hits nothing, by the region next to it.
static bool fault_outside(sim_mem_view *view, sim_space space, const sim_region *near, int lane,
                          uint64_t address, uint64_t in_space, verb what, uint32_t bytes) {
  char why[400];
  if (space == SIM_SPACE_GLOBAL && in_space < 4096) {
    snprintf(why, sizeof why, "null pointer");
  } else if (!near && space == SIM_SPACE_CLUSTER && sim_cluster_rank_bits(in_space)) {
    uint32_t rank = sim_cluster_rank_bits(in_space) - 1;
    if (rank < view->npeers)
      snprintf(why, sizeof why, "CTA %u of the cluster has exited", rank);
    else
      snprintf(why, sizeof why, "the cluster has no CTA %u", rank);
  } else if (!near) {
    snprintf(why, sizeof why, "the address lies in no allocation of %s memory", space_name(space));
  } else {
    uint64_t size = space == SIM_SPACE_LOCAL ? view->local_stride : near->bytes;
    if (space == SIM_SPACE_CLUSTER)
      in_space &= 0xFFFFFF;
    uint64_t offset = in_space - near->base;
    if (near->freed)
      snprintf(why, sizeof why, "'%s' + 0x%llx was freed", near->name, (unsigned long long)offset);
    else if (in_space < near->base)
      snprintf(why, sizeof why, "%llu bytes before '%s' (%llu bytes at 0x%llx)",
               (unsigned long long)(near->base - in_space), near->name, (unsigned long long)size,
               (unsigned long long)near->base);
    else if (offset >= size)
      snprintf(why, sizeof why, "%llu bytes past the end of '%s' (%llu bytes at 0x%llx)",
               (unsigned long long)(offset - size), near->name, (unsigned long long)size,
               (unsigned long long)near->base);
    else
      snprintf(why, sizeof why,
               "'%s' + 0x%llx: the access runs %llu bytes over the end (%llu bytes)", near->name,
               (unsigned long long)offset, (unsigned long long)(offset + bytes - size),
               (unsigned long long)size);
  }
  return fault(view, SIM_BAD_ADDRESS, lane, address, what, bytes, why);
}

static bool fault_uninit(sim_mem_view *view, const sim_region *region, int lane, uint64_t address,
                         uint64_t offset, uint32_t bytes, verb what) {
  uint32_t at = 0;
  while (at < bytes && (region->init[(offset + at) >> 3] >> ((offset + at) & 7) & 1))
    at++;
  char why[300];
  snprintf(why, sizeof why, "'%s' + 0x%llx has never been written (byte %u of the access)",
           region->name, (unsigned long long)(offset + at), at);
  return fault(view, SIM_UNINIT_READ, lane, address, what, bytes, why);
}

// --- resolving lanes ----------------------------------------------------------------------------
// One warp access while it is being done: the lanes that fall into one region.
typedef struct group {
  sim_region *region;
  uint32_t mask;
  uint64_t offset[SIM_LANES]; // host offsets; meaningful for lanes of mask
  // From the vectorised pass; `block` false: unknown.
  bool block;      // lanes 0 .. lanes-1, a multiple of 8
  bool contiguous; // offset[i] == offset[0] + i * bytes
  int lanes;
  uint64_t lo, hi; // smallest and largest offset
} group;

static sim_region *region_of_space(sim_mem_view *view, sim_space space, uint64_t address) {
  switch (space) {
  case SIM_SPACE_SHARED:
    return view->shared;
  case SIM_SPACE_CLUSTER: {
    uint32_t rank = sim_cluster_rank_bits(address);
    return !rank ? view->shared : rank <= view->npeers ? view->peers[rank - 1] : NULL;
  }
  case SIM_SPACE_LOCAL:
    return view->local;
  case SIM_SPACE_PARAM:
    return view->param;
  case SIM_SPACE_CONST:
    return view->constant;
  default:
    break;
  }
  sim_region *last = view->last_global;
  if (last && !last->freed && address - last->base < last->bytes)
    return last;
  sim_region *found = sim_mem_below(view->global, address);
  if (found)
    view->last_global = found;
  return found;
}

typedef struct scan {
  uint64_t low_bits, lo, hi, differ;
} scan;

// One pass over n addresses, n a multiple of 8.
SIM_CLONES static void scan_lanes(const uint64_t *addr, int n, uint64_t base, uint64_t step,
                                  uint64_t *offset, scan *out) {
  uint64_t low = 0, lo = UINT64_MAX, hi = 0, differ = 0, first = addr[0] - base;
  for (int i = 0; i < n; i += 8)
    for (int j = i; j < i + 8; j++) {
      uint64_t at = addr[j] - base;
      offset[j] = at;
      low |= addr[j];
      lo = at < lo ? at : lo;
      hi = at > hi ? at : hi;
      differ |= at ^ (first + (uint64_t)j * step);
    }
  *out = (scan){low, lo, hi, differ};
}

// The usual case: the first 8, 16, 24 or 32 lanes, aligned, inside one region.
static bool take_block(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                       uint32_t mask, uint32_t bytes, group *out) {
  int lanes = mask == UINT32_MAX ? 32 : __builtin_ctz(~mask);
  if ((mask & (mask + 1)) || (lanes & 7) || !lanes)
    return false;
  uint64_t address = addr[0], window = 0;
  if (space == SIM_SPACE_GENERIC) {
    space = sim_space_of_generic(&address);
    window = sim_window_of(space);
    if (space == SIM_SPACE_SHARED && sim_cluster_rank_bits(address))
      return false;
  }
  if (space == SIM_SPACE_LOCAL || space == SIM_SPACE_CLUSTER)
    return false;
  sim_region *region = region_of_space(view, space, address);
  if (!region || region->freed || region->bytes < bytes)
    return false;
  scan s;
  scan_lanes(addr, lanes, region->base + window, bytes, out->offset, &s);
  if (s.hi > region->bytes - bytes || (s.low_bits & (bytes - 1)))
    return false;
  out->region = region;
  out->mask = mask;
  out->block = true;
  out->contiguous = !s.differ;
  out->lanes = lanes;
  out->lo = s.lo;
  out->hi = s.hi;
  return true;
}

// Takes the lanes of `mask` that lie in the region of the first one. Reports that lane when it lies
// nowhere; with bounds checks off such lanes are dropped from *mask and the group may be empty.
static bool take_group(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                       uint32_t *mask, uint32_t bytes, verb what, group *out) {
  int first = __builtin_ctz(*mask);
  uint64_t address = addr[first], window = 0;
  sim_space real = space;
  if (space == SIM_SPACE_GENERIC) {
    real = sim_space_of_generic(&address);
    window = sim_window_of(real);
    if (real == SIM_SPACE_SHARED)
      real = SIM_SPACE_CLUSTER;
  }
  if (real == SIM_SPACE_CLUSTER)
    window += (uint64_t)sim_cluster_rank_bits(address) << 24;
  sim_region *region = region_of_space(view, real, address);
  uint64_t base = region ? region->base + window : 0, size = region ? region->bytes : 0;
  uint32_t inside = 0;
  if (real == SIM_SPACE_LOCAL) {
    size = view->local_stride;
    for (int lane = 0; lane < SIM_LANES; lane++) {
      uint64_t offset = addr[lane] - base;
      inside |= (uint32_t)(offset + bytes <= size && offset < size) << lane;
      out->offset[lane] = offset + (uint64_t)lane * view->local_stride;
    }
  } else if (region && !region->freed && size >= bytes) {
    uint64_t limit = size - bytes;
    for (int lane = 0; lane < SIM_LANES; lane++) {
      out->offset[lane] = addr[lane] - base;
      inside |= (uint32_t)(addr[lane] - base <= limit) << lane;
    }
  }
  out->region = region;
  out->block = out->contiguous = false;
  out->mask = inside & *mask;
  if (!(inside >> first & 1)) {
    if (view->check_bounds)
      return fault_outside(view, real, region, first, addr[first], address, what, bytes);
    out->mask = 0;
    *mask &= ~(UINT32_C(1) << first);
    return true;
  }
  *mask &= ~out->mask;
  return true;
}

static bool check_alignment(sim_mem_view *view, const uint64_t addr[SIM_LANES], uint32_t mask,
                            uint32_t bytes, verb what) {
  uint64_t low = 0;
  for (int lane = 0; lane < SIM_LANES; lane++)
    low |= addr[lane] & -(uint64_t)(mask >> lane & 1);
  if (!(low & (bytes - 1)))
    return true;
  int lane = 0;
  while (!(mask >> lane & 1) || !(addr[lane] & (bytes - 1)))
    lane++;
  char why[80];
  snprintf(why, sizeof why, "the address is not a multiple of %u", bytes);
  return fault(view, SIM_MISALIGNED, lane, addr[lane], what, bytes, why);
}

bool sim_mem_check_alignment(sim_mem_view *view, const uint64_t addr[SIM_LANES], uint32_t mask,
                             uint32_t bytes, bool is_store) {
  return check_alignment(view, addr, mask, bytes, is_store ? V_STORE : V_LOAD);
}

// --- init bits ----------------------------------------------------------------------------------
static inline uint32_t init_word(const sim_region *region, uint64_t offset) {
  uint32_t word;
  memcpy(&word, region->init + (offset >> 3), 4);
  return word >> (offset & 7);
}

// Whether every byte of [lo, hi) has been written.
static bool range_init(const sim_region *region, uint64_t lo, uint64_t hi) {
  const uint8_t *bits = region->init;
  uint64_t at = lo >> 3, end = hi >> 3, word;
  uint32_t missing = 0;
  if (at == end)
    return ((bits[at] >> (lo & 7)) & ((1u << (hi - lo)) - 1)) + 1 == 1u << (hi - lo);
  if (lo & 7)
    missing |= (uint32_t)(~bits[at++] & 0xFF) >> (lo & 7);
  for (; at + 8 <= end; at += 8) {
    memcpy(&word, bits + at, 8);
    missing |= ~word != 0;
  }
  for (; at < end; at++)
    missing |= bits[at] != 0xFF;
  if (hi & 7)
    missing |= ~(uint32_t)bits[end] & ((1u << (hi & 7)) - 1);
  return !missing;
}

static bool check_init(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                       uint32_t bytes, verb what) {
  if (!view->check_uninit || g->region->all_init)
    return true;
  if (g->block && g->hi - g->lo <= 4096 && range_init(g->region, g->lo, g->hi + bytes))
    return true;
  uint32_t want = bytes >= 32 ? UINT32_MAX : (UINT32_C(1) << bytes) - 1, missing = 0;
  for (uint32_t m = g->mask; m; m &= m - 1)
    missing |= want & ~init_word(g->region, g->offset[__builtin_ctz(m)]);
  if (!missing)
    return true;
  for (uint32_t m = g->mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    if (want & ~init_word(g->region, g->offset[lane]))
      return fault_uninit(view, g->region, lane, addr[lane], g->offset[lane], bytes, what);
  }
  return true;
}

static inline void set_init(sim_region *region, uint64_t offset, uint32_t bytes) {
  uint8_t *at = region->init + (offset >> 3);
  if (bytes < 8)
    *at |= (uint8_t)(((1u << bytes) - 1) << (offset & 7));
  else
    memset(at, 0xFF, bytes >> 3);
}

static void set_init_lanes(const group *g, uint32_t bytes) {
  if (g->region->all_init)
    return;
  if (g->contiguous && bytes * (uint32_t)g->lanes >= 8 && !(g->lo & 7)) {
    memset(g->region->init + (g->lo >> 3), 0xFF, bytes * (uint32_t)g->lanes >> 3);
    return;
  }
  for (uint32_t m = g->mask; m; m &= m - 1)
    set_init(g->region, g->offset[__builtin_ctz(m)], bytes);
}

// --- races --------------------------------------------------------------------------------------
static bool tracked(const sim_mem_view *view, const sim_region *region) {
  return view->agent && (region->space == SIM_SPACE_SHARED || region->space == SIM_SPACE_GLOBAL);
}

static bool track(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                  uint32_t bytes, sim_race_kind kind) {
  if (!g->mask || !tracked(view, g->region))
    return true;
  if (sim_race_access(view->agent, g->region, g->offset, g->mask, bytes, kind, view->line,
                      view->fault))
    return true;
  if (view->fault->lane >= 0)
    view->fault->address = addr[view->fault->lane];
  return false;
}

static void track_strong(sim_mem_view *view, const group *g, bool reads, bool writes,
                         sim_access access) {
  if (!access.sem || !tracked(view, g->region))
    return;
  for (uint32_t m = g->mask; m; m &= m - 1)
    sim_race_strong(view->agent, g->region, g->offset[__builtin_ctz(m)], reads, writes, access);
}

// --- mbarriers ----------------------------------------------------------------------------------
// Plain accesses to an mbarrier are mistakes: its bytes are opaque.
static bool check_typed(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                        uint32_t bytes, verb what) {
  if (g->block && !sim_region_is_typed(g->region, g->lo, g->hi + bytes))
    return true;
  for (uint32_t m = g->mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    if (!sim_region_is_typed(g->region, g->offset[lane], g->offset[lane] + bytes))
      continue;
    char why[160];
    snprintf(why, sizeof why, "'%s' + 0x%llx belongs to a live mbarrier", g->region->name,
             (unsigned long long)g->offset[lane]);
    return fault(view, SIM_MBAR_MISUSE, lane, addr[lane], what, bytes, why);
  }
  return true;
}

// --- loads --------------------------------------------------------------------------------------
typedef uint32_t quad __attribute__((vector_size(16)));

// Four rows of four words to four columns.
static inline void transpose(quad *r0, quad *r1, quad *r2, quad *r3) {
  quad a = __builtin_shufflevector(*r0, *r1, 0, 4, 1, 5),
       b = __builtin_shufflevector(*r0, *r1, 2, 6, 3, 7);
  quad c = __builtin_shufflevector(*r2, *r3, 0, 4, 1, 5),
       d = __builtin_shufflevector(*r2, *r3, 2, 6, 3, 7);
  *r0 = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  *r1 = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  *r2 = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  *r3 = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

// Four words of each lane of a block.
static void gather_quads(const group *g, uint32_t *const planes[]) {
  const uint8_t *data = g->region->data;
  for (int lane = 0; lane < g->lanes; lane += 4) {
    quad row[4];
    for (int i = 0; i < 4; i++)
      memcpy(&row[i], data + g->offset[lane + i], 16);
    transpose(&row[0], &row[1], &row[2], &row[3]);
    for (int i = 0; i < 4; i++)
      memcpy(planes[i] + lane, &row[i], 16);
  }
}

static void scatter_quads(const group *g, const uint32_t *const planes[]) {
  uint8_t *data = g->region->data;
  for (int lane = 0; lane < g->lanes; lane += 4) {
    quad row[4];
    for (int i = 0; i < 4; i++)
      memcpy(&row[i], planes[i] + lane, 16);
    transpose(&row[0], &row[1], &row[2], &row[3]);
    for (int i = 0; i < 4; i++)
      memcpy(data + g->offset[lane + i], &row[i], 16);
  }
}

// Lanes' elements of 4-byte words into planes: word p of lane l lies at data + offset[l] + 4p.
static void gather_words(const group *g, uint32_t words, uint32_t *const planes[]) {
  const uint8_t *data = g->region->data;
  if (words == 1 && g->contiguous && planes[0]) {
    memcpy(planes[0], data + g->lo, 4 * (size_t)g->lanes);
    return;
  }
  if (words == 4 && g->block && planes[0] && planes[1] && planes[2] && planes[3]) {
    gather_quads(g, planes);
    return;
  }
  for (uint32_t p = 0; p < words; p++) {
    uint32_t *plane = planes[p];
    if (!plane)
      continue;
    if (g->block)
      for (int lane = 0; lane < g->lanes; lane++)
        memcpy(&plane[lane], data + g->offset[lane] + 4 * p, 4);
    else
      for (uint32_t m = g->mask; m; m &= m - 1) {
        int lane = __builtin_ctz(m);
        memcpy(&plane[lane], data + g->offset[lane] + 4 * p, 4);
      }
  }
}

static void gather_small(const group *g, sim_access access, uint32_t *const planes[]) {
  const uint8_t *data = g->region->data;
  for (uint32_t e = 0; e < access.elems; e++) {
    if (!planes[e])
      continue;
    for (uint32_t m = g->mask; m; m &= m - 1) {
      int lane = __builtin_ctz(m);
      const uint8_t *at = data + g->offset[lane] + e * access.elem_bytes;
      planes[e][lane] = access.elem_bytes == 1 ? at[0] : (uint32_t)(at[0] | at[1] << 8);
    }
  }
}

static void clear_lanes(uint32_t lanes, sim_access access, uint32_t *const planes[]) {
  uint32_t count = access.elem_bytes < 4 ? access.elems : access.elems * access.elem_bytes / 4u;
  for (uint32_t p = 0; p < count; p++)
    for (uint32_t m = lanes; m && planes[p]; m &= m - 1)
      planes[p][__builtin_ctz(m)] = 0;
}

static void count_access(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                         uint32_t bytes, bool is_load) {
  uint64_t total = (uint64_t)__builtin_popcount(g->mask) * bytes;
  if (g->region->space == SIM_SPACE_SHARED) {
    view->bank_conflicts += sim_bank_conflicts(addr, g->mask, bytes);
    *(is_load ? &view->shared_load_bytes : &view->shared_store_bytes) += total;
  } else if (g->region->space == SIM_SPACE_GLOBAL) {
    *(is_load ? &view->global_load_bytes : &view->global_store_bytes) += total;
  }
}

static bool load_group(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                       sim_access access, uint32_t bytes, uint32_t *const planes[]) {
  if (g->region->typed_hi && !check_typed(view, g, addr, bytes, V_LOAD))
    return false;
  // Races first: where another agent's write has not landed, the missing edge is the better report.
  if (!track(view, g, addr, bytes, access.sem ? SIM_RACE_STRONG_READ : SIM_RACE_READ) ||
      !check_init(view, g, addr, bytes, V_LOAD))
    return false;
  if (access.elem_bytes >= 4)
    gather_words(g, bytes / 4, planes);
  else
    gather_small(g, access, planes);
  if (access.sem)
    track_strong(view, g, true, false, access);
  if (view->count_stats)
    count_access(view, g, addr, bytes, true);
  return true;
}

bool sim_mem_load(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                  uint32_t mask, sim_access access, uint32_t *const planes[]) {
  uint32_t bytes = (uint32_t)access.elem_bytes * access.elems;
  group g;
  if (!mask)
    return true;
  if (take_block(view, space, addr, mask, bytes, &g))
    return load_group(view, &g, addr, access, bytes, planes);
  if (bytes > 1 && !check_alignment(view, addr, mask, bytes, V_LOAD))
    return false;
  if (!view->check_bounds)
    clear_lanes(mask, access, planes);
  while (mask) {
    if (!take_group(view, space, addr, &mask, bytes, V_LOAD, &g))
      return false;
    if (g.mask && !load_group(view, &g, addr, access, bytes, planes))
      return false;
  }
  return true;
}

// Rows of 16 bytes, for ldmatrix: bytes of lane i's row to rows[i].
bool sim_mem_load_rows(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                       uint32_t mask, uint32_t rows[SIM_LANES][4]) {
  group g;
  if (!take_block(view, space, addr, mask, 16, &g)) {
    uint32_t words[4][SIM_LANES];
    uint32_t *const planes[4] = {words[0], words[1], words[2], words[3]};
    if (!sim_mem_load(view, space, addr, mask, (sim_access){4, 4, 0, 0}, planes))
      return false;
    for (uint32_t m = mask; m; m &= m - 1)
      for (int w = 0; w < 4; w++)
        rows[__builtin_ctz(m)][w] = words[w][__builtin_ctz(m)];
    return true;
  }
  if (!track(view, &g, addr, 16, SIM_RACE_READ) || !check_init(view, &g, addr, 16, V_LOAD))
    return false;
  for (int lane = 0; lane < g.lanes; lane++)
    memcpy(rows[lane], g.region->data + g.offset[lane], 16);
  if (view->count_stats)
    count_access(view, &g, addr, 16, true);
  return true;
}

// --- stores -------------------------------------------------------------------------------------
static bool same_value(int lane, int other, sim_access access, const uint32_t *const planes[]) {
  uint32_t count = access.elem_bytes < 4 ? access.elems : access.elems * access.elem_bytes / 4u;
  uint32_t keep = access.elem_bytes < 4 ? (UINT32_C(1) << 8 * access.elem_bytes) - 1 : UINT32_MAX;
  for (uint32_t p = 0; p < count; p++)
    if ((planes[p][lane] ^ planes[p][other]) & keep)
      return false;
  return true;
}

// Two lanes storing different values to one place. Accesses are aligned to their size, so lanes
// overlap only where their offsets are equal; a 1024-bit filter keeps the usual case linear.
static bool check_lane_overlap(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                               uint32_t bytes, sim_access access, const uint32_t *const planes[]) {
  if (g->contiguous)
    return true;
  uint64_t seen[16] = {0}, twice = 0;
  int shift = __builtin_ctz(bytes);
  for (uint32_t m = g->mask; m; m &= m - 1) {
    uint64_t slot = g->offset[__builtin_ctz(m)] >> shift;
    uint64_t bit = UINT64_C(1) << (slot & 63);
    twice |= seen[slot >> 6 & 15] & bit;
    seen[slot >> 6 & 15] |= bit;
  }
  if (!twice)
    return true;
  for (uint32_t m = g->mask; m; m &= m - 1)
    for (uint32_t n = m & (m - 1); n; n &= n - 1) {
      int lane = __builtin_ctz(m), other = __builtin_ctz(n);
      if (g->offset[lane] != g->offset[other] || same_value(lane, other, access, planes))
        continue;
      char why[200];
      snprintf(why, sizeof why,
               "lanes %d and %d of one instruction store different values to '%s' + 0x%llx", lane,
               other, g->region->name, (unsigned long long)g->offset[lane]);
      return fault(view, SIM_RACE, lane, addr[lane], V_STORE, bytes, why);
    }
  return true;
}

static void scatter_words(const group *g, uint32_t words, const uint32_t *const planes[]) {
  uint8_t *data = g->region->data;
  if (words == 1 && g->contiguous) {
    memcpy(data + g->lo, planes[0], 4 * (size_t)g->lanes);
    return;
  }
  if (words == 4 && g->block) {
    scatter_quads(g, planes);
    return;
  }
  for (uint32_t p = 0; p < words; p++)
    for (uint32_t m = g->mask; m; m &= m - 1) {
      int lane = __builtin_ctz(m);
      memcpy(data + g->offset[lane] + 4 * p, &planes[p][lane], 4);
    }
}

static void scatter_small(const group *g, sim_access access, const uint32_t *const planes[]) {
  uint8_t *data = g->region->data;
  for (uint32_t e = 0; e < access.elems; e++)
    for (uint32_t m = g->mask; m; m &= m - 1) {
      int lane = __builtin_ctz(m);
      uint8_t *at = data + g->offset[lane] + e * access.elem_bytes;
      at[0] = (uint8_t)planes[e][lane];
      if (access.elem_bytes == 2)
        at[1] = (uint8_t)(planes[e][lane] >> 8);
    }
}

static bool check_writable(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                           uint32_t bytes, verb what) {
  if (!g->region->read_only)
    return true;
  int lane = __builtin_ctz(g->mask);
  char why[120];
  snprintf(why, sizeof why, "%s memory is read-only", space_name(g->region->space));
  return fault(view, SIM_BAD_ADDRESS, lane, addr[lane], what, bytes, why);
}

static bool store_group(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                        sim_access access, uint32_t bytes, const uint32_t *const planes[]) {
  if (!check_writable(view, g, addr, bytes, V_STORE) ||
      (g->region->typed_hi && !check_typed(view, g, addr, bytes, V_STORE)))
    return false;
  if (tracked(view, g->region) &&
      (!check_lane_overlap(view, g, addr, bytes, access, planes) ||
       !track(view, g, addr, bytes, access.sem ? SIM_RACE_STRONG_WRITE : SIM_RACE_WRITE)))
    return false;
  if (access.elem_bytes >= 4)
    scatter_words(g, bytes / 4, planes);
  else
    scatter_small(g, access, planes);
  set_init_lanes(g, bytes);
  if (access.sem)
    track_strong(view, g, false, true, access);
  if (view->count_stats)
    count_access(view, g, addr, bytes, false);
  return true;
}

bool sim_mem_store(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                   uint32_t mask, sim_access access, const uint32_t *const planes[]) {
  uint32_t bytes = (uint32_t)access.elem_bytes * access.elems;
  group g;
  if (!mask)
    return true;
  if (take_block(view, space, addr, mask, bytes, &g))
    return store_group(view, &g, addr, access, bytes, planes);
  if (bytes > 1 && !check_alignment(view, addr, mask, bytes, V_STORE))
    return false;
  while (mask) {
    if (!take_group(view, space, addr, &mask, bytes, V_STORE, &g))
      return false;
    if (g.mask && !store_group(view, &g, addr, access, bytes, planes))
      return false;
  }
  return true;
}

// --- atomics ------------------------------------------------------------------------------------
bool sim_mem_atomic(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                    uint32_t mask, sim_access access, uint8_t *out_host[SIM_LANES],
                    uint32_t *out_shared) {
  uint32_t bytes = (uint32_t)access.elem_bytes * access.elems;
  static _Thread_local uint8_t dropped[32]; // where lanes outside work when bounds are not checked
  if (out_shared)
    *out_shared = 0;
  if (!mask)
    return true;
  if (bytes > 1 && !check_alignment(view, addr, mask, bytes, V_ATOMIC))
    return false;
  for (uint32_t m = mask; m; m &= m - 1)
    out_host[__builtin_ctz(m)] = dropped;
  while (mask) {
    group g;
    if (!take_group(view, space, addr, &mask, bytes, V_ATOMIC, &g))
      return false;
    if (!g.mask)
      continue;
    if (!check_writable(view, &g, addr, bytes, V_ATOMIC) ||
        (g.region->typed_hi && !check_typed(view, &g, addr, bytes, V_ATOMIC)) ||
        !track(view, &g, addr, bytes, SIM_RACE_ATOMIC) ||
        !check_init(view, &g, addr, bytes, V_ATOMIC))
      return false;
    for (uint32_t m = g.mask; m; m &= m - 1) {
      int lane = __builtin_ctz(m);
      out_host[lane] = g.region->data + g.offset[lane];
    }
    if (out_shared && g.region->space == SIM_SPACE_SHARED)
      *out_shared |= g.mask;
    access.sem |= SIM_SEM_STRONG;
    track_strong(view, &g, true, true, access);
    if (view->count_stats)
      count_access(view, &g, addr, bytes, false);
  }
  return true;
}

// --- cp.async -----------------------------------------------------------------------------------
static uint32_t source_size(const uint32_t *src_bytes, int lane, uint32_t bytes) {
  return src_bytes ? src_bytes[lane] : bytes;
}

// Lanes of the mask that copy exactly `size` bytes.
static uint32_t lanes_of_size(const uint32_t *src_bytes, uint32_t mask, uint32_t bytes,
                              uint32_t size) {
  uint32_t lanes = 0;
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    lanes |= (uint32_t)(source_size(src_bytes, lane, bytes) == size) << lane;
  }
  return lanes;
}

// Every lane copies all its bytes.
static bool whole_copies(const uint32_t *src_bytes, uint32_t bytes) {
  uint32_t differ = 0;
  for (int lane = 0; lane < SIM_LANES && src_bytes; lane++)
    differ |= src_bytes[lane] ^ bytes;
  return !differ;
}

// The block form of a copy: both sides usual, nothing zero-filled.
static bool take_copy(sim_mem_view *view, const uint64_t dst[SIM_LANES],
                      const uint64_t src[SIM_LANES], uint32_t mask, uint32_t bytes,
                      const uint32_t *src_bytes, group *to, group *from) {
  return mask == UINT32_MAX && whole_copies(src_bytes, bytes) &&
         take_block(view, SIM_SPACE_SHARED, dst, mask, bytes, to) &&
         take_block(view, SIM_SPACE_GLOBAL, src, mask, bytes, from);
}

static bool issue_to(sim_mem_view *view, const uint64_t dst[SIM_LANES], uint32_t mask,
                     uint32_t bytes) {
  if (!check_alignment(view, dst, mask, bytes, V_COPY_TO))
    return false;
  while (mask) {
    group g;
    if (!take_group(view, SIM_SPACE_SHARED, dst, &mask, bytes, V_COPY_TO, &g))
      return false;
    if (!track(view, &g, dst, bytes, SIM_RACE_ASYNC_WRITE))
      return false;
    if (view->count_stats && g.mask)
      count_access(view, &g, dst, bytes, false);
  }
  return true;
}

static bool issue_from(sim_mem_view *view, const uint64_t src[SIM_LANES], uint32_t mask,
                       uint32_t bytes, const uint32_t *src_bytes) {
  uint32_t rest = mask & ~(src_bytes ? lanes_of_size(src_bytes, mask, bytes, 0) : 0);
  if (!check_alignment(view, src, rest, bytes, V_COPY_FROM))
    return false;
  while (rest) {
    int first = __builtin_ctz(rest);
    uint32_t size = source_size(src_bytes, first, bytes);
    if (size > bytes)
      return fault(view, SIM_BAD_ADDRESS, first, src[first], V_COPY_FROM, bytes,
                   "src-size is larger than cp-size");
    uint32_t lanes = src_bytes ? lanes_of_size(src_bytes, rest, bytes, size) : rest;
    rest &= ~lanes;
    while (lanes) {
      group g;
      if (!take_group(view, SIM_SPACE_GLOBAL, src, &lanes, size, V_COPY_FROM, &g))
        return false;
      if (!track(view, &g, src, size, SIM_RACE_ASYNC_READ))
        return false;
      if (view->count_stats && g.mask)
        count_access(view, &g, src, size, true);
    }
  }
  return true;
}

bool sim_mem_copy_issue(sim_mem_view *view, const uint64_t dst[SIM_LANES],
                        const uint64_t src[SIM_LANES], uint32_t mask, uint32_t bytes,
                        const uint32_t *src_bytes) {
  group to, from;
  if (!mask)
    return true;
  if (!take_copy(view, dst, src, mask, bytes, src_bytes, &to, &from))
    return issue_to(view, dst, mask, bytes) && issue_from(view, src, mask, bytes, src_bytes);
  if (!track(view, &to, dst, bytes, SIM_RACE_ASYNC_WRITE) ||
      !track(view, &from, src, bytes, SIM_RACE_ASYNC_READ))
    return false;
  if (view->count_stats) {
    count_access(view, &to, dst, bytes, false);
    count_access(view, &from, src, bytes, true);
  }
  return true;
}

static void land_block(const group *to, const group *from, uint32_t bytes) {
  uint8_t *out = to->region->data;
  const uint8_t *in = from->region->data;
  for (int lane = 0; lane < SIM_LANES; lane++) {
    if (bytes == 16)
      memcpy(out + to->offset[lane], in + from->offset[lane], 16);
    else
      memcpy(out + to->offset[lane], in + from->offset[lane], bytes);
  }
  set_init_lanes(to, bytes);
}

static bool land_lane(sim_mem_view *view, int lane, uint64_t dst, uint64_t src, uint32_t bytes,
                      uint32_t size) {
  sim_region *shared = view->shared;
  uint32_t init = UINT32_MAX;
  uint64_t at = dst - shared->base;
  uint8_t buffer[16] = {0};
  if (at > shared->bytes || shared->bytes - at < bytes)
    return true; // bounds checks are off
  if (size) {
    sim_region *from = region_of_space(view, SIM_SPACE_GLOBAL, src);
    uint64_t offset = from ? src - from->base : 0;
    if (!from || from->freed || offset > from->bytes || from->bytes - offset < size) {
      if (!view->check_bounds)
        return true;
      return fault_outside(view, SIM_SPACE_GLOBAL, from, lane, src, src, V_COPY_FROM, size);
    }
    memcpy(buffer, from->data + offset, size);
    if (!from->all_init)
      init = init_word(from, offset) | ~((UINT32_C(1) << size) - 1);
  }
  memcpy(shared->data + at, buffer, bytes);
  if (init == UINT32_MAX) {
    set_init(shared, at, bytes);
    return true;
  }
  for (uint32_t i = 0; i < bytes; i++)
    sim_region_mark(shared, at + i, 1, init >> i & 1);
  return true;
}

// Addresses were checked at issue; bounds are checked again because memory may have been freed
// before a late landing.
bool sim_mem_copy_land(sim_mem_view *view, const uint64_t dst[SIM_LANES],
                       const uint64_t src[SIM_LANES], uint32_t mask, uint32_t bytes,
                       const uint32_t *src_bytes) {
  group to, from;
  if (take_copy(view, dst, src, mask, bytes, src_bytes, &to, &from) && from.region->all_init) {
    land_block(&to, &from, bytes);
    return true;
  }
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    if (!land_lane(view, lane, dst[lane], src[lane], bytes, source_size(src_bytes, lane, bytes)))
      return false;
  }
  return true;
}
