// What to measure: shapes from lists of values, and for each the candidates that fit, in the order
// in which the cost model likes them.
#include "lang/base/str.h"
#include "runtime/records.h"
#include "runtime/status.h"
#include "runtime/tune/tune.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHAPES = 100000 };

typedef TL_VEC(int64_t) value_list;

// --- values ------------------------------------------------------------------------------------

static tile_status bad_values(const char *name, const char *text) {
  return tile_fail(TILE_E_INVALID, "%s=%s: wants 64, 1,16,64, 1..8192, 1..8192:64 or buckets", name,
                   text);
}

static tile_status declared_buckets(tuning *t, const char *name, value_list *out) {
  for (int i = 0; i < t->kernel->nkeys; i++)
    if (strcmp(t->kernel->keys[i].name, name) == 0 && t->kernel->keys[i].nbuckets) {
      for (int b = 0; b < t->kernel->keys[i].nbuckets; b++)
        tl_push(&t->arena, out, t->kernel->keys[i].buckets[b]);
      return TILE_OK;
    }
  return tile_fail(TILE_E_INVALID, "'%s' has no buckets in the kernel's key(...)", name);
}

static tile_status add_range(tuning *t, const char *name, const char *text, const char **at,
                             int64_t first, value_list *out) {
  char *end;
  int64_t step = 1, last = strtoll(*at, &end, 10);
  if (end == *at)
    return bad_values(name, text);
  if (*end == ':') {
    *at = end + 1;
    step = strtoll(*at, &end, 10);
  }
  if (end == *at || step < 1 || last < first || (last - first) / step > MAX_SHAPES)
    return bad_values(name, text);
  for (int64_t value = first; value <= last; value += step)
    tl_push(&t->arena, out, value);
  *at = end;
  return TILE_OK;
}

static tile_status parse_values(tuning *t, const char *name, const char *text, value_list *out) {
  if (strcmp(text, "buckets") == 0)
    return declared_buckets(t, name, out);
  for (const char *at = text;;) {
    char *end;
    int64_t value = strtoll(at, &end, 10);
    if (end == at || value < 0)
      return bad_values(name, text);
    at = end;
    if (strncmp(at, "..", 2) == 0) {
      at += 2;
      TILE_TRY(add_range(t, name, text, &at, value, out));
    } else {
      tl_push(&t->arena, out, value);
    }
    if (!*at)
      return TILE_OK;
    if (*at++ != ',')
      return bad_values(name, text);
  }
}

// --- shapes ------------------------------------------------------------------------------------

static int name_index(const tuning *t, const char *name) {
  for (int i = 0; i < t->nnames; i++)
    if (strcmp(t->names[i], name) == 0)
      return i;
  return -1;
}

static void collect_names(tuning *t) {
  for (int i = 0; i < t->kernel->ndims; i++)
    t->names[t->nnames++] = t->kernel->dims[i];
  for (int i = 0; i < t->kernel->nparams; i++)
    if (!t->kernel->params[i].is_tensor && tl_is_int(t->kernel->params[i].dtype))
      t->names[t->nnames++] = t->kernel->params[i].name;
}

static tile_status add_shape(tuning *t, const tune_shape *shape) {
  tile_bound *bound = calloc(1, sizeof *bound);
  tune_shape own = *shape;
  if (!bound)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  tune_bind(t, shape, bound);
  bool good = tile_shape_text(bound, false, own.text, sizeof own.text);
  free(bound);
  if (!good)
    return tile_fail(TILE_E_INVALID, "the shape's text is too long or a key has no value");
  for (uint32_t i = 0; i < t->shapes.len; i++)
    if (strcmp(t->shapes.data[i].text, own.text) == 0)
      return TILE_OK;
  if (t->shapes.len == MAX_SHAPES)
    return tile_fail(TILE_E_INVALID, "more than %d shapes", MAX_SHAPES);
  tl_push(&t->arena, &t->shapes, own);
  return TILE_OK;
}

static tile_status combine(tuning *t, const value_list *lists, int at, tune_shape *shape) {
  if (at == t->nnames)
    return add_shape(t, shape);
  for (uint32_t i = 0; i < lists[at].len; i++) {
    shape->values[at] = lists[at].data[i];
    TILE_TRY(combine(t, lists, at + 1, shape));
  }
  return TILE_OK;
}

static tile_status shapes_of(tuning *t, const run_pair *values, int nvalues) {
  value_list *lists = TL_NEW_N(&t->arena, value_list, t->nnames + 1);
  for (int i = 0; i < nvalues; i++) {
    int at = name_index(t, values[i].name);
    if (at < 0)
      return tile_fail(TILE_E_INVALID, "'%s' has no dim or integer '%s'", t->kernel->name,
                       values[i].name);
    TILE_TRY(parse_values(t, values[i].name, values[i].value, &lists[at]));
  }
  for (int i = 0; i < t->nnames; i++)
    if (!lists[i].len)
      return tile_fail(TILE_E_INVALID, "'%s' needs values: %s=...", t->names[i], t->names[i]);
  tune_shape shape = {0};
  return combine(t, lists, 0, &shape);
}

// Lines of NAME=VALUES; '#' starts a comment.
static tile_status shapes_from_file(tuning *t, const char *path) {
  size_t len;
  char *text = tl_read_file(path, &len), *lines, *words;
  if (!text)
    return tile_fail(TILE_E_IO, "%s: %s", path, strerror(errno));
  char *own = tl_strndup(&t->arena, text, len);
  free(text);
  for (char *line = strtok_r(own, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
    run_pair values[TUNE_MAX_VALUES];
    int count = 0;
    line[strcspn(line, "#")] = 0;
    for (char *word = strtok_r(line, " \t\r", &words); word && count < TUNE_MAX_VALUES;
         word = strtok_r(NULL, " \t\r", &words)) {
      char *equals = strchr(word, '=');
      if (!equals)
        return tile_fail(TILE_E_INVALID, "%s: '%s' is not NAME=VALUES", path, word);
      *equals = 0;
      values[count++] = (run_pair){word, equals + 1};
    }
    if (count)
      TILE_TRY(shapes_of(t, values, count));
  }
  return TILE_OK;
}

tile_status tune_list_shapes(tuning *t) {
  const tune_options *o = t->options;
  collect_names(t);
  TILE_TRY(o->shapes ? shapes_from_file(t, o->shapes) : shapes_of(t, o->values, o->nvalues));
  uint32_t kept = 0;
  for (uint32_t i = 0; i < t->shapes.len; i++)
    if ((int)i % o->shards == o->shard)
      t->shapes.data[kept++] = t->shapes.data[i];
  t->shapes.len = kept;
  return TILE_OK;
}

// --- arguments ---------------------------------------------------------------------------------

void tune_bind(const tuning *t, const tune_shape *shape, tile_bound *out) {
  out->kernel = t->kernel;
  for (int i = 0; i < t->nnames; i++) {
    if (i < t->kernel->ndims) {
      out->dims[i] = shape->values[i];
      out->has_dim[i] = true;
      continue;
    }
    for (int p = 0; p < t->kernel->nparams; p++)
      if (strcmp(t->kernel->params[p].name, t->names[i]) == 0)
        out->args[p] = (tile_arg){.kind = TILE_ARG_INT, .i = shape->values[i]};
  }
}

// Random elements, repeated with a period that no tile size divides: filling takes no longer than
// copying.
void tune_fill(run_tensor *tensor) {
  enum { PERIOD = 65521 };
  const tile_param *param = tensor->param;
  int bits = tl_dtype_bits(param->dtype);
  size_t size = bits < 8 ? 1 : (size_t)bits / 8, period = PERIOD * size;
  unsigned char *pattern = calloc(PERIOD, size);
  if (!pattern)
    return; // zeros are data too
  run_random_elements(param, 1, pattern, PERIOD);
  for (size_t at = 0; at < tensor->bytes; at += period)
    memcpy(tensor->host + at, pattern, tensor->bytes - at < period ? tensor->bytes - at : period);
  free(pattern);
}

int tune_make_case(const tuning *t, const tune_shape *shape, run_case *out) {
  tl_arena arena = {0};
  run_options options = {.nvalues = 0};
  for (int i = 0; i < t->nnames; i++)
    options.values[options.nvalues++] =
        (run_pair){t->names[i], tl_sprintf(&arena, "%" PRId64, shape->values[i])};
  for (int i = 0; i < t->kernel->nparams; i++) {
    const tile_param *param = &t->kernel->params[i];
    if (param->is_tensor && param->dir != TILE_OUT)
      options.values[options.nvalues++] = (run_pair){param->name, "zeros"};
    else if (!param->is_tensor && tl_is_float(param->dtype))
      options.values[options.nvalues++] = (run_pair){param->name, "1"};
  }
  int code = run_make_case(&options, t->kernel, out);
  tl_arena_free(&arena);
  return code;
}

// --- candidates --------------------------------------------------------------------------------

static int by_promise(const void *a, const void *b) {
  const tune_job *x = a, *y = b;
  if (x->expected_ns != y->expected_ns)
    return x->expected_ns < y->expected_ns ? -1 : 1;
  return x->variant->rank - y->variant->rank;
}

static tile_status jobs_of(tuning *t, int index, tile_bound *bound) {
  tile_target target = {t->device.arch, t->device.name, t->device.sms};
  tile_chooser chooser;
  TL_VEC(tune_job) found = {0};
  tune_bind(t, &t->shapes.data[index], bound);
  TILE_TRY(tile_chooser_create(bound, &target, &chooser));
  for (int v = 0; v < t->kernel->nvariants; v++) {
    const tile_variant *variant = &t->kernel->variants[v];
    if (strcmp(variant->arch, t->device.arch) != 0 || !tile_chooser_fits(&chooser, variant))
      continue;
    const tile_cost *cost = tile_chooser_cost(&chooser, variant);
    tune_job job = {.shape = index, .variant = variant, .expected_ns = cost ? cost->total : 0};
    tl_push(&t->arena, &found, job);
  }
  tile_chooser_free(&chooser);
  if (!found.len)
    return tile_fail(TILE_E_NO_VARIANT, "no variant of '%s' for %s fits %s", t->kernel->name,
                     t->device.arch, t->shapes.data[index].text);
  qsort(found.data, found.len, sizeof *found.data, by_promise);
  uint32_t most = t->options->top ? (uint32_t)t->options->top : found.len;
  for (uint32_t i = 0; i < found.len; i++) {
    if (i < most)
      tl_push(&t->arena, &t->jobs, found.data[i]);
    else
      t->left_out++;
  }
  return TILE_OK;
}

tile_status tune_list_jobs(tuning *t) {
  tile_bound *bound = calloc(1, sizeof *bound);
  if (!bound)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  tile_status status = TILE_OK;
  for (uint32_t i = 0; i < t->shapes.len && status == TILE_OK; i++)
    status = jobs_of(t, (int)i, bound);
  free(bound);
  return status;
}

static bool has_descriptors(const tile_variant *variant) {
  for (int i = 0; i < variant->nabi; i++)
    if (variant->abi[i].kind == TILE_ABI_TMAP)
      return true;
  return false;
}

const tile_variant *tune_witness(const tuning *t, const tune_shape *shape) {
  tile_target target = {t->device.arch, t->device.name, t->device.sms};
  tile_bound *bound = calloc(1, sizeof *bound);
  tile_chooser chooser;
  const tile_variant *best = NULL;
  if (!bound)
    return NULL;
  tune_bind(t, shape, bound);
  if (tile_chooser_create(bound, &target, &chooser) == TILE_OK) {
    for (int v = 0; v < t->kernel->nvariants; v++) {
      const tile_variant *variant = &t->kernel->variants[v];
      if (strcmp(variant->arch, t->device.arch) != 0 || !tile_chooser_fits(&chooser, variant))
        continue;
      bool plainer =
          best &&
          (has_descriptors(best) > has_descriptors(variant) ||
           (has_descriptors(best) == has_descriptors(variant) && best->align > variant->align));
      if (!best || plainer)
        best = variant;
    }
    tile_chooser_free(&chooser);
  }
  free(bound);
  return best;
}
