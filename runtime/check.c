// The comparison behind `--check ref`.
#include "runtime/check.h"
#include "lang/base/fp.h"
#include <math.h>
#include <string.h>

enum { WINDOW = 4 };

uint64_t check_element_bits(const check_array *array, const int64_t *at) {
  int64_t offset = 0;
  for (int i = 0; i < array->ndim; i++)
    offset += at[i] * array->stride[i];
  int bits = tl_dtype_bits(array->dtype);
  const unsigned char *bytes = array->data;
  if (bits == 4) // even element in the low nibble
    return bytes[offset / 2] >> (offset % 2 * 4) & 15;
  uint64_t value = 0;
  size_t size = bits < 8 ? 1 : (size_t)bits / 8;
  memcpy(&value, bytes + offset * (int64_t)size, size);
  return value;
}

static double value_of(tl_dtype dtype, uint64_t bits) {
  if (tl_is_float(dtype))
    return tl_fp_decode(dtype, bits);
  int width = tl_dtype_bits(dtype);
  if (width == 1)
    return bits & 1;
  if (tl_is_signed(dtype))
    return (double)((int64_t)(bits << (64 - width)) >> (64 - width));
  return (double)bits;
}

double check_element(const check_array *array, const int64_t *at) {
  return value_of(array->dtype, check_element_bits(array, at));
}

// Distance to the next larger magnitude of the type.
static double ulp_of(tl_dtype dtype, double value) {
  if (!tl_is_float(dtype))
    return 1;
  const tl_dtype_info *info = tl_dtype_of(dtype);
  int exponent;
  frexp(value, &exponent); // |value| in [2^(exponent-1), 2^exponent)
  int lowest = 1 - info->bias;
  exponent = value == 0 || exponent - 1 < lowest ? lowest : exponent - 1;
  return ldexp(1, exponent - info->fraction_bits);
}

static bool step(const check_array *array, int64_t *at) {
  for (int i = array->ndim - 1; i >= 0; i--) {
    if (++at[i] < array->shape[i])
      return true;
    at[i] = 0;
  }
  return false;
}

static bool is_empty(const check_array *array) {
  for (int i = 0; i < array->ndim; i++)
    if (array->shape[i] == 0)
      return true;
  return false;
}

static double largest(const check_array *array) {
  int64_t at[CHECK_MAX_RANK] = {0};
  double most = 0;
  do {
    double value = fabs(check_element(array, at));
    if (isfinite(value) && value > most)
      most = value;
  } while (step(array, at));
  return most;
}

typedef struct sums {
  double xy, squares;
} sums;

// Ulps between two elements; 0 when they count as equal.
static double distance(tl_dtype dtype, double x, double y, double *out_error) {
  *out_error = 0;
  if (x == y || (isnan(x) && isnan(y)))
    return 0;
  if (!isfinite(x) || !isfinite(y))
    return *out_error = INFINITY;
  *out_error = fabs(x - y);
  // At a power of two the smaller neighbour's ulp is half: measure with the larger one.
  return *out_error / ulp_of(dtype, fabs(x) > fabs(y) ? x : y);
}

static bool is_all_ones(const check_array *array, const int64_t *at) {
  return check_element_bits(array, at) == UINT64_MAX >> (64 - tl_dtype_bits(array->dtype));
}

// All bits set is no number that the reference would write. For an integer it is -1, for ue8m0 the
// only NaN.
static bool bits_tell(tl_dtype dtype) {
  return tl_is_float(dtype) && tl_dtype_bits(dtype) >= 8 && dtype != TL_UE8M0;
}

// Where the element lies, in bytes of the array.
static int64_t byte_of(const check_array *array, const int64_t *at) {
  int64_t offset = 0;
  for (int i = 0; i < array->ndim; i++)
    offset += at[i] * array->stride[i];
  int bits = tl_dtype_bits(array->dtype);
  return bits == 4 ? offset / 2 : offset * (bits < 8 ? 1 : bits / 8);
}

static bool is_unwritten(const check_array *array, const int64_t *at) {
  int bits = tl_dtype_bits(array->dtype);
  if (!array->was_poison)
    return false;
  if (!array->written)
    return bits_tell(array->dtype) && is_all_ones(array, at);
  const uint8_t *written = array->written + byte_of(array, at);
  for (int i = 0; i < (bits < 8 ? 1 : bits / 8); i++)
    if (!written[i])
      return true;
  return false;
}

static void note_worst(check_result *out, const int64_t *at, int ndim, double error, bool bad,
                       bool *worst_is_bad) {
  bool better = bad != *worst_is_bad ? bad : error > out->worst_error;
  if (!better)
    return;
  *worst_is_bad = bad;
  out->worst_error = error;
  memcpy(out->worst, at, sizeof *at * (size_t)ndim);
}

void check_compare(const check_array *got, const check_array *want, int sum_bits,
                   check_result *out) {
  *out = (check_result){.passed = true, .sum_bits = sum_bits};
  if (is_empty(want))
    return;
  bool is_float = tl_is_float(want->dtype), worst_is_bad = false;
  double most = largest(want), scale = most > 0 ? 1 / most : 1; // squares of f64 may overflow
  out->floor = is_float ? ldexp(most, 3 - sum_bits) : 0;
  sums sum = {0, 0};
  int64_t at[CHECK_MAX_RANK] = {0};
  do {
    double x = check_element(got, at), y = check_element(want, at), error = 0;
    // 64-bit integers do not all fit a double.
    bool same = !is_float && check_element_bits(got, at) == check_element_bits(want, at);
    double ulps = same ? 0 : distance(want->dtype, x, y, &error);
    bool got_none = is_unwritten(got, at), want_none = is_unwritten(want, at);
    // Where the reference's bits do not tell, all of them set on both sides may be either.
    bool unknown = !bits_tell(want->dtype) && is_all_ones(got, at) && is_all_ones(want, at);
    if (got_none != want_none && !unknown)
      same = false, ulps = error = INFINITY;
    out->unwritten += got_none && want_none;
    out->elements++;
    if (isfinite(x) && isfinite(y)) {
      sum.xy += x * scale * (y * scale);
      sum.squares += x * scale * (x * scale) + y * scale * (y * scale);
    }
    if (same || (ulps == 0 && is_float))
      continue;
    bool bad = !is_float || (ulps > 1 && error > out->floor);
    out->differing++;
    out->over_one_ulp += ulps > 1;
    out->bad += bad;
    out->max_ulp = ulps > out->max_ulp ? ulps : out->max_ulp;
    note_worst(out, at, want->ndim, error, bad, &worst_is_bad);
  } while (step(want, at));
  out->calc_diff = sum.squares > 0 ? 1 - 2 * sum.xy / sum.squares : 0;
  out->passed = out->bad == 0 && out->calc_diff < CHECK_CALC_DIFF && out->unwritten < out->elements;
}

// --- printing ----------------------------------------------------------------------------------

static void print_index(FILE *out, const int64_t *at, int ndim) {
  fputc('[', out);
  for (int i = 0; i < ndim; i++)
    fprintf(out, "%s%lld", i ? ", " : "", (long long)at[i]);
  fputc(']', out);
}

static int64_t window_start(int64_t centre, int64_t extent) {
  int64_t from = centre - WINDOW / 2;
  from = from + WINDOW > extent ? extent - WINDOW : from;
  return from < 0 ? 0 : from;
}

static void print_window(FILE *out, const char *title, const check_array *array,
                         const int64_t *worst) {
  int rows = array->ndim >= 2 ? array->ndim - 2 : -1, cols = array->ndim - 1;
  int64_t at[CHECK_MAX_RANK] = {0};
  memcpy(at, worst, sizeof *at * (size_t)array->ndim);
  int64_t row0 = rows >= 0 ? window_start(worst[rows], array->shape[rows]) : 0;
  int64_t nrows = rows >= 0 ? array->shape[rows] : 1;
  int64_t col0 = cols >= 0 ? window_start(worst[cols], array->shape[cols]) : 0;
  int64_t ncols = cols >= 0 ? array->shape[cols] : 1;
  fprintf(out, "  %s, rows from %lld, columns from %lld:\n", title, (long long)row0,
          (long long)col0);
  for (int64_t r = row0; r < row0 + WINDOW && r < nrows; r++) {
    fputs("   ", out);
    for (int64_t c = col0; c < col0 + WINDOW && c < ncols; c++) {
      if (rows >= 0)
        at[rows] = r;
      if (cols >= 0)
        at[cols] = c;
      bool is_worst = (rows < 0 || r == worst[rows]) && (cols < 0 || c == worst[cols]);
      fprintf(out, " %13.7g%c", check_element(array, at), is_worst ? '*' : ' ');
    }
    fputc('\n', out);
  }
}

void check_print(FILE *out, const char *name, const check_array *got, const check_array *want,
                 const check_result *result) {
  fprintf(out, "check %s: %s  calc_diff %.3g  max ulp %.4g  differing %lld of %lld", name,
          result->passed ? "ok" : "FAILED", result->calc_diff, result->max_ulp,
          (long long)result->differing, (long long)result->elements);
  if (result->over_one_ulp)
    fprintf(out, "  over 1 ulp %lld (beyond %.3g: %lld)", (long long)result->over_one_ulp,
            result->floor, (long long)result->bad);
  if (result->sum_bits < CHECK_SUM_BITS)
    fprintf(
        out,
        "  (fp8 wgmma: %d fraction bits, so up to %.3g of the largest value counts as rounding)",
        result->sum_bits, ldexp(1, 3 - result->sum_bits));
  if (result->unwritten)
    fprintf(out, "  never written %lld", (long long)result->unwritten);
  if (result->differing) {
    fputs("  worst ", out);
    print_index(out, result->worst, want->ndim);
    fprintf(out, " got %.9g, reference %.9g", check_element(got, result->worst),
            check_element(want, result->worst));
  }
  fputc('\n', out);
  if (result->passed)
    return;
  print_window(out, "got", got, result->worst);
  print_window(out, "reference", want, result->worst);
}
