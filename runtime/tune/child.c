// The process that has the device: it runs jobs in order and writes each result into a pipe.
//
// A candidate's outputs start as poison and are held against those of the witness, whole or, of
// large outputs, in pieces spread evenly over them. Then it is timed with a cold L2. On a simulated
// device the number of warp instructions stands for the time.
#include "runtime/status.h"
#include "runtime/tune/tune.h"
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 12, MOST_PIECES = 64 }; // comparing costs more than measuring

typedef struct child {
  tuning *t;
  int fd;
  tile_device *device;
  int shape; // whose arguments are on the device; -1: none
  run_case call;
  const tile_variant *witness;
  bool witnessed;
  char why_not[200]; // the witness failed
  unsigned char *want[TILE_MAX_PARAMS], *got;
  unsigned char
      *accepted[TILE_MAX_PARAMS]; // bits that agreed, of an earlier candidate; NULL: none yet
} child;

static bool is_output(const child *c, int p) {
  const tile_param *param = &c->t->kernel->params[p];
  return param->is_tensor && param->dir != TILE_IN;
}

// --- pieces of an output -----------------------------------------------------------------------

static int pieces_of(size_t bytes) {
  size_t count = (bytes + PIECE_BYTES - 1) / PIECE_BYTES;
  return count < MOST_PIECES ? (int)count : MOST_PIECES;
}

static size_t piece_at(size_t bytes, int i, size_t *out_len) {
  int count = pieces_of(bytes);
  size_t last = bytes > PIECE_BYTES ? bytes - PIECE_BYTES : 0;
  size_t at = count > 1 ? last / (size_t)(count - 1) * (size_t)i : 0;
  if (i == count - 1)
    at = last;
  at -= at % 16;
  *out_len = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
  return at;
}

static tile_status read_pieces(child *c, int p, unsigned char *out) {
  const run_tensor *tensor = &c->call.tensors[p];
  for (int i = 0; i < pieces_of(tensor->bytes); i++) {
    size_t len, at = piece_at(tensor->bytes, i, &len);
    TILE_TRY(tile_buffer_read(c->device, (char *)tensor->address + at, out, len));
    out += len;
  }
  return TILE_OK;
}

static size_t sampled_bytes(size_t bytes) {
  size_t total = 0, len;
  for (int i = 0; i < pieces_of(bytes); i++)
    piece_at(bytes, i, &len), total += len;
  return total;
}

// Agreement within the rounding of another order of summation, or of the narrower accumulators that
// FP8 tensor cores have: no element is off by more than 1 % of the largest, all together by 1e-5.
static bool agrees(const tile_param *param, const unsigned char *got, const unsigned char *want,
                   size_t bytes, check_result *out) {
  int bits = tl_dtype_bits(param->dtype);
  int64_t elems = bits == 4 ? (int64_t)bytes * 2 : (int64_t)bytes / (bits < 8 ? 1 : bits / 8),
          one = 1;
  check_array a = {param->dtype, 1, &elems, &one, got, true, NULL}, b = a;
  b.data = want;
  check_compare(&a, &b, CHECK_SUM_BITS, out);
  double largest = out->floor * 262144;
  return out->passed || (out->calc_diff <= CHECK_CALC_DIFF && isfinite(out->max_ulp) &&
                         out->unwritten == 0 && out->worst_error <= 0.01 * largest);
}

// --- arguments on the device -------------------------------------------------------------------

static void drop_shape(child *c) {
  for (int p = 0; p < c->t->kernel->nparams; p++) {
    if (c->call.tensors[p].address)
      tile_buffer_destroy(c->device, c->call.tensors[p].address);
    free(c->want[p]);
    free(c->accepted[p]);
    c->want[p] = c->accepted[p] = NULL;
  }
  free(c->got);
  c->got = NULL;
  run_free_case(&c->call);
  c->call = (run_case){0};
  c->shape = -1;
}

static bool same_layout(const run_tensor *a, const run_tensor *b, int ndim) {
  for (int i = 0; i < ndim; i++)
    if (a->shape[i] != b->shape[i] || a->stride[i] != b->stride[i])
      return false;
  return a->bytes == b->bytes;
}

// From shape to shape mostly one dim changes: an input that looks the same keeps its memory on the
// device, and what is in it.
static void inherit(child *c, run_case *next) {
  for (int p = 0; p < c->t->kernel->nparams; p++) {
    const tile_param *param = &c->t->kernel->params[p];
    run_tensor *old = &c->call.tensors[p];
    if (!param->is_tensor || param->dir != TILE_IN || !old->address ||
        !same_layout(old, &next->tensors[p], param->ndim))
      continue;
    next->tensors[p].address = old->address;
    old->address = NULL;
  }
}

static tile_status upload(child *c, int p) {
  run_tensor *tensor = &c->call.tensors[p];
  if (!tensor->address)
    TILE_TRY(tile_buffer_create(c->device, tensor->bytes, tensor->param->name, &tensor->address));
  if (tensor->param->dir == TILE_OUT)
    return tile_buffer_fill(c->device, tensor->address, 0xFF, tensor->bytes, 1);
  return tile_buffer_write(c->device, tensor->address, tensor->host, tensor->bytes);
}

static tile_status reset_outputs(child *c) {
  for (int p = 0; p < c->t->kernel->nparams; p++)
    if (is_output(c, p))
      TILE_TRY(upload(c, p));
  return TILE_OK;
}

static tile_status plan_of(child *c, const tile_variant *variant, tile_plan **out) {
  const tile_kernel *kernel = c->t->kernel;
  tile_arg args[TILE_MAX_PARAMS];
  for (int i = 0; i < kernel->nparams; i++) {
    const run_tensor *tensor = &c->call.tensors[i];
    args[i] = c->call.bound.args[i];
    if (kernel->params[i].is_tensor)
      args[i] = (tile_arg){.kind = TILE_ARG_TENSOR,
                           .tensor = {tensor->address, tensor->shape, tensor->stride,
                                      kernel->params[i].ndim, (int32_t)kernel->params[i].dtype}};
  }
  tile_plan_opts opts = {sizeof opts, variant->name};
  return tile_plan_create(c->t->kernel, c->device, args, kernel->nparams, &opts, out);
}

// Runs a plan once, with whatever workspace it wants.
static tile_status run_plan(child *c, tile_plan *plan) {
  size_t bytes = tile_plan_workspace(plan);
  void *workspace = NULL;
  if (bytes)
    TILE_TRY(tile_buffer_create(c->device, bytes, "workspace", &workspace));
  tile_status status = tile_plan_run(plan, NULL, workspace, bytes, NULL);
  if (status == TILE_OK)
    status = tile_device_sync(c->device);
  if (workspace)
    tile_buffer_destroy(c->device, workspace);
  return status;
}

static tile_status run_once(child *c, const tile_variant *variant, tile_plan **out) {
  TILE_TRY(reset_outputs(c));
  TILE_TRY(plan_of(c, variant, out));
  tile_status status = run_plan(c, *out);
  if (status != TILE_OK) {
    tile_plan_destroy(*out);
    *out = NULL;
  }
  return status;
}

static tile_status take_witness(child *c) {
  tile_plan *plan;
  size_t most = 1;
  TILE_TRY(run_once(c, c->witness, &plan));
  tile_plan_destroy(plan);
  for (int p = 0; p < c->t->kernel->nparams; p++) {
    if (!is_output(c, p))
      continue;
    size_t bytes = sampled_bytes(c->call.tensors[p].bytes);
    most = bytes > most ? bytes : most;
    c->want[p] = malloc(bytes + 1);
    if (!c->want[p])
      return tile_fail(TILE_E_NOMEM, "out of memory");
    TILE_TRY(read_pieces(c, p, c->want[p]));
  }
  c->got = malloc(most);
  return c->got ? TILE_OK : tile_fail(TILE_E_NOMEM, "out of memory");
}

static tile_status load_shape(child *c, int index) {
  const tune_shape *shape = &c->t->shapes.data[index];
  run_case next = {0};
  int code = tune_make_case(c->t, shape, &next);
  if (code == RUN_OK)
    inherit(c, &next);
  drop_shape(c);
  c->call = next;
  c->shape = index;
  c->witnessed = false;
  if (code != RUN_OK)
    return tile_fail(TILE_E_INVALID, "the arguments of %s could not be made", shape->text);
  for (int p = 0; p < c->t->kernel->nparams; p++) {
    const tile_param *param = &c->t->kernel->params[p];
    if (!param->is_tensor || c->call.tensors[p].address)
      continue;
    if (param->dir != TILE_OUT)
      tune_fill(&c->call.tensors[p]);
    TILE_TRY(upload(c, p));
  }
  c->witness = tune_witness(c->t, shape);
  if (!c->witness)
    return tile_fail(TILE_E_NO_VARIANT, "no variant fits %s", shape->text);
  TILE_TRY(take_witness(c));
  c->witnessed = true;
  return TILE_OK;
}

// --- jobs --------------------------------------------------------------------------------------

static tune_state check(child *c, tune_result *result) {
  for (int p = 0; p < c->t->kernel->nparams; p++) {
    if (!is_output(c, p))
      continue;
    check_result found;
    size_t bytes = sampled_bytes(c->call.tensors[p].bytes);
    if (read_pieces(c, p, c->got) != TILE_OK) {
      snprintf(result->why, sizeof result->why, "%s", tile_last_error());
      return TUNE_FAILED;
    }
    if (memcmp(c->got, c->want[p], bytes) == 0 ||
        (c->accepted[p] && memcmp(c->got, c->accepted[p], bytes) == 0))
      continue;
    if (!agrees(&c->t->kernel->params[p], c->got, c->want[p], bytes, &found)) {
      snprintf(result->why, sizeof result->why,
               "'%s' differs from %s: calc_diff %.2g, worst error %.3g, %lld bad of %lld",
               c->t->kernel->params[p].name, c->witness->name, found.calc_diff, found.worst_error,
               (long long)found.bad, (long long)found.elements);
      return TUNE_WRONG;
    }
    if (!c->accepted[p] && (c->accepted[p] = malloc(bytes + 1)))
      memcpy(c->accepted[p], c->got, bytes);
  }
  return TUNE_DONE;
}

static tile_status measure(child *c, tile_plan *plan, tune_result *result) {
  double median, least;
  if (c->t->device.is_simulated) {
    result->ns = result->least_ns = tile_device_instructions(c->device);
    return TILE_OK;
  }
  TILE_TRY(tile_plan_bench(plan, NULL, c->t->options->runs, &median, &least));
  result->ns = median * 1e6;
  result->least_ns = least * 1e6;
  return TILE_OK;
}

static void run_job(child *c, int index, tune_result *result) {
  const tune_job *job = &c->t->jobs.data[index];
  tile_plan *plan = NULL;
  *result = (tune_result){.job = index, .state = TUNE_FAILED};
  if (c->shape != job->shape && load_shape(c, job->shape) != TILE_OK)
    snprintf(c->why_not, sizeof c->why_not, "the witness: %s", tile_last_error());
  if (!c->witnessed) {
    snprintf(result->why, sizeof result->why, "%s", c->why_not);
    return;
  }
  tile_status status = run_once(c, job->variant, &plan);
  if (status == TILE_OK) {
    result->state = check(c, result);
    if (result->state == TUNE_DONE)
      status = measure(c, plan, result);
  }
  if (status != TILE_OK) {
    result->state = TUNE_FAILED;
    snprintf(result->why, sizeof result->why, "%s", tile_last_error());
  }
  tile_plan_destroy(plan);
}

static void send(int fd, const tune_result *result) {
  if (write(fd, result, sizeof *result) != sizeof *result)
    _exit(RUN_INTERNAL); // the parent is gone
}

void tune_child(tuning *t, int first, int pipe_fd) {
  child *c = calloc(1, sizeof *c);
  tune_result result = {.job = first, .state = TUNE_FAILED};
  if (!c)
    _exit(RUN_INTERNAL);
  *c = (child){.t = t, .fd = pipe_fd, .shape = -1};
  tile_status status = tile_device_open(t->ctx, t->options->device, &c->device);
  for (uint32_t i = (uint32_t)first; i < t->jobs.len; i++) {
    if (status == TILE_OK) {
      run_job(c, (int)i, &result);
    } else {
      result.job = (int)i;
      snprintf(result.why, sizeof result.why, "%s", tile_last_error());
    }
    // A fault poisons a GPU's context for good: what follows gets a fresh process.
    result.is_last =
        result.state == TUNE_FAILED && c->device && tile_device_sync(c->device) != TILE_OK;
    send(pipe_fd, &result);
    if (result.is_last)
      break;
  }
  _exit(RUN_OK);
}

// --- what is the device? -----------------------------------------------------------------------

static void answer(const char *name, int fd) {
  struct {
    tile_status status;
    tune_device device;
    char why[400];
  } reply = {0};
  tile_ctx *ctx;
  tile_device *device;
  reply.status = tile_ctx_create(TILE_ABI, &ctx);
  if (reply.status == TILE_OK)
    reply.status = tile_device_open(ctx, name, &device);
  if (reply.status == TILE_OK) {
    snprintf(reply.device.arch, sizeof reply.device.arch, "%s", tile_device_arch(device));
    snprintf(reply.device.name, sizeof reply.device.name, "%s", tile_device_name(device));
    reply.device.sms = tile_device_sms(device);
    reply.device.is_simulated = strncmp(name, "sim:", 4) == 0;
  } else {
    snprintf(reply.why, sizeof reply.why, "%s", tile_last_error());
  }
  _exit(write(fd, &reply, sizeof reply) == sizeof reply ? RUN_OK : RUN_INTERNAL);
}

tile_status tune_probe(const char *name, tune_device *out) {
  struct {
    tile_status status;
    tune_device device;
    char why[400];
  } reply;
  int fds[2], status;
  if (pipe(fds) != 0)
    return tile_fail(TILE_E_IO, "no pipe");
  pid_t pid = fork();
  if (pid == 0)
    answer(name, fds[1]);
  close(fds[1]);
  ssize_t got = pid > 0 ? read(fds[0], &reply, sizeof reply) : -1;
  close(fds[0]);
  if (pid > 0)
    waitpid(pid, &status, 0);
  if (got != sizeof reply)
    return tile_fail(TILE_E_NO_DEVICE, "%s: the process that opened it died", name);
  if (reply.status != TILE_OK)
    return tile_fail(reply.status, "%s", reply.why);
  *out = reply.device;
  return TILE_OK;
}
