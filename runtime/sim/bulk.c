// Moving the bytes of asynchronous operations, and the checks at their issue (see async.h).
#include "runtime/sim/async.h"
#include <inttypes.h>
#include <stdio.h>

void sim_bulk_fault(sim_bulk *bulk) {
  const sim_fault *fault = bulk->warp->view.fault;
  sim_fail(bulk->warp, bulk->op, 1u << bulk->lane, fault->verdict, "%s", fault->text);
}

// --- regions ------------------------------------------------------------------------------------
// The live allocation holding the whole range, or NULL.
static sim_region *global_range(sim_bulk *bulk, uint64_t address, uint64_t bytes) {
  sim_region *region = sim_mem_below(bulk->warp->view.global, address);
  if (!region || region->freed)
    return NULL;
  uint64_t offset = address - region->base;
  return offset <= region->bytes && region->bytes - offset >= bytes ? region : NULL;
}

static bool is_init(const sim_region *region, uint64_t at) {
  return region->all_init || region->init[at >> 3] >> (at & 7) & 1;
}

static void get_bytes(const sim_region *region, uint64_t offset, uint32_t bytes, uint8_t *data,
                      uint8_t *init) {
  memcpy(data, region->data + offset, bytes);
  if (region->all_init)
    memset(init, 1, bytes);
  else
    for (uint32_t i = 0; i < bytes; i++)
      init[i] = is_init(region, offset + i);
}

static void put_bytes(sim_region *region, uint64_t offset, uint32_t bytes, const uint8_t *data,
                      const uint8_t *init) {
  memcpy(region->data + offset, data, bytes);
  for (uint32_t i = 0; i < bytes;) {
    uint32_t n = 1;
    while (i + n < bytes && init[i + n] == init[i])
      n++;
    if (!(init[i] && region->all_init))
      sim_region_mark(region, offset + i, n, init[i]);
    i += n;
  }
}

// --- checks at issue ----------------------------------------------------------------------------
bool sim_bulk_check_global(sim_bulk *bulk, uint64_t address, uint64_t bytes, bool writes) {
  sim_warp *w = bulk->warp;
  sim_region *region = global_range(bulk, address, bytes);
  if (!region) {
    if (!w->view.check_bounds)
      return true;
    const sim_region *near = sim_mem_below(w->view.global, address);
    sim_fail(w, bulk->op, 1u << bulk->lane, SIM_BAD_ADDRESS,
             "%s of %" PRIu64 " bytes at 0x%" PRIx64 " %s%s%s",
             writes ? "asynchronous write" : "asynchronous read", bytes, address,
             near ? "is not inside '" : "lies in no allocation", near ? near->name : "",
             near ? "'" : "");
    return false;
  }
  if (w->view.count_stats)
    *(writes ? &w->view.global_store_bytes : &w->view.global_load_bytes) += bytes;
  if (!w->view.agent ||
      sim_race_bulk_access(w->view.agent, writes ? bulk->write_token : bulk->read_token, region,
                           address - region->base, bytes, writes, bulk->op->line, w->view.fault))
    return true;
  sim_bulk_fault(bulk);
  return false;
}

bool sim_bulk_check_shared(sim_bulk *bulk, sim_region *region, uint64_t offset, uint64_t bytes,
                           bool writes) {
  sim_warp *w = bulk->warp;
  if (w->view.count_stats)
    *(writes ? &w->view.bulk_load_bytes : &w->view.bulk_store_bytes) += bytes;
  if (region->typed_hi && sim_region_is_typed(region, offset, offset + bytes)) {
    sim_fail(w, bulk->op, 1u << bulk->lane, SIM_MBAR_MISUSE,
             "the asynchronous %s of '%s' + 0x%" PRIx64 " (%" PRIu64
             " bytes) runs over a live mbarrier",
             writes ? "write" : "read", region->name, offset, bytes);
    return false;
  }
  if (!w->view.agent ||
      sim_race_bulk_access(w->view.agent, writes ? bulk->write_token : bulk->read_token, region,
                           offset, bytes, writes, bulk->op->line, w->view.fault))
    return true;
  sim_bulk_fault(bulk);
  return false;
}

// --- plain copies and reductions ----------------------------------------------------------------
bool sim_bulk_read_copy(sim_bulk *bulk) {
  sim_bulk_room(bulk, bulk->bytes);
  if (bulk->src_shared) {
    get_bytes(bulk->src_shared, bulk->src, bulk->bytes, bulk->data, bulk->init);
    return true;
  }
  const sim_region *region = global_range(bulk, bulk->src, bulk->bytes);
  if (region)
    get_bytes(region, bulk->src - region->base, bulk->bytes, bulk->data, bulk->init);
  else
    memset(bulk->data, 0, bulk->cap * 2);
  return true;
}

// data is reduced into the range element by element.
static void reduce_bytes(const sim_bulk *bulk, sim_region *region, uint64_t offset, uint32_t bytes,
                         const uint8_t *data, const uint8_t *init) {
  uint32_t size = (uint32_t)ptx_type_bits(bulk->type) / 8;
  for (uint32_t at = 0; at + size <= bytes; at += size) {
    uint64_t old = 0, value = 0;
    bool known = true;
    for (uint32_t i = 0; i < size; i++)
      known &= init[at + i] && is_init(region, offset + at + i);
    memcpy(&old, region->data + offset + at, size);
    memcpy(&value, data + at, size);
    value = sim_atom_apply((sim_atom_op)bulk->what, bulk->type, old, value, SIM_UNIT_BULK);
    memcpy(region->data + offset + at, &value, size);
    if (!known)
      sim_region_mark(region, offset + at, size, false); // garbage stays garbage
  }
}

static void write_range(const sim_bulk *bulk, sim_region *region, uint64_t offset, uint32_t bytes,
                        const uint8_t *data, const uint8_t *init) {
  if (bulk->reduce)
    reduce_bytes(bulk, region, offset, bytes, data, init);
  else
    put_bytes(region, offset, bytes, data, init);
}

bool sim_bulk_write_copy(sim_bulk *bulk) {
  sim_region *region = bulk->dst_shared;
  uint64_t offset = bulk->dst;
  if (!region) {
    region = global_range(bulk, bulk->dst, bulk->bytes);
    if (!region)
      return true; // bounds checks are off
    offset -= region->base;
  }
  write_range(bulk, region, offset, bulk->bytes, bulk->data, bulk->init);
  return true;
}

// --- tiles --------------------------------------------------------------------------------------
// A tile lies in `data` row by row without gaps. Units of 16 bytes (8 where a swizzle flips halves)
// have their own places in shared memory.
typedef void (*unit_fn)(sim_bulk *bulk, uint64_t shared_offset, uint32_t data_at, uint32_t bytes);

static void for_units(sim_bulk *bulk, sim_region *region, uint64_t start, unit_fn fn) {
  const sim_tma_box *box = &bulk->box;
  uint32_t unit = bulk->map.swizzle == SIM_TMA_128B_ATOM_32B_FLIP_8B ? 8 : 16;
  for (uint64_t row = 0; row < box->rows; row++)
    for (uint32_t chunk = 0; chunk < box->chunks; chunk++)
      for (uint32_t half = 0; half < 16; half += unit) {
        uint32_t at = chunk * box->chunk_bytes + half, bytes = box->chunk_bytes - half;
        if (half >= box->chunk_bytes || at >= box->row_bytes)
          continue;
        bytes = bytes > unit ? unit : bytes;
        uint64_t linear = region->base + start + row * box->pitch + chunk * 16 + half;
        fn(bulk, sim_tma_swizzled(bulk->map.swizzle, linear) - region->base,
           (uint32_t)row * box->row_bytes + at, bytes);
      }
}

bool sim_bulk_read_tile(sim_bulk *bulk) {
  const sim_tma_box *box = &bulk->box;
  uint32_t total = (uint32_t)box->rows * box->row_bytes;
  sim_bulk_room(bulk, total);
  memset(bulk->data, 0, total);
  for (uint32_t i = 0; bulk->map.nan_fill && i < total; i++)
    bulk->data[i] = i & 1 ? 0x7F : 0xF7;
  memset(bulk->init, 1, total);
  for (uint64_t row = 0; row < box->rows; row++) {
    sim_tma_row r;
    sim_tma_row_of(&bulk->map, box, bulk->coords, bulk->gather, false, row, &r);
    const sim_region *region = r.bytes ? global_range(bulk, r.address, r.bytes) : NULL;
    if (!region)
      continue;
    uint32_t at = (uint32_t)row * box->row_bytes + r.skip;
    get_bytes(region, r.address - region->base, r.bytes, bulk->data + at, bulk->init + at);
    sim_tma_convert(bulk->map.type, bulk->data + at, r.bytes);
  }
  return true;
}

static void unit_to_shared(sim_bulk *bulk, uint64_t offset, uint32_t at, uint32_t bytes) {
  put_bytes(bulk->dst_shared, offset, bytes, bulk->data + at, bulk->init + at);
}
bool sim_bulk_write_tile(sim_bulk *bulk) {
  for_units(bulk, bulk->dst_shared, bulk->dst, unit_to_shared);
  return true;
}

static void unit_from_shared(sim_bulk *bulk, uint64_t offset, uint32_t at, uint32_t bytes) {
  get_bytes(bulk->src_shared, offset, bytes, bulk->data + at, bulk->init + at);
}
bool sim_bulk_gather_tile(sim_bulk *bulk) {
  sim_bulk_room(bulk, (size_t)bulk->box.rows * bulk->box.row_bytes);
  for_units(bulk, bulk->src_shared, bulk->src, unit_from_shared);
  return true;
}

bool sim_bulk_scatter_tile(sim_bulk *bulk) {
  const sim_tma_box *box = &bulk->box;
  for (uint64_t row = 0; row < box->rows; row++) {
    sim_tma_row r;
    sim_tma_row_of(&bulk->map, box, bulk->coords, bulk->gather, true, row, &r);
    sim_region *region = r.bytes ? global_range(bulk, r.address, r.bytes) : NULL;
    if (!region)
      continue;
    uint32_t at = (uint32_t)row * box->row_bytes + r.skip;
    write_range(bulk, region, r.address - region->base, r.bytes, bulk->data + at, bulk->init + at);
  }
  return true;
}

static bool check_unit(sim_bulk *bulk, sim_region *region, uint64_t start, bool writes) {
  const sim_tma_box *box = &bulk->box;
  bool ok = true;
  for (uint64_t row = 0; ok && row < box->rows; row++)
    for (uint32_t chunk = 0; ok && chunk < box->chunks; chunk++) {
      uint64_t linear = region->base + start + row * box->pitch + chunk * 16;
      uint64_t at = sim_tma_swizzled(bulk->map.swizzle, linear) & ~UINT64_C(15);
      ok = sim_bulk_check_shared(bulk, region, at - region->base, 16, writes);
    }
  return ok;
}

// Both sides of a box: bounds, mbarriers, races.
bool sim_bulk_check_tile(sim_bulk *bulk, bool store) {
  const sim_tma_box *box = &bulk->box;
  sim_region *region = store ? bulk->src_shared : bulk->dst_shared;
  uint64_t start = store ? bulk->src : bulk->dst;
  // A dense tile covers its range whatever the swizzle, when it starts on the pattern's lines.
  bool dense = box->pitch == box->chunks * 16 && (region->base + start) % 128 == 0 &&
               box->shared_bytes % 128 == 0;
  if (dense ? !sim_bulk_check_shared(bulk, region, start, box->shared_bytes, !store)
            : !check_unit(bulk, region, start, !store))
    return false;
  uint64_t run_at = 0, run = 0; // rows that follow each other are checked as one
  for (uint64_t row = 0; row < box->rows; row++) {
    sim_tma_row r;
    sim_tma_row_of(&bulk->map, box, bulk->coords, bulk->gather, store, row, &r);
    if (!r.bytes)
      continue;
    if (run && run_at + run == r.address) {
      run += r.bytes;
      continue;
    }
    if (run && !sim_bulk_check_global(bulk, run_at, run, store))
      return false;
    run_at = r.address;
    run = r.bytes;
  }
  return !run || sim_bulk_check_global(bulk, run_at, run, store);
}
