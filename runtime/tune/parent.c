// The process that has no device: it starts children, reads results, and ends what takes too long.
#include "runtime/status.h"
#include "runtime/tune/tune.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct runner {
  tuning *t;
  pid_t pid;
  int fd;
  int next; // the job whose result comes next
  double started, shape_started;
  bool shows_progress;
} runner;

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

const char *tune_state_name(tune_state state) {
  static const char *const names[] = {"not measured", "measured", "wrong", "failed", "timeout"};
  return names[state]; // ORDER tune_state
}

static tile_status start_child(runner *r) {
  int fds[2];
  fflush(stdout);
  fflush(stderr);
  if (pipe(fds) != 0)
    return tile_fail(TILE_E_IO, "no pipe: %s", strerror(errno));
  r->pid = fork();
  if (r->pid < 0)
    return tile_fail(TILE_E_NOMEM, "no process: %s", strerror(errno));
  if (r->pid == 0) {
    close(fds[0]);
    tune_child(r->t, r->next, fds[1]);
  }
  close(fds[1]);
  r->fd = fds[0];
  return TILE_OK;
}

static void end_child(runner *r, bool kill_it) {
  int status;
  if (r->pid <= 0)
    return;
  if (kill_it)
    kill(r->pid, SIGKILL); // ours alone
  waitpid(r->pid, &status, 0);
  close(r->fd);
  r->pid = 0;
}

static void show_shape(runner *r, int shape) {
  tuning *t = r->t;
  const tune_job *best = NULL;
  int tried = 0;
  t->shapes.data[shape].elapsed_s = now_s() - r->shape_started;
  for (uint32_t i = 0; i < t->jobs.len; i++) {
    const tune_job *job = &t->jobs.data[i];
    if (job->shape != shape)
      continue;
    tried++;
    if (job->state == TUNE_DONE && (!best || job->ns < best->ns))
      best = job;
  }
  fprintf(stderr, "[%d/%u] %s: ", shape + 1, t->shapes.len, t->shapes.data[shape].text);
  if (best)
    fprintf(stderr, "%s %.2f us (of %d, %.1f s)\n", best->variant->name, best->ns * 1e-3, tried,
            t->shapes.data[shape].elapsed_s);
  else
    fprintf(stderr, "nothing measured of %d\n", tried);
  r->shape_started = now_s();
}

// The job is settled; a finished shape is shown.
static void settle(runner *r, const tune_result *result) {
  tune_job *job = &r->t->jobs.data[result->job];
  job->state = result->state;
  job->ns = result->ns;
  job->least_ns = result->least_ns;
  snprintf(job->why, sizeof job->why, "%s", result->why);
  r->next = result->job + 1;
  bool last = r->next == (int)r->t->jobs.len || r->t->jobs.data[r->next].shape != job->shape;
  if (last)
    show_shape(r, job->shape);
}

static void settle_as(runner *r, tune_state state, const char *why) {
  tune_result result = {.job = r->next, .state = state};
  snprintf(result.why, sizeof result.why, "%s", why);
  settle(r, &result);
}

// One result, or the end of the child.
static void wait_for_result(runner *r, double budget_left) {
  tune_result result;
  double limit = r->t->options->timeout_s < budget_left ? r->t->options->timeout_s : budget_left;
  struct pollfd poll_fd = {.fd = r->fd, .events = POLLIN};
  int ready = poll(&poll_fd, 1, (int)(limit * 1000) + 1);
  if (ready < 0 && errno == EINTR)
    return;
  if (ready > 0 && read(r->fd, &result, sizeof result) == (ssize_t)sizeof result) {
    settle(r, &result);
    if (result.is_last)
      end_child(r, false);
    return;
  }
  bool timed_out = ready == 0;
  end_child(r, timed_out);
  if (timed_out && budget_left <= r->t->options->timeout_s)
    return; // the budget ended, not the candidate
  settle_as(r, timed_out ? TUNE_TIMEOUT : TUNE_FAILED,
            timed_out ? "took too long and was killed" : "its process died");
}

tile_status tune_run(tuning *t) {
  runner r = {.t = t, .started = now_s()};
  r.shape_started = r.started;
  signal(SIGPIPE, SIG_IGN);
  while (r.next < (int)t->jobs.len) {
    double left = t->options->budget_s - (now_s() - r.started);
    if (left <= 0)
      break;
    if (!r.pid)
      TILE_TRY(start_child(&r));
    wait_for_result(&r, left);
  }
  bool unfinished = r.next < (int)t->jobs.len;
  end_child(&r, unfinished);
  if (unfinished)
    fprintf(stderr, "tiletune: the budget of %.0f s is spent: %u of %u candidates measured\n",
            t->options->budget_s, (unsigned)r.next, t->jobs.len);
  return TILE_OK;
}
