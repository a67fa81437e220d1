// tiletune: measure variants, keep records, list what selection can take. Options and exit codes
// are a contract; the parts are in runtime/tune/.
#include "lang/base/str.h"
#include "lang/target.h"
#include "runtime/status.h"
#include "runtime/tune/tune.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int report(tile_status status) {
  if (status == TILE_OK)
    return RUN_OK;
  fprintf(stderr, "tiletune: %s\n", tile_last_error());
  return status == TILE_E_INTERNAL ? RUN_INTERNAL : RUN_BAD_INPUT;
}

static tile_status open_kernel(tuning *t) {
  TILE_TRY(tile_ctx_create(TILE_ABI, &t->ctx));
  TILE_TRY(tile_module_load_file(t->ctx, t->options->file, &t->module));
  return t->options->kernel ? tile_kernel_get(t->module, t->options->kernel, &t->kernel) : TILE_OK;
}

// --- tune --------------------------------------------------------------------------------------

static tile_status append_log(const char *path, const tune_records *records) {
  FILE *out = fopen(path, "a");
  if (!out)
    return tile_fail(TILE_E_IO, "%s: %s", path, strerror(errno));
  tune_print_records(out, records);
  return fclose(out) == 0 ? TILE_OK : tile_fail(TILE_E_IO, "%s: %s", path, strerror(errno));
}

static tile_status keep_records(tuning *t) {
  const tune_options *o = t->options;
  tune_records records = {0};
  int stored, unknown;
  tune_collect(t, &records);
  if (o->log)
    TILE_TRY(append_log(o->log, &records));
  if (o->report)
    TILE_TRY(tune_write_html(t, o->report));
  if (!records.len)
    return TILE_OK;
  TILE_TRY(tune_store(o->file, o->out ? o->out : o->file, &records, &stored, &unknown));
  printf("%d records in %s\n", stored, o->out ? o->out : o->file);
  return TILE_OK;
}

static int tune(tuning *t) {
  tile_status status = open_kernel(t);
  if (status == TILE_OK)
    status = tune_probe(t->options->device, &t->device);
  if (status == TILE_OK)
    status = tune_list_shapes(t);
  if (status == TILE_OK)
    status = tune_list_jobs(t);
  if (status != TILE_OK)
    return report(status);
  fprintf(stderr, "tiletune: %s on %s: %u shapes, %u candidates, %d ruled out by the model\n",
          t->kernel->name, t->device.name, t->shapes.len, t->jobs.len, t->left_out);
  status = tune_run(t);
  if (status != TILE_OK)
    return report(status);
  tune_print_table(t, stdout);
  status = keep_records(t);
  int code = report(status);
  for (uint32_t i = 0; i < t->jobs.len && code == RUN_OK; i++)
    if (t->jobs.data[i].state == TUNE_WRONG)
      code = RUN_CHECK_FAILED;
  return code;
}

// --- cover -------------------------------------------------------------------------------------

// "4096", "1..8192", "1..8192:64": coverage takes no lists.
static tile_status parse_range(const run_pair *pair, tile_range *out) {
  char *end;
  *out = (tile_range){.name = pair->name, .first = strtoll(pair->value, &end, 10)};
  bool good = end != pair->value;
  out->last = out->first;
  if (good && strncmp(end, "..", 2) == 0) {
    const char *at = end + 2;
    out->last = strtoll(at, &end, 10);
    good = end != at;
  }
  if (good && *end == ':') {
    const char *at = end + 1;
    out->step = strtoll(at, &end, 10);
    good = end != at && out->step > 0;
  }
  return good && !*end ? TILE_OK
                       : tile_fail(TILE_E_INVALID, "%s=%s: wants 4096, 1..8192 or 1..8192:64",
                                   pair->name, pair->value);
}

// A device by architecture or by name; without one, the architecture that the kernel has first.
static void pick_machine(const tuning *t, const char **arch, const char **name) {
  const char *device = t->options->device;
  *name = NULL;
  *arch = t->kernel->nvariants ? t->kernel->variants[0].arch : "sm_90a";
  if (!device)
    return;
  if (tl_starts_with(device, "sim:"))
    device += 4;
  if (tl_target_by_name(device)) {
    *arch = device;
    return;
  }
  const tile_machine *machine = tile_machine_named(device);
  *name = device;
  if (machine)
    *arch = machine->arch;
}

static tile_status cover_ranges(tuning *t, tile_range *ranges) {
  for (int i = 0; i < t->options->nvalues; i++)
    TILE_TRY(parse_range(&t->options->values[i], &ranges[i]));
  return TILE_OK;
}

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int cover(tuning *t) {
  tile_range ranges[TUNE_MAX_VALUES];
  const char *arch, *name;
  int count = 0, compiled = 0;
  int64_t shapes = 0;
  tile_status status = open_kernel(t);
  if (status == TILE_OK)
    status = cover_ranges(t, ranges);
  if (status != TILE_OK)
    return report(status);
  pick_machine(t, &arch, &name);
  tile_cover *found = TL_NEW_N(&t->arena, tile_cover, t->kernel->nvariants + 1);
  double start = now_s();
  status = tile_kernel_variants_for(t->kernel, arch, name, 0, ranges, t->options->nvalues, found,
                                    t->kernel->nvariants, &count);
  if (status != TILE_OK)
    return report(status);
  double elapsed = now_s() - start;
  printf("%-40s %10s %10s %10s\n", "variant", "aligned", "by record", "unaligned");
  for (int i = 0; i < count; i++) {
    printf("%-40s %10lld %10lld %10lld\n", found[i].variant, (long long)found[i].aligned,
           (long long)found[i].by_record, (long long)found[i].unaligned);
    shapes += found[i].aligned;
  }
  for (int i = 0; i < t->kernel->nvariants; i++)
    compiled += strcmp(t->kernel->variants[i].arch, arch) == 0;
  tile_counters counters = {.size = sizeof counters};
  tile_counters_read(&counters);
  printf("%d of %d variants for %s serve %lld shapes; %.3f s, %llu compiled, %llu loaded\n", count,
         compiled, name ? name : arch, (long long)shapes, elapsed,
         (unsigned long long)(counters.compiles + counters.jit_compiles),
         (unsigned long long)counters.loads);
  return RUN_OK;
}

// --- records -----------------------------------------------------------------------------------

// The fastest of each device and shape, or (`show`) every one.
static int list(tuning *t, bool all) {
  tile_status status = open_kernel(t);
  if (status != TILE_OK)
    return report(status);
  for (int k = 0; k < tile_artifact_kernel_count(t->module); k++) {
    const tile_kernel *kernel = tile_artifact_kernel(t->module, k);
    if (t->kernel && t->kernel != kernel)
      continue;
    printf("%s: %d variants, %d records, key", kernel->name, kernel->nvariants, kernel->nrecords);
    for (int i = 0; i < kernel->nkeys; i++)
      printf(" %s%s", kernel->keys[i].name, kernel->keys[i].nbuckets ? " (buckets)" : "");
    printf("%s\n", kernel->nkeys ? "" : " all dims");
    for (int i = 0; i < kernel->nrecords; i++) {
      const tile_record *record = &kernel->records[i];
      bool first = !i || strcmp(record[-1].shape, record->shape) ||
                   strcmp(record[-1].device, record->device);
      if (first)
        printf("  %s, %s: %s %.2f us\n", record->device, record->shape, record->variant,
               record->ns * 1e-3);
      else if (all)
        printf("      %s %.2f us\n", record->variant, record->ns * 1e-3);
    }
  }
  return RUN_OK;
}

static int add_records(tuning *t, const char *from, const tune_records *records) {
  int stored = 0, unknown = 0;
  tile_status status = tune_store(from, t->options->file, records, &stored, &unknown);
  if (status != TILE_OK)
    return report(status);
  printf("%d records added to %s", stored, t->options->file);
  printf(unknown ? "; %d name variants that it does not have\n" : "\n", unknown);
  return RUN_OK;
}

static int merge(tuning *t) {
  const tune_options *o = t->options;
  tune_records records = {0};
  for (int i = 0; i < o->nfiles; i++) {
    tile_module *module;
    tile_status status = tile_artifact_open(o->files[i], &module);
    if (status != TILE_OK)
      return report(status);
    tune_records_of(&t->arena, module, NULL, &records); // the module lives as long as the process
  }
  return add_records(t, access(o->file, F_OK) == 0 ? o->file : o->files[0], &records);
}

static int import(tuning *t) {
  tune_records records = {0};
  for (int i = 0; i < t->options->nfiles; i++) {
    tile_status status = tune_read_records(&t->arena, t->options->files[i], &records);
    if (status != TILE_OK)
      return report(status);
  }
  return add_records(t, t->options->file, &records);
}

static int export(tuning *t) {
  tune_records records = {0};
  tile_status status = open_kernel(t);
  if (status != TILE_OK)
    return report(status);
  tune_records_of(&t->arena, t->module, t->options->kernel, &records);
  tune_print_records(stdout, &records);
  return RUN_OK;
}

int main(int argc, char **argv) {
  static tune_options options;
  static tuning t = {.options = &options};
  int code = tune_parse_options(&t.arena, argc, argv, &options);
  if (code >= 0)
    return code;
  if (!strcmp(options.command, "cover"))
    code = cover(&t);
  else if (!strcmp(options.command, "list") || !strcmp(options.command, "show"))
    code = list(&t, !strcmp(options.command, "show"));
  else if (!strcmp(options.command, "merge"))
    code = merge(&t);
  else if (!strcmp(options.command, "import"))
    code = import(&t);
  else
    code = !strcmp(options.command, "export") ? export(&t) : tune(&t);
  tile_module_destroy(t.module);
  tile_ctx_destroy(t.ctx);
  tl_arena_free(&t.arena);
  return code;
}
