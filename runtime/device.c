// Contexts, opening a device by name, and the public calls that go straight to a device.
#include "runtime/device.h"
#include "lang/base/str.h"
#include "runtime/status.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tile_ctx {
  pthread_mutex_t lock;
  tile_device *devices;
};

tile_status tile_ctx_create(uint32_t abi, tile_ctx **out) {
  if (!out)
    return tile_fail(TILE_E_INVALID, "tile_ctx_create: out is NULL");
  if (abi != TILE_ABI)
    return tile_fail(TILE_E_INVALID, "the program was compiled for ABI %u of tile.h, this is %u",
                     abi, TILE_ABI);
  tile_ctx *ctx = calloc(1, sizeof *ctx);
  if (!ctx)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  pthread_mutex_init(&ctx->lock, NULL);
  *out = ctx;
  return TILE_OK;
}

void tile_ctx_destroy(tile_ctx *ctx) {
  if (!ctx)
    return;
  while (ctx->devices) {
    tile_device *device = ctx->devices;
    ctx->devices = device->next;
    device->ops->close(device);
  }
  pthread_mutex_destroy(&ctx->lock);
  free(ctx);
}

void tile_ctx_adopt(tile_ctx *ctx, tile_device *device) {
  device->next = ctx->devices;
  ctx->devices = device;
}

static tile_status open_by_name(const char *name, tile_device **out) {
  if (tl_starts_with(name, "cuda:"))
    return tile_open_cuda(name + 5, out);
  if (strcmp(name, "cuda") == 0)
    return tile_open_cuda("0", out);
  if (tl_starts_with(name, "sim:"))
    return tile_open_sim(name + 4, out);
  return tile_fail(
      TILE_E_INVALID,
      "no device is called '%s'; there are cuda:N, sim:sm_90a, sim:sm_100a, sim:sm_120a", name);
}

tile_status tile_device_open(tile_ctx *ctx, const char *name, tile_device **out) {
  if (!ctx || !name || !out)
    return tile_fail(TILE_E_INVALID, "tile_device_open: an argument is NULL");
  pthread_mutex_lock(&ctx->lock);
  tile_status status = TILE_OK;
  tile_device *device = ctx->devices;
  while (device && strcmp(device->key, name) != 0)
    device = device->next;
  if (!device && (status = open_by_name(name, &device)) == TILE_OK) {
    snprintf(device->key, sizeof device->key, "%s", name);
    tile_ctx_adopt(ctx, device);
  }
  pthread_mutex_unlock(&ctx->lock);
  if (status == TILE_OK)
    *out = device;
  return status;
}

const char *tile_device_arch(const tile_device *device) { return device ? device->arch : ""; }
const char *tile_device_name(const tile_device *device) { return device ? device->name : ""; }
int tile_device_sms(const tile_device *device) { return device ? device->sms : 0; }

tile_status tile_buffer_create(tile_device *device, size_t bytes, const char *name,
                               void **out_address) {
  if (!device || !out_address)
    return tile_fail(TILE_E_INVALID, "tile_buffer_create: an argument is NULL");
  // Empty tensors have an address too: one byte keeps it unlike every other.
  return device->ops->alloc(device, bytes ? bytes : 1, name ? name : "buffer", out_address);
}

tile_status tile_buffer_destroy(tile_device *device, void *address) {
  if (!device)
    return tile_fail(TILE_E_INVALID, "tile_buffer_destroy: device is NULL");
  return address ? device->ops->release(device, address) : TILE_OK;
}

tile_status tile_buffer_write(tile_device *device, void *address, const void *host, size_t bytes) {
  if (!device || (bytes && (!address || !host)))
    return tile_fail(TILE_E_INVALID, "tile_buffer_write: an argument is NULL");
  return bytes ? device->ops->write(device, address, host, bytes) : TILE_OK;
}

tile_status tile_buffer_read(tile_device *device, const void *address, void *host, size_t bytes) {
  if (!device || (bytes && (!address || !host)))
    return tile_fail(TILE_E_INVALID, "tile_buffer_read: an argument is NULL");
  return bytes ? device->ops->read(device, address, host, bytes) : TILE_OK;
}

tile_status tile_buffer_fill(tile_device *device, void *address, uint8_t byte, size_t bytes,
                             int as_uninitialised) {
  if (!device || (bytes && !address))
    return tile_fail(TILE_E_INVALID, "tile_buffer_fill: an argument is NULL");
  return bytes ? device->ops->fill(device, address, byte, bytes, as_uninitialised != 0) : TILE_OK;
}

tile_status tile_device_sync(tile_device *device) {
  if (!device)
    return tile_fail(TILE_E_INVALID, "tile_device_sync: device is NULL");
  return device->ops->sync(device);
}

tile_status tile_device_sim_options(tile_device *device, const tile_sim_opts *opts) {
  if (!device || !opts || opts->size < sizeof(tile_sim_opts))
    return tile_fail(TILE_E_INVALID,
                     "tile_device_sim_options: an argument is NULL or of another size");
  if (!device->ops->sim_options)
    return tile_fail(TILE_E_UNSUPPORTED, "'%s' is not a simulated device", device->key);
  return device->ops->sim_options(device, opts);
}

double tile_device_instructions(tile_device *device) {
  return device->ops->instructions ? device->ops->instructions(device) : 0;
}
