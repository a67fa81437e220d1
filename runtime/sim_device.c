// Device "sim:ARCH": the simulated machine behind the device operations.
//
// A launch runs at once on the calling thread; anything but SIM_OK is a failure whose text is the
// simulator's report. The SM count only sizes persistent grids: a small one makes every CTA of a
// test walk over several tiles. TILE_SIM_SMS sets it.
#include "lang/dtype.h"
#include "lang/target.h"
#include "runtime/device.h"
#include "runtime/sim/sim_api.h"
#include "runtime/sim/tma.h"
#include "runtime/status.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_SMS = 4, MAX_SMS = 4096 };

typedef struct sim_device {
  tile_device base;
  pthread_mutex_t lock; // a sim_machine belongs to one thread at a time
  sim_machine *machine;
} sim_device;

typedef struct sim_code {
  tile_code base;
  sim_module *module;
  char *entry;
} sim_code;

static sim_device *lock_device(tile_device *device) {
  sim_device *sim = (sim_device *)device;
  pthread_mutex_lock(&sim->lock);
  return sim;
}

// The machine's text must be read before another thread may use it. Verdicts name themselves.
static tile_status unlock_device(sim_device *sim, tile_status status, const char *what) {
  if (status != TILE_OK)
    tile_fail(status, "%s%s%s", what ? what : "", what ? ": " : "", sim_error(sim->machine));
  pthread_mutex_unlock(&sim->lock);
  return status;
}

static void *address_of(uint64_t address) { return (void *)(uintptr_t)address; }

static void close_sim(tile_device *device) {
  sim_device *sim = (sim_device *)device;
  sim_destroy(sim->machine);
  pthread_mutex_destroy(&sim->lock);
  free(sim);
}

static tile_status alloc_sim(tile_device *device, size_t bytes, const char *name,
                             void **out_address) {
  sim_device *sim = lock_device(device);
  uint64_t address = sim_alloc(sim->machine, bytes, name);
  if (address)
    *out_address = address_of(address);
  return unlock_device(sim, address ? TILE_OK : TILE_E_NOMEM, name);
}

static tile_status release_sim(tile_device *device, void *address) {
  sim_device *sim = lock_device(device);
  bool ok = sim_free(sim->machine, (uintptr_t)address);
  return unlock_device(sim, ok ? TILE_OK : TILE_E_INVALID, "tile_buffer_destroy");
}

static tile_status write_sim(tile_device *device, void *address, const void *host, size_t bytes) {
  sim_device *sim = lock_device(device);
  bool ok = sim_write(sim->machine, (uintptr_t)address, host, bytes);
  return unlock_device(sim, ok ? TILE_OK : TILE_E_INVALID, "tile_buffer_write");
}

static tile_status read_sim(tile_device *device, const void *address, void *host, size_t bytes) {
  sim_device *sim = lock_device(device);
  bool ok = sim_read(sim->machine, (uintptr_t)address, host, bytes);
  return unlock_device(sim, ok ? TILE_OK : TILE_E_INVALID, "tile_buffer_read");
}

static tile_status fill_sim(tile_device *device, void *address, uint8_t byte, size_t bytes,
                            bool as_uninitialised) {
  void *block = malloc(bytes);
  if (!block)
    return tile_fail(TILE_E_NOMEM, "out of memory: %zu bytes", bytes);
  memset(block, byte, bytes);
  sim_device *sim = lock_device(device);
  bool ok = as_uninitialised ? sim_poison(sim->machine, (uintptr_t)address, block, bytes)
                             : sim_write(sim->machine, (uintptr_t)address, block, bytes);
  tile_status status = unlock_device(sim, ok ? TILE_OK : TILE_E_INVALID, "tile_buffer_fill");
  free(block);
  return status;
}

static tile_status written_sim(tile_device *device, const void *address, uint8_t *out,
                               size_t bytes) {
  sim_device *sim = lock_device(device);
  bool ok = sim_written(sim->machine, (uintptr_t)address, out, bytes);
  return unlock_device(sim, ok ? TILE_OK : TILE_E_INVALID, "written");
}

static tile_status sync_sim(tile_device *device) {
  (void)device;
  return TILE_OK;
}

static tile_status status_of(sim_verdict verdict) {
  switch (verdict) {
  case SIM_OK:
    return TILE_OK;
  case SIM_UNSUPPORTED:
  case SIM_BAD_LAUNCH:
    return TILE_E_UNSUPPORTED;
  case SIM_BAD_PTX:
    return TILE_E_FORMAT;
  default:
    return TILE_E_CHECK;
  }
}

// The artifact's parameter list against the entry's own.
static tile_status check_params(const sim_module *module, const tile_code_source *source) {
  int count = 0;
  const uint32_t *offsets = NULL, *sizes = NULL;
  if (!sim_entry_params(module, source->symbol, &count, &offsets, &sizes))
    return tile_fail(TILE_E_FORMAT, "%s: the PTX has no entry '%s'", source->label, source->symbol);
  if (count != source->nparams)
    return tile_fail(TILE_E_FORMAT, "%s: the entry takes %d parameters, the artifact lists %d",
                     source->label, count, source->nparams);
  for (int i = 0; i < count; i++)
    if (offsets[i] != source->param_offsets[i] || sizes[i] != source->param_sizes[i])
      return tile_fail(
          TILE_E_FORMAT,
          "%s: parameter %d lies at %u with %u bytes in the PTX, at %u with %u in the artifact",
          source->label, i, offsets[i], sizes[i], source->param_offsets[i], source->param_sizes[i]);
  return TILE_OK;
}

static tile_status load_sim(tile_device *device, const tile_code_source *source, tile_code **out) {
  if (!source->ptx)
    return tile_fail(TILE_E_NO_VARIANT,
                     "%s: the artifact has no PTX, and the simulator runs PTX only", source->label);
  sim_device *sim = lock_device(device);
  sim_verdict verdict = SIM_OK;
  sim_module *module =
      sim_load_ptx(sim->machine, source->label, source->ptx, source->ptx_bytes, &verdict);
  if (!module)
    return unlock_device(sim, verdict == SIM_OK ? TILE_E_INTERNAL : status_of(verdict),
                         source->label);
  tile_status status = check_params(module, source);
  sim_code *code = status == TILE_OK ? calloc(1, sizeof *code) : NULL;
  if (code) {
    *code =
        (sim_code){{.regs = -1, .ctas_per_sm = source->ctas_per_sm > 0 ? source->ctas_per_sm : 1},
                   module,
                   strdup(source->symbol)};
    *out = &code->base;
  } else {
    sim_unload(module);
    if (status == TILE_OK)
      status = tile_fail(TILE_E_NOMEM, "out of memory");
  }
  pthread_mutex_unlock(&sim->lock);
  return status;
}

static void unload_sim(tile_device *device, tile_code *base) {
  sim_device *sim = lock_device(device);
  sim_code *code = (sim_code *)base;
  sim_unload(code->module);
  pthread_mutex_unlock(&sim->lock);
  free(code->entry);
  free(code);
}

static tile_status launch_sim(tile_device *device, tile_code *base, const tile_dispatch *dispatch,
                              void *stream) {
  (void)stream;
  sim_device *sim = lock_device(device);
  const sim_code *code = (const sim_code *)base;
  sim_launch_desc desc = {
      .entry = code->entry,
      .grid = {dispatch->grid[0], dispatch->grid[1], dispatch->grid[2]},
      .block = {dispatch->threads, 1, 1},
      .cluster = {1, 1, 1},
      .dynamic_smem_bytes = dispatch->smem_bytes,
      .params = dispatch->params,
      .params_bytes = dispatch->params_bytes,
  };
  sim_verdict verdict = sim_launch(code->module, &desc);
  return unlock_device(sim, status_of(verdict), NULL);
}

static tile_status options_sim(tile_device *device, const tile_sim_opts *opts) {
  if (opts->schedule < 0 || opts->schedule > 3)
    return tile_fail(TILE_E_INVALID, "schedule %d: 0 round robin, 1 random, 2 greedy, 3 starve",
                     opts->schedule);
  if (opts->async < 0 || opts->async > 2)
    return tile_fail(TILE_E_INVALID, "async %d: 0 lazy, 1 eager, 2 random", opts->async);
  static const sim_schedule schedules[] = {SIM_RR, SIM_RANDOM, SIM_GREEDY, SIM_STARVE};
  static const sim_async modes[] = {SIM_ASYNC_LAZY, SIM_ASYNC_EAGER, SIM_ASYNC_RANDOM};
  sim_device *sim = lock_device(device);
  sim_options *options = sim_machine_options(sim->machine);
  options->schedule = schedules[opts->schedule];
  options->seed = opts->seed;
  options->starve_warp = (int)(opts->seed % 32);
  options->async = modes[opts->async];
  options->step_limit = opts->step_limit;
  pthread_mutex_unlock(&sim->lock);
  return TILE_OK;
}

static double instructions_sim(tile_device *device) {
  sim_device *sim = lock_device(device);
  double count = (double)sim_stats(sim->machine)->warp_instructions;
  pthread_mutex_unlock(&sim->lock);
  return count;
}

static int tma_type_of(int32_t dtype) {
  switch (dtype) {
  case TILE_F16:
    return SIM_TMA_F16;
  case TILE_BF16:
    return SIM_TMA_BF16;
  case TILE_F32:
    return SIM_TMA_F32;
  case TILE_I32:
  case TILE_U32:
    return SIM_TMA_U32;
  case TILE_I16:
  case TILE_U16:
    return SIM_TMA_U16;
  default:
    return tl_dtype_bits((tl_dtype)dtype) == 8 ? SIM_TMA_U8 : -1;
  }
}

static tile_status encode_tmap_sim(tile_device *device, const tile_tmap_desc *desc, void *out) {
  int type = tma_type_of(desc->dtype), width = desc->swizzle_bytes;
  (void)device;
  if (type < 0)
    return tile_fail(TILE_E_UNSUPPORTED, "TMA does not know this element type");
  sim_tensor_map map = {.address = desc->address,
                        .rank = (uint8_t)desc->rank,
                        .type = (uint8_t)type,
                        .swizzle = width == 128  ? SIM_TMA_128B
                                   : width == 64 ? SIM_TMA_64B
                                   : width == 32 ? SIM_TMA_32B
                                                 : SIM_TMA_PLAIN};
  for (int d = 0; d < desc->rank; d++) {
    map.dims[d] = desc->dims[d];
    map.strides[d] = d ? desc->strides_bytes[d - 1] : 0;
    map.box[d] = desc->box[d];
    map.elem_strides[d] = 1;
  }
  const char *why = sim_tensor_map_check(&map);
  if (why)
    return tile_fail(TILE_E_ALIGN, "TMA descriptor: %s", why);
  sim_tensor_map_encode(&map, out);
  return TILE_OK;
}

static tile_status retarget_tmap_sim(tile_device *device, void *map, uint64_t address) {
  sim_tensor_map decoded;
  (void)device;
  if (!sim_tensor_map_decode(map, &decoded))
    return tile_fail(TILE_E_INTERNAL, "these 128 bytes are no TMA descriptor");
  decoded.address = address;
  const char *why = sim_tensor_map_check(&decoded);
  if (why)
    return tile_fail(TILE_E_ALIGN, "TMA descriptor: %s", why);
  sim_tensor_map_encode(&decoded, map);
  return TILE_OK;
}

static const tile_device_ops sim_ops = {
    .close = close_sim,
    .alloc = alloc_sim,
    .release = release_sim,
    .write = write_sim,
    .read = read_sim,
    .fill = fill_sim,
    .written = written_sim,
    .sync = sync_sim,
    .load = load_sim,
    .unload = unload_sim,
    .launch = launch_sim,
    .encode_tmap = encode_tmap_sim,
    .retarget_tmap = retarget_tmap_sim,
    .sim_options = options_sim,
    .instructions = instructions_sim,
};

static tile_status sms_from_environment(int *out) {
  const char *text = getenv("TILE_SIM_SMS");
  *out = DEFAULT_SMS;
  if (!text || !*text)
    return TILE_OK;
  char *end;
  long count = strtol(text, &end, 10);
  if (*end || count < 1 || count > MAX_SMS)
    return tile_fail(TILE_E_INVALID, "TILE_SIM_SMS='%s': must be 1 to %d", text, MAX_SMS);
  *out = (int)count;
  return TILE_OK;
}

tile_status tile_open_sim(const char *rest, tile_device **out) {
  if (!tl_target_by_name(rest))
    return tile_fail(TILE_E_NO_DEVICE,
                     "no simulated device 'sim:%s'; there are sim:sm_90a, sim:sm_100a, sim:sm_120a",
                     rest);
  int sms;
  TILE_TRY(sms_from_environment(&sms));
  sim_options options;
  sim_options_default(&options);
  sim_machine *machine = sim_create(rest, &options);
  sim_device *sim = calloc(1, sizeof *sim);
  if (!machine || !sim) {
    if (machine)
      sim_destroy(machine);
    free(sim);
    return tile_fail(TILE_E_NOMEM, "sim:%s: cannot make the machine", rest);
  }
  sim->machine = machine;
  sim->base.ops = &sim_ops;
  sim->base.sms = sms;
  snprintf(sim->base.arch, sizeof sim->base.arch, "%s", rest);
  snprintf(sim->base.name, sizeof sim->base.name, "simulator");
  pthread_mutex_init(&sim->lock, NULL);
  *out = &sim->base;
  return TILE_OK;
}
