// Regions and the global space (see mem.h).
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

// --- regions ------------------------------------------------------------------------------------
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
  sim_race_forget(region);
  free(region->data);
  free(region->init);
  free(region->name);
  free(region->typed);
  memset(region, 0, sizeof *region);
}

void sim_region_reset(sim_region *region, uint64_t seed) {
  sim_race_forget(region);
  region->all_init = false;
  free(region->typed);
  region->typed = NULL;
  region->typed_lo = region->typed_hi = 0;
  memset(region->init, 0, region->bytes / 8 + 8);
  poison_bytes(region->data, region->bytes, seed);
}

void sim_region_mark(sim_region *region, size_t offset, size_t len, bool written) {
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

void sim_region_type(sim_region *region, size_t offset, bool typed) {
  TL_ASSERT(offset % 8 == 0 && offset + 8 <= region->bytes, "%s: mbarrier outside", region->name);
  if (!region->typed) {
    region->typed = calloc(region->bytes / 64 + 1, 1);
    if (!region->typed)
      abort();
    region->typed_lo = region->typed_hi = offset;
  }
  uint8_t bit = (uint8_t)(1 << (offset >> 3 & 7));
  if (typed)
    region->typed[offset >> 6] |= bit;
  else
    region->typed[offset >> 6] &= (uint8_t)~bit;
  if (typed && offset < region->typed_lo)
    region->typed_lo = offset;
  if (typed && offset + 8 > region->typed_hi)
    region->typed_hi = offset + 8;
  sim_region_mark(region, offset, 8, false);
}

static void put_bytes(sim_region *region, size_t offset, const void *bytes, size_t len,
                      bool written) {
  TL_ASSERT(offset <= region->bytes && len <= region->bytes - offset, "%s: host access outside",
            region->name);
  if (!len)
    return;
  memcpy(region->data + offset, bytes, len);
  sim_region_mark(region, offset, len, written);
  sim_race_host_write(region, offset, len);
}

void sim_region_write(sim_region *region, size_t offset, const void *bytes, size_t len) {
  put_bytes(region, offset, bytes, len, true);
}

void sim_region_poison(sim_region *region, size_t offset, const void *bytes, size_t len) {
  put_bytes(region, offset, bytes, len, false);
}

// --- the global space ---------------------------------------------------------------------------
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

sim_region *sim_mem_below(const sim_mem *mem, uint64_t address) {
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
  sim_region *region = sim_mem_below(mem, address);
  return region && !region->freed && address - region->base < region->bytes ? region : NULL;
}

bool sim_mem_release(sim_mem *mem, uint64_t address) {
  sim_region *region = sim_mem_below(mem, address);
  if (!region || region->base != address || region->freed)
    return false;
  sim_race_forget(region);
  free(region->data);
  free(region->init);
  region->data = region->init = NULL;
  region->freed = true;
  return true;
}

static sim_region *host_range(sim_mem *mem, uint64_t address, size_t len) {
  sim_region *region = sim_mem_below(mem, address);
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

bool sim_mem_host_written(sim_mem *mem, uint64_t address, uint8_t *out, size_t len) {
  sim_region *region = host_range(mem, address, len);
  for (size_t i = 0; region && i < len; i++) {
    size_t at = address - region->base + i;
    out[i] = region->all_init || (region->init[at >> 3] >> (at & 7) & 1);
  }
  return region != NULL;
}
