// Runs the micro-kernels of tests/vectors/forms on the simulator or on a GPU, and prints what each
// left behind: one line per kernel with a hash of its output.
//
//   forms_run sim|gpu PLAN [--only=N] [--dump=FILE] [--expect=FILE]
//             [--seed=N] [--random] [--limit=SECONDS]
//
// PLAN is written by `forms.py emit`: `F` lines describe a kernel, the `S` lines behind it the
// stretches of the pool that make up its inputs, the `M` lines its tensor maps. The GPU runs
// GROUP.cubin beside the plan. A kernel that fails on the GPU takes its context along, so kernels
// run in a child process, and the parent starts another one behind the kernel that failed or hung.
#include "lang/base/str.h"
#include "runtime/cuda/cu.h"
#include "runtime/sim/sim_api.h"
#include "runtime/sim/tma.h"
#include "runtime/status.h"
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_MAPS = 16, HANG_SECONDS = 4, DUMP_BYTES = 24 << 20, SHOWN = 65536 };

typedef struct segment {
  size_t at, len;
} segment;

typedef struct map_args {
  sim_tensor_map map;
  bool in_output;
  uint64_t offset;
} map_args;

typedef struct job {
  int index, group;
  size_t text_at, text_len;
  char arch[16];
  uint32_t threads, grid, cluster, smem, show; // show: bytes of the output to print
  size_t in_len, out_len;
  int nsegments, nmaps;
  const segment *segments;
  const map_args *maps;
} job;

typedef struct plan {
  char *folder, *text, *pool;
  size_t text_len, pool_len;
  job *jobs;
  segment *segments; // of all jobs, in the order of the plan
  map_args *maps;
  int count, nsegments, nmaps;
} plan;

typedef struct result {
  int done;      // 0: not run, 1: ran, 2: failed
  uint64_t hash; // of the output
  char why[160];
  uint8_t first[SHOWN];
} result;

// --- the plan -----------------------------------------------------------------------------------
static char *read_beside(const char *folder, const char *name, size_t *len) {
  tl_buf path = {0};
  tl_buf_printf(&path, "%s/%s", folder, name);
  char *bytes = tl_read_file(path.data, len);
  if (!bytes)
    fprintf(stderr, "cannot read %s\n", path.data);
  tl_buf_free(&path);
  return bytes;
}

static bool read_map(const char *line, map_args *m) {
  unsigned dtype, rank, swizzle, fill, output, at = 0;
  int used = 0;
  if (sscanf(line, "M %u %u %u %u %u %" SCNu64 "%n", &dtype, &rank, &swizzle, &fill, &output,
             &m->offset, &used) != 6 ||
      rank > SIM_TMA_RANK)
    return false;
  m->map.type = (uint8_t)dtype, m->map.rank = (uint8_t)rank, m->map.swizzle = (uint8_t)swizzle;
  m->map.nan_fill = fill, m->in_output = output;
  char *next = (char *)line + used;
  for (at = 0; at < rank; at++)
    m->map.dims[at] = strtoull(next, &next, 10);
  for (at = 1; at < rank; at++)
    m->map.strides[at] = strtoull(next, &next, 10);
  for (at = 0; at < rank; at++)
    m->map.box[at] = (uint32_t)strtoul(next, &next, 10);
  for (at = 0; at < rank; at++)
    m->map.elem_strides[at] = (uint32_t)strtoul(next, &next, 10);
  return true;
}

static bool read_line(plan *p, const char *line) {
  job *j = p->count ? &p->jobs[p->count - 1] : NULL;
  if (line[0] == 'F') {
    j = &p->jobs[p->count++];
    j->segments = p->segments + p->nsegments;
    j->maps = p->maps + p->nmaps;
    return sscanf(line, "F %d %d %15s %zu %zu %u %u %u %u %zu %zu %u", &j->index, &j->group,
                  j->arch, &j->text_at, &j->text_len, &j->threads, &j->grid, &j->cluster, &j->smem,
                  &j->in_len, &j->out_len, &j->show) == 12 &&
           j->show <= SHOWN;
  }
  if (j && line[0] == 'S') {
    segment *s = &p->segments[p->nsegments++];
    j->nsegments++;
    return sscanf(line, "S %zu %zu", &s->at, &s->len) == 2 && s->at + s->len <= p->pool_len;
  }
  return j && line[0] == 'M' && j->nmaps++ < MAX_MAPS && read_map(line, &p->maps[p->nmaps++]);
}

static bool read_plan(const char *folder, plan *p) {
  size_t len;
  p->folder = strdup(folder);
  char *lines = read_beside(folder, "plan.txt", &len);
  p->text = read_beside(folder, "kernels.ptx", &p->text_len);
  p->pool = read_beside(folder, "pool.bin", &p->pool_len);
  if (!lines || !p->text || !p->pool)
    return false;
  size_t count = 1;
  for (char *c = lines; *c; c++)
    count += *c == '\n';
  p->jobs = calloc(count, sizeof *p->jobs);
  p->segments = calloc(count, sizeof *p->segments);
  p->maps = calloc(count, sizeof *p->maps);
  for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n"))
    if (!read_line(p, line))
      return fprintf(stderr, "bad plan line: %s\n", line), false;
  free(lines);
  return true;
}

static void free_plan(plan *p) {
  free(p->folder);
  free(p->text);
  free(p->pool);
  free(p->jobs);
  free(p->segments);
  free(p->maps);
}

static uint8_t *inputs_of(const plan *p, const job *j) {
  uint8_t *bytes = calloc(1, j->in_len + 16), *to = bytes;
  for (int i = 0; i < j->nsegments; i++) {
    memcpy(to, p->pool + j->segments[i].at, j->segments[i].len);
    to += j->segments[i].len;
  }
  return bytes;
}

static uint64_t hash_of(const uint8_t *bytes, size_t len) { // FNV-1a over 64-bit words
  uint64_t h = UINT64_C(0xCBF29CE484222325), word;
  for (size_t i = 0; i < len; i += 8) {
    word = 0;
    memcpy(&word, bytes + i, len - i < 8 ? len - i : 8);
    h = (h ^ word) * UINT64_C(0x100000001B3);
    h ^= h >> 29;
  }
  return h;
}

static void finish(const job *j, const uint8_t *out, result *r) {
  r->hash = hash_of(out, j->out_len);
  memcpy(r->first, out, j->out_len < j->show ? j->out_len : j->show);
  r->done = 1;
}

// --- the simulator ------------------------------------------------------------------------------
static void fail(result *r, const char *what, const char *why) {
  r->done = 2;
  snprintf(r->why, sizeof r->why, "%s: %s", what, why);
  for (char *c = r->why; *c; c++)
    if (*c == '\n')
      *c = ' ';
}

static void run_sim(const plan *p, const job *j, const sim_options *options, result *r,
                    uint8_t *out) {
  sim_verdict verdict;
  tl_buf text = {0};
  uint8_t *in = inputs_of(p, j);
  sim_machine *machine = sim_create(j->arch, options);
  tl_buf_printf(&text, ".version 9.0\n.target %s\n.address_size 64\n", j->arch);
  tl_buf_write(&text, p->text + j->text_at, j->text_len);
  sim_module *module = sim_load_ptx(machine, "forms.ptx", text.data, text.len, &verdict);
  uint64_t in_at = sim_alloc(machine, j->in_len + 16, "in"),
           out_at = sim_alloc(machine, j->out_len + 16, "out");
  sim_write(machine, in_at, in, j->in_len + 16);
  sim_write(machine, out_at, out, j->out_len);
  struct {
    uint64_t in, out;
    uint8_t pad[48], maps[MAX_MAPS][128];
  } params = {.in = in_at, .out = out_at};
  for (int i = 0; i < j->nmaps; i++) {
    sim_tensor_map map = j->maps[i].map;
    map.address = (j->maps[i].in_output ? out_at : in_at) + j->maps[i].offset;
    const char *wrong = sim_tensor_map_check(&map);
    if (wrong)
      fail(r, "tensor map", wrong);
    sim_tensor_map_encode(&map, params.maps[i]);
  }
  char entry[24];
  snprintf(entry, sizeof entry, "f%d", j->index);
  sim_launch_desc desc = {.entry = entry,
                          .grid = {j->grid, 1, 1},
                          .block = {j->threads, 1, 1},
                          .cluster = {j->cluster, 1, 1},
                          .dynamic_smem_bytes = j->smem,
                          .params = &params,
                          .params_bytes = j->nmaps ? 64 + 128 * (size_t)j->nmaps : 16};
  if (module && r->done != 2)
    verdict = sim_launch(module, &desc);
  if (r->done != 2 && (!module || verdict != SIM_OK))
    fail(r, sim_verdict_name(verdict), sim_error(machine));
  sim_read(machine, out_at, out, j->out_len);
  if (r->done != 2)
    finish(j, out, r);
  sim_unload(module);
  sim_destroy(machine);
  tl_buf_free(&text);
  free(in);
}

// --- the GPU ------------------------------------------------------------------------------------
typedef struct gpu {
  const cu_api *cu;
  CUdevice device;
  CUlibrary library;
  int group;
} gpu;

typedef struct cluster_attribute { // CUlaunchAttribute with a cluster dimension
  int id, pad;
  unsigned dims[3];
  uint8_t rest[52];
} cluster_attribute;

#define GPU_TRY(function, ...)                                                                     \
  do {                                                                                             \
    CUresult result_ = g->cu->function(__VA_ARGS__);                                               \
    const char *name_ = "?";                                                                       \
    if (result_) {                                                                                 \
      g->cu->cuGetErrorName(result_, &name_);                                                      \
      fail(r, #function, name_);                                                                   \
      return false;                                                                                \
    }                                                                                              \
  } while (0)

static bool open_gpu(gpu *g, result *r) {
  CUcontext context;
  if (cu_get_api(&g->cu) != TILE_OK)
    return fail(r, "driver", tile_last_error()), false;
  g->group = -1;
  GPU_TRY(cuDeviceGet, &g->device, 0);
  GPU_TRY(cuDevicePrimaryCtxRetain, &context, g->device);
  GPU_TRY(cuCtxPushCurrent, context);
  return true;
}

static bool load_group(gpu *g, const plan *p, int group, result *r) {
  char name[32];
  size_t len;
  if (g->group == group)
    return true;
  if (g->group >= 0)
    g->cu->cuLibraryUnload(g->library);
  g->group = -1;
  snprintf(name, sizeof name, "%d.cubin", group);
  char *code = read_beside(p->folder, name, &len);
  if (!code)
    return fail(r, "no cubin", name), false;
  GPU_TRY(cuLibraryLoadData, &g->library, code, NULL, NULL, 0, NULL, NULL, 0);
  g->group = group;
  return true;
}

static bool run_gpu(gpu *g, const plan *p, const job *j, result *r, uint8_t *out) {
  CUkernel kernel;
  CUdeviceptr in_at, out_at;
  char entry[24];
  snprintf(entry, sizeof entry, "f%d", j->index);
  if (!load_group(g, p, j->group, r))
    return false;
  GPU_TRY(cuLibraryGetKernel, &kernel, g->library, entry);
  GPU_TRY(cuMemAlloc, &in_at, j->in_len + 16);
  GPU_TRY(cuMemAlloc, &out_at, j->out_len + 16);
  uint8_t *in = inputs_of(p, j);
  GPU_TRY(cuMemcpyHtoD, in_at, in, j->in_len + 16);
  free(in);
  GPU_TRY(cuMemcpyHtoD, out_at, out, j->out_len);
  _Alignas(64) uint8_t maps[MAX_MAPS][128];
  void *params[2 + MAX_MAPS] = {&in_at, &out_at};
  for (int i = 0; i < j->nmaps; i++) {
    const sim_tensor_map *m = &j->maps[i].map;
    unsigned long long dims[5], strides[5];
    for (int d = 0; d < m->rank; d++)
      dims[d] = m->dims[d], strides[d] = d + 1 < m->rank ? m->strides[d + 1] : 0;
    uint64_t address = (j->maps[i].in_output ? out_at : in_at) + j->maps[i].offset;
    GPU_TRY(cuTensorMapEncodeTiled, maps[i], m->type, m->rank, (void *)(uintptr_t)address, dims,
            strides, m->box, m->elem_strides, 0, m->swizzle, 0, m->nan_fill);
    params[2 + i] = maps[i];
  }
  cluster_attribute cluster = {.id = 4, .dims = {j->cluster, 1, 1}};
  CUlaunchConfig config = {.gridDimX = j->grid,
                           .gridDimY = 1,
                           .gridDimZ = 1,
                           .blockDimX = j->threads,
                           .blockDimY = 1,
                           .blockDimZ = 1,
                           .sharedMemBytes = j->smem,
                           .attrs = j->cluster > 1 ? &cluster : NULL,
                           .numAttrs = j->cluster > 1};
  GPU_TRY(cuLaunchKernelEx, &config, (CUfunction)kernel, params, NULL);
  GPU_TRY(cuCtxSynchronize);
  GPU_TRY(cuMemcpyDtoH, out, out_at, j->out_len);
  g->cu->cuMemFree(in_at);
  g->cu->cuMemFree(out_at);
  finish(j, out, r);
  return true;
}

// --- running all --------------------------------------------------------------------------------
typedef struct options {
  bool on_gpu;
  int only;
  sim_options sim;
  const char *dump, *expect;
  uint64_t *expected; // by place in the plan; 0: none
  int limit;          // seconds; 0: none
} options;

static void dump_output(const options *o, const job *j, const result *r, const uint8_t *out,
                        uint64_t expected) {
  if (!o->dump || j->out_len > 1 << 20 || (o->expected && expected == r->hash))
    return;
  FILE *file = fopen(o->dump, "ab");
  if (!file || fseek(file, 0, SEEK_END) || ftell(file) > DUMP_BYTES)
    return;
  fprintf(file, "%d %zu\n", j->index, j->out_len);
  fwrite(out, 1, j->out_len, file);
  fclose(file);
}

static bool run_one(const plan *p, const options *o, gpu *g, int at, result *r) {
  const job *j = &p->jobs[at];
  uint8_t *out = calloc(1, j->out_len + 16);
  bool ok = true;
  if (o->on_gpu)
    ok = run_gpu(g, p, j, r, out);
  else
    run_sim(p, j, &o->sim, r, out);
  if (r->done == 1)
    dump_output(o, j, r, out, o->expected ? o->expected[at] : 0);
  free(out);
  return ok;
}

static void child(const plan *p, const options *o, int from, result *results, volatile int *at) {
  gpu g;
  if (!open_gpu(&g, &results[from]))
    _exit(1);
  for (int i = from; i < p->count; i++) {
    *at = i;
    if ((o->only < 0 || p->jobs[i].index == o->only) && !run_one(p, o, &g, i, &results[i]))
      _exit(1);
  }
  *at = p->count;
  _exit(0);
}

static void run_all_gpu(const plan *p, const options *o, result *results, volatile int *at) {
  time_t started = time(NULL);
  for (int from = 0; from < p->count;) {
    *at = from;
    pid_t pid = fork();
    if (pid == 0)
      child(p, o, from, results, at);
    int status, last = -1, still = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
      if (o->limit && time(NULL) - started >= o->limit) {
        kill(pid, SIGKILL);
        return;
      }
      usleep(20000);
      still = *at == last ? still + 1 : 0;
      last = *at;
      if (still > HANG_SECONDS * 50)
        kill(pid, SIGKILL);
    }
    if (*at >= p->count)
      return;
    if (results[*at].done != 2)
      fail(&results[*at], "hang", "no answer");
    from = *at + 1;
  }
}

static bool read_expected(const plan *p, options *o) {
  size_t len;
  char *text = tl_read_file(o->expect, &len);
  if (!text)
    return false;
  o->expected = calloc((size_t)p->count + 1, sizeof *o->expected);
  int at = 0;
  for (char *line = strtok(text, "\n"); line && at < p->count; line = strtok(NULL, "\n"), at++)
    sscanf(line, "%*d ok %" SCNx64, &o->expected[at]);
  free(text);
  return true;
}

static bool parse(int argc, char **argv, options *o) {
  sim_options_default(&o->sim);
  o->only = -1;
  for (int i = 3; i < argc; i++) {
    if (strncmp(argv[i], "--only=", 7) == 0)
      o->only = atoi(argv[i] + 7);
    else if (strncmp(argv[i], "--dump=", 7) == 0)
      o->dump = argv[i] + 7;
    else if (strncmp(argv[i], "--expect=", 9) == 0)
      o->expect = argv[i] + 9;
    else if (strncmp(argv[i], "--limit=", 8) == 0)
      o->limit = atoi(argv[i] + 8);
    else if (strncmp(argv[i], "--seed=", 7) == 0)
      o->sim.seed = strtoull(argv[i] + 7, NULL, 0);
    else if (strcmp(argv[i], "--random") == 0)
      o->sim.schedule = SIM_RANDOM, o->sim.async = SIM_ASYNC_RANDOM;
    else
      return false;
  }
  return argc >= 3 && (o->on_gpu = strcmp(argv[1], "gpu") == 0, true);
}

int main(int argc, char **argv) {
  plan p = {0};
  options o = {0};
  if (!parse(argc, argv, &o))
    return fprintf(stderr, "usage: forms_run sim|gpu FOLDER [options]\n"), 2;
  if (!read_plan(argv[2], &p) || (o.expect && !read_expected(&p, &o)))
    return 1;
  size_t bytes = sizeof(result) * ((size_t)p.count + 1) + 64;
  result *results = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  volatile int *at = (volatile int *)(results + p.count + 1);
  if (o.on_gpu)
    run_all_gpu(&p, &o, results, at);
  else
    for (int i = 0; i < p.count; i++)
      if (o.only < 0 || p.jobs[i].index == o.only)
        run_one(&p, &o, NULL, i, &results[i]);
  for (int i = 0; i < p.count; i++) {
    const result *r = &results[i];
    if (r->done == 1) {
      printf("%d ok %016" PRIx64 " ", p.jobs[i].index, r->hash);
      for (uint32_t b = 0; b < p.jobs[i].show; b++)
        printf("%02x", r->first[b]);
      printf("\n");
    } else
      printf("%d %s %s\n", p.jobs[i].index, r->done ? "failed" : "skipped", r->why);
  }
  free_plan(&p);
  free(o.expected);
  return 0;
}
