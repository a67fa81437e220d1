// The cost model: how long would a variant take?
//
// A block's products need tensor cycles and shared-memory cycles, whichever are more, and one step
// after another takes its latency however small the tile; its loads need L2 bandwidth, and no more
// bytes can be under way than its stages hold; all blocks together read every tensor from DRAM
// once. SMs run blocks in waves, and the last wave takes as long as a full one: that is the wave
// efficiency. What remains is fixed: the launch, and per wave the first load and the epilogue.
//
// The figures order variants, they do not predict clocks: on the machines that matter, records
// measured by tiletune come first.
#include "runtime/cost.h"
#include <math.h>
#include <string.h>

static const tile_machine machines[] = {
#define MACHINE(name, arch, sms, mhz, mma16, share, smem, l2, dram, latency, launch)               \
  {name, arch, sms, mhz, mma16, share, smem, l2, dram, latency, launch},
#include "runtime/machines.def"
#undef MACHINE
};
enum { MACHINES = sizeof machines / sizeof *machines };

// From one product of a block to the next that adds to it, in cycles: with 8-bit operands a partial
// sum leaves the tensor core in between. Seen on an H200 with 16-row tiles (2026-11-28): 0.22 us a
// step.
enum { STEP_CYCLES_8BIT = 380, STEP_CYCLES = 160 };
// The parts of a split K meet: a barrier of the cluster, then partial sums through distributed
// shared memory. 0.4 us for tiles of 16 x 64, above 2 us for 64 x 128 (same run).
enum { SPLIT_NS = 300, SPLIT_BYTES_PER_CYCLE = 16 };
#define IMPERFECT 0.15 // share of what is hidden that shows all the same
// Elements are loaded one by one where nothing is known of addresses.
#define UNALIGNED_PENALTY 1.3

const tile_machine *tile_machine_named(const char *device_name) {
  for (int i = 0; i < MACHINES; i++)
    if (strncmp(device_name, machines[i].name, strlen(machines[i].name)) == 0)
      return &machines[i];
  return NULL;
}

const tile_machine *tile_machine_of(const char *device_name, const char *arch) {
  const tile_machine *named = device_name ? tile_machine_named(device_name) : NULL;
  if (named && strcmp(named->arch, arch) == 0)
    return named;
  for (int i = 0; i < MACHINES; i++)
    if (strcmp(machines[i].arch, arch) == 0)
      return &machines[i];
  return NULL;
}

// What all blocks of a launch do together.
typedef struct totals {
  double blocks; // tiles of work: of a persistent grid more than blocks launched
  double tensor_cycles, smem_cycles; // sums over blocks, each on one SM
  double load_bytes, store_bytes;
  double step_bytes;       // loaded per iteration of the loop with the products
  double step_cycles;      // latencies of all steps
  double parts, sum_bytes; // CTAs of a split K; f32 accumulators of a tile
} totals;

static double clamp_low(double x, double low) { return x > low ? x : low; }

// wgmma works on 64 rows, and reads B once for every 64; mma.sync's warps each read their share of
// both operands, about twice in all.
static void add_dot(const tile_work *row, bool is_wgmma, const tile_machine *machine, double times,
                    totals *sum) {
  double m = row->m, n = row->n, k = row->k, bits = tl_dtype_bits(row->dtype);
  double rate = machine->mma16 * 16.0 / clamp_low(bits, 4);
  if (is_wgmma && n > m && m < 64) { // operands swapped: the atom's rows run along n
    double swap = m;
    m = n, n = swap;
  }
  if (is_wgmma)
    m = ceil(m / 64) * 64;
  else
    rate *= machine->mma_sync_share;
  double reads = is_wgmma ? m * k + n * k * (m / 64) : 2 * (m + n) * k;
  double writes = (m + n) * k;
  sum->tensor_cycles += times * 2 * m * n * k / rate;
  sum->smem_cycles += times * (reads + writes) * bits / 8 / machine->smem_bytes_per_cycle;
  sum->step_cycles += times * (bits == 8 ? STEP_CYCLES_8BIT : STEP_CYCLES);
  sum->sum_bytes = 4.0 * row->m * row->n;
}

static bool has_descriptors(const tile_variant *variant) {
  for (int i = 0; i < variant->nabi; i++)
    if (variant->abi[i].kind == TILE_ABI_TMAP)
      return true;
  return false;
}

static bool add_up(const tile_variant *variant, tile_values *values, const tile_machine *machine,
                   totals *sum) {
  int64_t times, blocks = 1, axis;
  int dot = -1;
  bool is_wgmma = has_descriptors(variant);
  for (int i = 0; i < 3; i++) {
    if (variant->grid_expr[i] < 0)
      continue;
    if (!tile_value(values, variant->grid_expr[i], &axis))
      return false;
    blocks *= axis;
  }
  sum->blocks = (double)blocks;
  for (int i = 0; i < variant->nwork; i++) {
    const tile_work *row = &variant->work[i];
    if (!tile_value(values, row->times, &times))
      return false;
    if (row->kind == TILE_WORK_DOT) {
      add_dot(row, is_wgmma, machine, (double)times, sum);
      dot = row->times;
    } else if (row->kind == TILE_WORK_LOAD) {
      sum->load_bytes += (double)times * row->m;
    } else if (row->kind == TILE_WORK_STORE) {
      sum->store_bytes += (double)times * row->m;
    } else {
      sum->blocks *= row->m;
      sum->parts *= row->m;
    }
  }
  for (int i = 0; i < variant->nwork; i++)
    if (variant->work[i].kind == TILE_WORK_LOAD && (dot < 0 || variant->work[i].times == dot))
      sum->step_bytes += variant->work[i].m;
  return variant->nwork > 0;
}

// Every tensor once.
static double footprint(const tile_kernel *kernel, tile_values *values) {
  double bytes = 0;
  for (int p = 0; p < kernel->nparams; p++) {
    const tile_param *param = &kernel->params[p];
    double elems = param->is_tensor;
    int64_t extent;
    for (int i = 0; i < param->ndim; i++)
      elems *= tile_value(values, param->dim_exprs[i], &extent) ? (double)extent : 0;
    bytes += elems * tl_dtype_bits(param->dtype) / 8;
  }
  return bytes;
}

// Blocks that the busiest SM runs: full waves, and its share of the last one.
static double blocks_per_sm(double blocks, double sms, double resident, double *out_waves) {
  double slots = sms * resident, waves = ceil(blocks / slots);
  double last = blocks - (waves - 1) * slots;
  *out_waves = waves;
  return (waves - 1) * resident + ceil(last / sms);
}

bool tile_cost_of(const tile_variant *variant, tile_values *values, const tile_machine *machine,
                  int sms, tile_cost *out) {
  totals sum = {.parts = 1};
  *out = (tile_cost){0};
  if (!add_up(variant, values, machine, &sum))
    return false;
  if (sum.blocks < 1)
    return out->wave_efficiency = 1, true;
  double resident = variant->ctas_per_sm > 0 ? variant->ctas_per_sm : 1, waves;
  double busiest = blocks_per_sm(sum.blocks, sms, resident, &waves);
  double share = busiest / sum.blocks, cycle_ns = 1e3 / machine->mhz;
  out->wave_efficiency = sum.blocks / (busiest * sms);
  out->tensor = sum.tensor_cycles * share * cycle_ns;
  out->smem = sum.smem_cycles * share * cycle_ns;
  out->step = sum.step_cycles / sum.blocks * ceil(busiest / resident) * cycle_ns;
  out->l2 = (sum.load_bytes + sum.store_bytes) / machine->l2_bytes_per_cycle * cycle_ns;
  out->dram = footprint(variant->kernel, values) / machine->dram_gbs;
  double stages = variant->stages > 1 ? variant->stages : 1.5; // registers hold part of a step
  double under_way = sum.step_bytes * stages * (busiest < resident ? busiest : resident);
  out->latency = under_way > 0 ? sum.load_bytes * share * machine->latency_ns / under_way : 0;
  double epilogue = sum.store_bytes / sum.blocks / 48 * cycle_ns + 300;
  double exposed = (machine->latency_ns + epilogue) / (resident > 1 ? 1.5 : 1);
  out->fixed = machine->launch_ns + waves * exposed;
  if (sum.parts > 1)
    out->fixed += SPLIT_NS + sum.sum_bytes / SPLIT_BYTES_PER_CYCLE * cycle_ns;
  double on_sm = fmax(fmax(out->tensor, out->smem), fmax(out->step, out->latency));
  double most = fmax(on_sm, fmax(out->l2, out->dram));
  most += IMPERFECT * (on_sm + out->l2 + out->dram - most); // nothing overlaps perfectly
  out->total = (most + out->fixed) * (variant->align ? 1 : UNALIGNED_PENALTY);
  return true;
}
