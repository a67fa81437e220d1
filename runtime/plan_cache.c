// tile_launch: the one-shot call, over a small cache of plans.
//
// A plan depends on types, shapes, strides, scalars, the device and whether the addresses are
// aligned; not on the addresses. Those things, written down one after another, are the key. Plans
// are kept until the module goes: one that another thread is running is never destroyed, and when
// the cache is full further shapes get a plan for one call.
#include "runtime/plan_cache.h"
#include "runtime/artifact.h"
#include "runtime/status.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLANS = 256, KEY_WORDS = TILE_MAX_PARAMS * (2 * TILE_MAX_RANK + 2) + 2, ALIGNED = 16 };

typedef struct cached {
  struct cached *next;
  tile_plan *plan;
  uint64_t hash;
  size_t nwords;
  int64_t words[]; // the key
} cached;

struct tile_plan_cache {
  pthread_mutex_t lock;
  cached *plans;
  int count;
};

typedef struct launch_key {
  size_t nwords;
  uint64_t hash;
  int64_t words[KEY_WORDS];
  int nptrs;
  void *ptrs[TILE_MAX_PARAMS]; // not part of it
} launch_key;

tile_plan_cache *tile_plan_cache_new(void) {
  tile_plan_cache *cache = calloc(1, sizeof *cache);
  if (cache)
    pthread_mutex_init(&cache->lock, NULL);
  return cache;
}

void tile_plan_cache_free(tile_plan_cache *cache) {
  if (!cache)
    return;
  for (cached *entry = cache->plans, *next; entry; entry = next) {
    next = entry->next;
    tile_plan_destroy(entry->plan);
    free(entry);
  }
  pthread_mutex_destroy(&cache->lock);
  free(cache);
}

static void add_word(launch_key *key, int64_t word) {
  key->words[key->nwords++] = word;
  key->hash = (key->hash ^ (uint64_t)word) * 0x9E3779B97F4A7C15u;
  key->hash ^= key->hash >> 29;
}

static tile_status add_tensor(launch_key *key, int pos, const tile_tensor *tensor) {
  if (tensor->ndim < 0 || tensor->ndim > TILE_MAX_RANK || (tensor->ndim && !tensor->shape))
    return tile_fail(TILE_E_INVALID, "arg %d: a tensor of rank %d without a usable shape", pos,
                     tensor->ndim);
  add_word(key, tensor->dtype * 32 + tensor->ndim * 2 + (tensor->stride != NULL));
  for (int i = 0; i < tensor->ndim; i++) {
    add_word(key, tensor->shape[i]);
    if (tensor->stride)
      add_word(key, tensor->stride[i]);
  }
  key->ptrs[key->nptrs++] = tensor->data;
  return TILE_OK;
}

static tile_status make_key(launch_key *key, const tile_device *device, const tile_arg *args,
                            int nargs) {
  uintptr_t bits = 0;
  key->nwords = 0, key->hash = 0, key->nptrs = 0;
  add_word(key, (int64_t)(uintptr_t)device);
  for (int i = 0; i < nargs; i++) {
    int64_t scalar = args[i].i;
    if (args[i].kind == TILE_ARG_TENSOR) {
      TILE_TRY(add_tensor(key, i, &args[i].tensor));
      bits |= (uintptr_t)args[i].tensor.data;
      continue;
    }
    if (args[i].kind == TILE_ARG_FLOAT)
      memcpy(&scalar, &args[i].f, sizeof scalar);
    add_word(key, scalar);
  }
  add_word(key, bits % ALIGNED == 0);
  return TILE_OK;
}

static tile_plan *find(const tile_plan_cache *cache, const launch_key *key) {
  for (const cached *entry = cache->plans; entry; entry = entry->next)
    if (entry->hash == key->hash && entry->nwords == key->nwords &&
        memcmp(entry->words, key->words, key->nwords * sizeof *key->words) == 0)
      return entry->plan;
  return NULL;
}

// Under the lock. False: the plan stays the caller's.
static bool keep(tile_plan_cache *cache, const launch_key *key, tile_plan *plan) {
  if (cache->count == MAX_PLANS || find(cache, key))
    return false;
  cached *entry = malloc(sizeof *entry + key->nwords * sizeof *key->words);
  if (!entry)
    return false;
  *entry = (cached){cache->plans, plan, key->hash, key->nwords};
  memcpy(entry->words, key->words, key->nwords * sizeof *key->words);
  cache->plans = entry;
  cache->count++;
  return true;
}

// Loading code is not allowed while a stream is captured into a graph.
static tile_status launch_anew(tile_kernel *kernel, tile_device *device, const tile_arg *args,
                               int nargs, const launch_key *key, void *stream) {
  if (device->ops->capturing && device->ops->capturing(device, stream))
    return tile_fail(TILE_E_CAPTURE,
                     "tile_launch may load code and the stream is being captured: create a plan "
                     "before the capture and run that, or call with these shapes once before it");
  tile_plan *plan;
  TILE_TRY(tile_plan_create(kernel, device, args, nargs, NULL, &plan));
  tile_status status = tile_plan_run(plan, NULL, NULL, 0, stream);
  pthread_mutex_lock(&kernel->cache->lock);
  bool kept = status == TILE_OK && keep(kernel->cache, key, plan);
  pthread_mutex_unlock(&kernel->cache->lock);
  if (!kept)
    tile_plan_destroy(plan);
  return status;
}

tile_status tile_launch(tile_kernel *kernel, tile_device *device, const tile_arg *args, int nargs,
                        void *stream) {
  if (!kernel || !device || (nargs && !args))
    return tile_fail(TILE_E_INVALID, "tile_launch: an argument is NULL");
  if (nargs != kernel->nparams)
    return tile_fail(TILE_E_INVALID, "'%s' takes %d arguments, %d were given", kernel->name,
                     kernel->nparams, nargs);
  launch_key key;
  TILE_TRY(make_key(&key, device, args, nargs));
  pthread_mutex_lock(&kernel->cache->lock);
  tile_plan *plan = find(kernel->cache, &key);
  pthread_mutex_unlock(&kernel->cache->lock);
  if (plan)
    return tile_plan_run(plan, key.ptrs, NULL, 0, stream);
  return launch_anew(kernel, device, args, nargs, &key, stream);
}
