// Tuning records: what was measured for a shape, or for the bucket it falls into.
#ifndef RUNTIME_RECORDS_H
#define RUNTIME_RECORDS_H
#include "runtime/exprs.h"

enum { TILE_MAX_SHAPE_TEXT = 320 };

// "M=64 N=4096 K=7168", in the order of the kernel's key (without one: all dims). `bucketed`: dims
// with buckets are rounded up to the next one, or down to the last. False: a name has no value.
bool tile_shape_text(const tile_bound *bound, bool bucketed, char *out, size_t size);

// Calls `use` with the records of (device, shape), fastest first, until it returns true: those of
// the device first, then of other devices of the same architecture (an H100 learns from an H200);
// of each those of the exact shape, then of its bucket. False: none was used.
typedef bool (*tile_record_use)(const tile_variant *variant, double ns, void *user);
bool tile_records_walk(const tile_bound *bound, const char *device, const char *arch,
                       tile_record_use use, void *user);
#endif
