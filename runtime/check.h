// Comparing a result with its reference, element by element, in the output's own type.
//
// Equal means: the same value, or both NaN. Otherwise an element may differ by one ulp of the
// output type, since the order of a sum is free; or by less than `floor`, the rounding that sums of
// terms as large as the largest output leave behind: 2^(3 - sum_bits) of that. sum_bits is 21 where
// products are added in f32 or wider, in any order; the fp8 forms of wgmma keep 13 fraction bits of
// each product beside the largest of 32, which is documented arithmetic, and the result says so. An
// output near zero, where terms cancel, is many ulps wrong for that reason. calc_diff, over all
// elements, must stay under 1e-5 in either case.
//
// Outputs start as poison, all bits set. An element that one side wrote and the other did not is
// bad although both read as NaN, and an output that nobody wrote at all passes no check. Whether a
// device wrote is asked of the device, since it may well write the bits of poison: a NaN of its
// input, or -1. The reference's NaN has other bits than poison; of its integers nobody knows.
#ifndef RUNTIME_CHECK_H
#define RUNTIME_CHECK_H
#include "lang/dtype.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CHECK_MAX_RANK = 8 };

typedef struct check_array { // host memory
  tl_dtype dtype;
  int ndim;
  const int64_t *shape, *stride; // elements
  const void *data;
  bool was_poison;        // before the run every byte was 0xFF
  const uint8_t *written; // by byte of `data`: 1 or 0; NULL: the bits must tell
} check_array;

typedef struct check_result {
  bool passed;
  int64_t elements, differing, over_one_ulp;
  int64_t bad;       // neither within an ulp nor under the floor
  int64_t unwritten; // by both
  double calc_diff;  // 1 - 2 sum(xy) / sum(x^2 + y^2)
  double max_ulp;    // INFINITY where NaN or infinity stand against a number
  double floor;
  int sum_bits;
  double worst_error;            // absolute, at `worst`
  int64_t worst[CHECK_MAX_RANK]; // the element that fails most, else differs most
} check_result;

#define CHECK_CALC_DIFF 1e-5
enum { CHECK_SUM_BITS = 21 };

// Both arrays have the same type and shape.
void check_compare(const check_array *got, const check_array *want, int sum_bits,
                   check_result *out);
// One line; after a failure also the worst element's neighbourhood, 4x4 of both.
void check_print(FILE *out, const char *name, const check_array *got, const check_array *want,
                 const check_result *result);
// Bits of element `at` (0 .. shape product - 1, row-major), and where it lies.
uint64_t check_element_bits(const check_array *array, const int64_t *at);
double check_element(const check_array *array, const int64_t *at);
#endif
