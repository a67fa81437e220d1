// Whole-warp memory accesses over regions (see mem.h).
//
// An access resolves the region of its first lane, takes along every lane that falls into the same
// one (all 32, nearly always), and works on host offsets from then on. Lanes that run over 32
// offsets are plain loops so that the compiler vectorises them.
#include "runtime/sim/mem.h"
#include "runtime/sim/race.h"
#include "lang/base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_mem {
  sim_region **regions; // by base address, freed ones included
  size_t count, cap;
  uint64_t next; // next free address
};

// --- regions -------------------------------------------------------------------------------------
static void *must_alloc(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 127) & ~(size_t)63);
  if (!p) {
    fprintf(stderr, "simulator: out of memory (%zu bytes)\n", bytes);
    abort();
  }
  return p;
}

// What never-written memory holds: as floats NaNs and huge values, as indices far out of range.
static void poison_bytes(uint8_t *data, size_t bytes, uint64_t seed) {
  uint64_t word = (seed * UINT64_C(0x9E3779B97F4A7C15)) | UINT64_C(0xFF80FF80FF80FF80);
  for (size_t i = 0; i + 8 <= bytes; i += 8)
    memcpy(data + i, &word, 8);
  memcpy(data + (bytes & ~(size_t)7), &word, bytes & 7);
}

void sim_region_init(sim_region *region, sim_space space, uint64_t base, size_t bytes,
                     const char *name) {
  memset(region, 0, sizeof *region);
  region->space = space;
  region->base = base;
  region->bytes = bytes;
  region->data = must_alloc(bytes);
  region->init = must_alloc(bytes / 8 + 8);
  region->read_only = space == SIM_SPACE_PARAM || space == SIM_SPACE_CONST;
  region->name = strdup(name ? name : "unnamed");
  if (!region->name)
    abort();
  memset(region->init, 0, bytes / 8 + 8);
  poison_bytes(region->data, bytes, 0);
}

void sim_region_free(sim_region *region) {
  if (region->shadow)
    sim_race_forget(region);
  free(region->data);
  free(region->init);
  free(region->name);
  memset(region, 0, sizeof *region);
}

void sim_region_reset(sim_region *region, uint64_t seed) {
  if (region->shadow)
    sim_race_forget(region);
  region->all_init = false;
  memset(region->init, 0, region->bytes / 8 + 8);
  poison_bytes(region->data, region->bytes, seed);
}

static void mark_init(sim_region *region, size_t offset, size_t len, bool written) {
  if (written && region->all_init)
    return;
  if (!written)
    region->all_init = false;
  if (written && offset == 0 && len == region->bytes)
    region->all_init = true;
  size_t i = offset, end = offset + len;
  for (; i < end && (i & 7); i++)
    region->init[i >> 3] = (uint8_t)(written ? region->init[i >> 3] | 1 << (i & 7)
                                             : region->init[i >> 3] & ~(1 << (i & 7)));
  if (end - i >= 8 && i < end) {
    memset(region->init + (i >> 3), written ? 0xFF : 0, (end - i) >> 3);
    i += (end - i) & ~(size_t)7;
  }
  for (; i < end; i++)
    region->init[i >> 3] = (uint8_t)(written ? region->init[i >> 3] | 1 << (i & 7)
                                             : region->init[i >> 3] & ~(1 << (i & 7)));
}

static void put_bytes(sim_region *region, size_t offset, const void *bytes, size_t len,
                      bool written) {
  TL_ASSERT(offset <= region->bytes && len <= region->bytes - offset, "%s: host access outside",
            region->name);
  if (!len)
    return;
  memcpy(region->data + offset, bytes, len);
  mark_init(region, offset, len, written);
}

void sim_region_write(sim_region *region, size_t offset, const void *bytes, size_t len) {
  put_bytes(region, offset, bytes, len, true);
}

void sim_region_poison(sim_region *region, size_t offset, const void *bytes, size_t len) {
  put_bytes(region, offset, bytes, len, false);
}

// --- the global space ----------------------------------------------------------------------------
sim_mem *sim_mem_new(void) {
  sim_mem *mem = calloc(1, sizeof *mem);
  if (!mem)
    abort();
  mem->next = SIM_GLOBAL_FIRST;
  return mem;
}

void sim_mem_free(sim_mem *mem) {
  if (!mem)
    return;
  for (size_t i = 0; i < mem->count; i++) {
    sim_region_free(mem->regions[i]);
    free(mem->regions[i]);
  }
  free(mem->regions);
  free(mem);
}

// Addresses cost nothing: every allocation is followed by a gap of its own size (64 KiB at least),
// so an index that runs over by less than a whole buffer never lands in a neighbour.
uint64_t sim_mem_alloc(sim_mem *mem, size_t bytes, const char *name) {
  if (mem->count == mem->cap) {
    mem->cap = mem->cap ? mem->cap * 2 : 16;
    mem->regions = realloc(mem->regions, mem->cap * sizeof *mem->regions);
    if (!mem->regions)
      abort();
  }
  sim_region *region = malloc(sizeof *region);
  if (!region)
    abort();
  sim_region_init(region, SIM_SPACE_GLOBAL, mem->next, bytes, name);
  mem->regions[mem->count++] = region;
  uint64_t gap = bytes < 65536 ? 65536 : bytes;
  mem->next += (bytes + gap + 255) & ~(uint64_t)255;
  return region->base;
}

// The last region that starts at or below the address, live or not.
static sim_region *region_below(const sim_mem *mem, uint64_t address) {
  size_t lo = 0, hi = mem->count;
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    if (mem->regions[mid]->base <= address)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo ? mem->regions[lo - 1] : NULL;
}

sim_region *sim_mem_find(sim_mem *mem, uint64_t address) {
  sim_region *region = region_below(mem, address);
  return region && !region->freed && address - region->base < region->bytes ? region : NULL;
}

bool sim_mem_release(sim_mem *mem, uint64_t address) {
  sim_region *region = region_below(mem, address);
  if (!region || region->base != address || region->freed)
    return false;
  if (region->shadow)
    sim_race_forget(region);
  free(region->data);
  free(region->init);
  region->data = region->init = NULL;
  region->freed = true;
  return true;
}

static sim_region *host_range(sim_mem *mem, uint64_t address, size_t len) {
  sim_region *region = region_below(mem, address);
  if (!region || region->freed)
    return NULL;
  uint64_t offset = address - region->base;
  return offset <= region->bytes && len <= region->bytes - offset ? region : NULL;
}

bool sim_mem_host_write(sim_mem *mem, uint64_t address, const void *bytes, size_t len) {
  sim_region *region = host_range(mem, address, len);
  if (region)
    sim_region_write(region, address - region->base, bytes, len);
  return region != NULL;
}

bool sim_mem_host_poison(sim_mem *mem, uint64_t address, const void *bytes, size_t len) {
  sim_region *region = host_range(mem, address, len);
  if (region)
    sim_region_poison(region, address - region->base, bytes, len);
  return region != NULL;
}

bool sim_mem_host_read(sim_mem *mem, uint64_t address, void *out_bytes, size_t len) {
  sim_region *region = host_range(mem, address, len);
  if (region && len)
    memcpy(out_bytes, region->data + (address - region->base), len);
  return region != NULL;
}

// --- faults --------------------------------------------------------------------------------------
typedef enum verb { V_LOAD, V_STORE, V_ATOMIC, V_COPY_FROM, V_COPY_TO } verb;
static const char *const verb_words[] = {"load", "store", "atomic operation", "copy from",
                                         "copy to"};

static bool fault(sim_mem_view *view, sim_verdict verdict, int lane, uint64_t address, verb what,
                  uint32_t bytes, const char *why) {
  sim_fault *f = view->fault;
  f->verdict = verdict;
  f->lane = lane;
  f->address = address;
  f->line = view->line;
  snprintf(f->text, sizeof f->text, "%s of %u bytes at 0x%llx, lane %d: %s", verb_words[what],
           bytes, (unsigned long long)address, lane, why);
  return false;
}

static const char *space_name(sim_space space) {
  static const char *const names[] = {"generic", "global",    "shared",
                                      "local",   "parameter", "constant"};
  return names[space];
}

// Why an address hits nothing, by the region next to it.
static bool fault_outside(sim_mem_view *view, sim_space space, const sim_region *near, int lane,
                          uint64_t address, uint64_t in_space, verb what, uint32_t bytes) {
  char why[400];
  if (space == SIM_SPACE_GLOBAL && in_space < 4096) {
    snprintf(why, sizeof why, "null pointer");
  } else if (!near) {
    snprintf(why, sizeof why, "the address lies in no allocation of %s memory", space_name(space));
  } else {
    uint64_t size = space == SIM_SPACE_LOCAL ? view->local_stride : near->bytes;
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

// --- resolving lanes
// ------------------------------------------------------------------------------- One warp access
// while it is being done: the lanes that fall into one region.
typedef struct group {
  sim_region *region;
  uint32_t mask;
  uint64_t offset[SIM_LANES]; // host offsets; meaningful for lanes of mask
} group;

static sim_region *region_of_space(sim_mem_view *view, sim_space space, uint64_t address) {
  switch (space) {
  case SIM_SPACE_SHARED:
    return view->shared;
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
  sim_region *found = region_below(view->global, address);
  if (found)
    view->last_global = found;
  return found;
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
  }
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

// --- init bits
// -------------------------------------------------------------------------------------
static inline uint32_t init_word(const sim_region *region, uint64_t offset) {
  uint32_t word;
  memcpy(&word, region->init + (offset >> 3), 4);
  return word >> (offset & 7);
}

static bool check_init(sim_mem_view *view, const group *g, const uint64_t addr[SIM_LANES],
                       uint32_t bytes, verb what) {
  if (!view->check_uninit || g->region->all_init)
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
  for (uint32_t m = g->mask; m; m &= m - 1)
    set_init(g->region, g->offset[__builtin_ctz(m)], bytes);
}

// --- races
// -----------------------------------------------------------------------------------------
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

// --- loads
// -----------------------------------------------------------------------------------------
static bool contiguous(const group *g, uint32_t bytes) {
  if (g->mask != UINT32_MAX)
    return false;
  uint64_t differ = 0;
  for (int lane = 0; lane < SIM_LANES; lane++)
    differ |= g->offset[lane] ^ (g->offset[0] + (uint64_t)lane * bytes);
  return !differ;
}

// Lanes' elements of 4-byte words into planes: word p of lane l lies at data + offset[l] + 4p.
static void gather_words(const group *g, uint32_t words, uint32_t *const planes[]) {
  const uint8_t *data = g->region->data;
  if (g->mask == UINT32_MAX && words == 1 && planes[0]) {
    if (contiguous(g, 4)) {
      memcpy(planes[0], data + g->offset[0], 4 * SIM_LANES);
      return;
    }
    for (int lane = 0; lane < SIM_LANES; lane++)
      memcpy(&planes[0][lane], data + g->offset[lane], 4);
    return;
  }
  for (uint32_t p = 0; p < words; p++) {
    if (!planes[p])
      continue;
    if (g->mask == UINT32_MAX)
      for (int lane = 0; lane < SIM_LANES; lane++)
        memcpy(&planes[p][lane], data + g->offset[lane] + 4 * p, 4);
    else
      for (uint32_t m = g->mask; m; m &= m - 1) {
        int lane = __builtin_ctz(m);
        memcpy(&planes[p][lane], data + g->offset[lane] + 4 * p, 4);
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
  if (g->region->space == SIM_SPACE_SHARED)
    view->bank_conflicts += sim_bank_conflicts(addr, g->mask, bytes);
  else if (g->region->space == SIM_SPACE_GLOBAL)
    *(is_load ? &view->global_load_bytes : &view->global_store_bytes) += total;
}

bool sim_mem_load(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                  uint32_t mask, sim_access access, uint32_t *const planes[]) {
  uint32_t bytes = (uint32_t)access.elem_bytes * access.elems;
  if (!mask)
    return true;
  if (bytes > 1 && !check_alignment(view, addr, mask, bytes, V_LOAD))
    return false;
  if (!view->check_bounds)
    clear_lanes(mask, access, planes);
  while (mask) {
    group g;
    if (!take_group(view, space, addr, &mask, bytes, V_LOAD, &g))
      return false;
    if (!g.mask)
      continue;
    if (!check_init(view, &g, addr, bytes, V_LOAD) ||
        !track(view, &g, addr, bytes, access.sem ? SIM_RACE_STRONG_READ : SIM_RACE_READ))
      return false;
    if (access.elem_bytes >= 4)
      gather_words(&g, bytes / 4, planes);
    else
      gather_small(&g, access, planes);
    track_strong(view, &g, true, false, access);
    if (view->count_stats)
      count_access(view, &g, addr, bytes, true);
  }
  return true;
}

// --- stores
// ----------------------------------------------------------------------------------------
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
  if (words == 1 && contiguous(g, 4)) {
    memcpy(data + g->offset[0], planes[0], 4 * SIM_LANES);
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

bool sim_mem_store(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                   uint32_t mask, sim_access access, const uint32_t *const planes[]) {
  uint32_t bytes = (uint32_t)access.elem_bytes * access.elems;
  if (!mask)
    return true;
  if (bytes > 1 && !check_alignment(view, addr, mask, bytes, V_STORE))
    return false;
  while (mask) {
    group g;
    if (!take_group(view, space, addr, &mask, bytes, V_STORE, &g))
      return false;
    if (!g.mask)
      continue;
    if (!check_writable(view, &g, addr, bytes, V_STORE))
      return false;
    if (tracked(view, g.region) &&
        (!check_lane_overlap(view, &g, addr, bytes, access, planes) ||
         !track(view, &g, addr, bytes, access.sem ? SIM_RACE_STRONG_WRITE : SIM_RACE_WRITE)))
      return false;
    if (access.elem_bytes >= 4)
      scatter_words(&g, bytes / 4, planes);
    else
      scatter_small(&g, access, planes);
    set_init_lanes(&g, bytes);
    track_strong(view, &g, false, true, access);
    if (view->count_stats)
      count_access(view, &g, addr, bytes, false);
  }
  return true;
}

// --- atomics
// ---------------------------------------------------------------------------------------
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
        !check_init(view, &g, addr, bytes, V_ATOMIC) ||
        !track(view, &g, addr, bytes, SIM_RACE_ATOMIC))
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

// --- cp.async
// --------------------------------------------------------------------------------------
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

bool sim_mem_copy_issue(sim_mem_view *view, const uint64_t dst[SIM_LANES],
                        const uint64_t src[SIM_LANES], uint32_t mask, uint32_t bytes,
                        const uint32_t *src_bytes) {
  uint32_t rest = mask;
  if (!mask)
    return true;
  if (!check_alignment(view, dst, mask, bytes, V_COPY_TO))
    return false;
  while (rest) {
    group g;
    if (!take_group(view, SIM_SPACE_SHARED, dst, &rest, bytes, V_COPY_TO, &g))
      return false;
    if (!track(view, &g, dst, bytes, SIM_RACE_ASYNC_WRITE))
      return false;
    if (view->count_stats && g.mask)
      view->bank_conflicts += sim_bank_conflicts(dst, g.mask, bytes);
  }
  rest = mask & ~(src_bytes ? lanes_of_size(src_bytes, mask, bytes, 0) : 0);
  if (!check_alignment(view, src, rest, bytes, V_COPY_FROM))
    return false;
  while (rest) {
    uint32_t size = source_size(src_bytes, __builtin_ctz(rest), bytes);
    if (size > bytes) {
      int lane = __builtin_ctz(rest);
      return fault(view, SIM_BAD_ADDRESS, lane, src[lane], V_COPY_FROM, bytes,
                   "src-size is larger than cp-size");
    }
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

// Addresses were checked at issue; freed memory and bounds are checked again because a copy may
// land late.
bool sim_mem_copy_land(sim_mem_view *view, const uint64_t dst[SIM_LANES],
                       const uint64_t src[SIM_LANES], uint32_t mask, uint32_t bytes,
                       const uint32_t *src_bytes) {
  sim_region *shared = view->shared;
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    uint32_t size = source_size(src_bytes, lane, bytes), init = UINT32_MAX;
    uint64_t at = dst[lane] - shared->base;
    if (at > shared->bytes || shared->bytes - at < bytes)
      continue; // only with bounds checks off
    uint8_t buffer[16] = {0};
    if (size) {
      sim_region *from = region_of_space(view, SIM_SPACE_GLOBAL, src[lane]);
      uint64_t offset = from ? src[lane] - from->base : 0;
      if (!from || from->freed || offset > from->bytes || from->bytes - offset < size) {
        if (!view->check_bounds)
          continue;
        return fault_outside(view, SIM_SPACE_GLOBAL, from, lane, src[lane], src[lane], V_COPY_FROM,
                             size);
      }
      memcpy(buffer, from->data + offset, size);
      if (!from->all_init)
        init = init_word(from, offset) | ~((UINT32_C(1) << size) - 1);
    }
    memcpy(shared->data + at, buffer, bytes);
    if (init == UINT32_MAX) {
      set_init(shared, at, bytes);
    } else {
      for (uint32_t i = 0; i < bytes; i++)
        mark_init(shared, at + i, 1, init >> i & 1);
    }
  }
  return true;
}
