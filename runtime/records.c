// Looking tuning records up: linear over the kernel's, which are few and sorted.
#include "runtime/records.h"
#include "runtime/cost.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The least bucket that is not below the value; beyond the last, the last.
static int64_t bucket_of(const tile_key *key, int64_t value) {
  for (int i = 0; i < key->nbuckets; i++)
    if (value <= key->buckets[i])
      return key->buckets[i];
  return key->nbuckets ? key->buckets[key->nbuckets - 1] : value;
}

bool tile_shape_text(const tile_bound *bound, bool bucketed, char *out, size_t size) {
  const tile_kernel *kernel = bound->kernel;
  int count = kernel->nkeys ? kernel->nkeys : kernel->ndims;
  size_t used = 0;
  *out = 0;
  for (int i = 0; i < count; i++) {
    const char *name = kernel->nkeys ? kernel->keys[i].name : kernel->dims[i];
    int64_t value;
    if (!tile_bound_lookup((void *)bound, name, strlen(name), &value))
      return false;
    if (bucketed && kernel->nkeys)
      value = bucket_of(&kernel->keys[i], value);
    int wrote = snprintf(out + used, size - used, "%s%s=%" PRId64, i ? " " : "", name, value);
    if (wrote < 0 || (size_t)wrote >= size - used)
      return false;
    used += (size_t)wrote;
  }
  return true;
}

// Of another device, but one of this architecture?
static bool is_relative(const tile_record *record, const char *arch) {
  const tile_machine *machine = tile_machine_named(record->device);
  return machine && strcmp(machine->arch, arch) == 0;
}

static bool walk_shape(const tile_kernel *kernel, const char *device, bool same_device,
                       const char *arch, const char *shape, tile_record_use use, void *user) {
  for (int i = 0; i < kernel->nrecords; i++) {
    const tile_record *record = &kernel->records[i];
    bool is_own = strcmp(record->device, device) == 0;
    if (strcmp(record->shape, shape) != 0 || is_own != same_device ||
        (!is_own && !is_relative(record, arch)))
      continue;
    for (int v = 0; v < kernel->nvariants; v++) {
      const tile_variant *variant = &kernel->variants[v];
      if (strcmp(variant->arch, arch) == 0 && strcmp(variant->name, record->variant) == 0 &&
          use(variant, record->ns, user))
        return true;
    }
  }
  return false;
}

bool tile_records_walk(const tile_bound *bound, const char *device, const char *arch,
                       tile_record_use use, void *user) {
  char exact[TILE_MAX_SHAPE_TEXT], near[TILE_MAX_SHAPE_TEXT];
  if (!bound->kernel->nrecords || !tile_shape_text(bound, false, exact, sizeof exact) ||
      !tile_shape_text(bound, true, near, sizeof near))
    return false;
  for (int other = 0; other < 2; other++) {
    if (walk_shape(bound->kernel, device, !other, arch, exact, use, user))
      return true;
    if (strcmp(exact, near) != 0 &&
        walk_shape(bound->kernel, device, !other, arch, near, use, user))
      return true;
  }
  return false;
}
