// What a run found: a table for people, records for selection.
#include "lang/base/str.h"
#include "runtime/status.h"
#include "runtime/tune/tune.h"
#include <errno.h>
#include <string.h>
#include <time.h>

static int count_state(const tuning *t, tune_state state) {
  int count = 0;
  for (uint32_t i = 0; i < t->jobs.len; i++)
    count += t->jobs.data[i].state == state;
  return count;
}

static const tune_job *best_of(const tuning *t, int shape) {
  const tune_job *best = NULL;
  for (uint32_t i = 0; i < t->jobs.len; i++) {
    const tune_job *job = &t->jobs.data[i];
    if (job->shape == shape && job->state == TUNE_DONE && (!best || job->ns < best->ns))
      best = job;
  }
  return best;
}

// The model's own choice, if it was measured: what a call would get without records.
static const tune_job *model_of(const tuning *t, int shape) {
  for (uint32_t i = 0; i < t->jobs.len; i++)
    if (t->jobs.data[i].shape == shape) // the most promising comes first
      return t->jobs.data[i].state == TUNE_DONE ? &t->jobs.data[i] : NULL;
  return NULL;
}

void tune_print_table(const tuning *t, FILE *out) {
  const char *unit = t->device.is_simulated ? "instr" : "us";
  double scale = t->device.is_simulated ? 1 : 1e-3;
  fprintf(out, "%-32s %-36s %10s  %s\n", "shape", "fastest", unit, "the model's choice");
  for (uint32_t i = 0; i < t->shapes.len; i++) {
    const tune_job *best = best_of(t, (int)i), *model = model_of(t, (int)i);
    if (!best)
      continue;
    fprintf(out, "%-32s %-36s %10.2f  ", t->shapes.data[i].text, best->variant->name,
            best->ns * scale);
    if (model)
      fprintf(out, "%s +%.1f%%\n", model->variant->name, (model->ns / best->ns - 1) * 100);
    else
      fprintf(out, "-\n");
  }
  fprintf(out,
          "%d measured, %d wrong, %d failed, %d timed out, %d not measured, %d ruled out by the "
          "model\n",
          count_state(t, TUNE_DONE), count_state(t, TUNE_WRONG), count_state(t, TUNE_FAILED),
          count_state(t, TUNE_TIMEOUT), count_state(t, TUNE_WAITING), t->left_out);
  for (uint32_t i = 0; i < t->jobs.len; i++) {
    const tune_job *job = &t->jobs.data[i];
    if (job->state > TUNE_DONE)
      fprintf(out, "%s: %s %s: %s\n", tune_state_name(job->state), job->variant->name,
              t->shapes.data[job->shape].text, job->why);
  }
}

static const char *how_measured(tuning *t, const tune_job *job) {
  time_t now = time(NULL);
  struct tm day;
  char date[16];
  gmtime_r(&now, &day);
  strftime(date, sizeof date, "%Y-%m-%d", &day);
  return tl_sprintf(&t->arena, "{\"min_ns\": %.7g, \"runs\": %d, \"date\": \"%s\"}", job->least_ns,
                    t->options->runs, date);
}

void tune_collect(tuning *t, tune_records *out) {
  for (uint32_t i = 0; i < t->jobs.len; i++) {
    const tune_job *job = &t->jobs.data[i];
    if (job->state != TUNE_DONE)
      continue;
    tune_record record = {t->kernel->name,    t->device.name,       t->shapes.data[job->shape].text,
                          job->variant->name, how_measured(t, job), job->ns};
    tl_push(&t->arena, out, record);
  }
}

tile_status tune_write_html(const tuning *t, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out)
    return tile_fail(TILE_E_IO, "%s: %s", path, strerror(errno));
  fprintf(out,
          "<!doctype html><meta charset=utf-8><title>%s on %s</title>\n"
          "<style>td,th{padding:2px 8px;text-align:right;font:13px monospace}"
          "tr.best{background:#dfd}</style>\n<h1>%s on %s</h1>\n",
          t->kernel->name, t->device.name, t->kernel->name, t->device.name);
  for (uint32_t s = 0; s < t->shapes.len; s++) {
    const tune_job *best = best_of(t, (int)s);
    fprintf(out,
            "<h2>%s</h2><table><tr><th>variant<th>median ns<th>least ns<th>expected ns<th>of the "
            "fastest<th>state\n",
            t->shapes.data[s].text);
    for (uint32_t i = 0; i < t->jobs.len; i++) {
      const tune_job *job = &t->jobs.data[i];
      if (job->shape != (int)s)
        continue;
      fprintf(out, "<tr%s><td>%s<td>%.0f<td>%.0f<td>%.0f<td>%.2f<td>%s %s\n",
              job == best ? " class=best" : "", job->variant->name, job->ns, job->least_ns,
              job->expected_ns, best && job->ns > 0 ? best->ns / job->ns : 0,
              tune_state_name(job->state), job->why);
    }
    fputs("</table>\n", out);
  }
  return fclose(out) == 0 ? TILE_OK : tile_fail(TILE_E_IO, "%s: %s", path, strerror(errno));
}
