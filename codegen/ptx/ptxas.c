// ptxas as a subprocess, fed and read through memory files: it opens its input twice, so a pipe
// would not do, and nothing may be left behind on disk.
#include "codegen/ptx/ptxas.h"
#include "lang/base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct cg_job {
  pid_t pid;
  int in, out, log; // memory files
  double started_ms;
};

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

// --- finding -----------------------------------------------------------------------------------

static bool is_program(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

static bool in_folder(const char *folder, size_t len, char *out, size_t size) {
  if (!len || (size_t)snprintf(out, size, "%.*s/ptxas", (int)len, folder) >= size)
    return false;
  return is_program(out);
}

static bool in_path(char *out, size_t size) {
  for (const char *at = getenv("PATH"); at && *at;) {
    size_t len = strcspn(at, ":");
    if (in_folder(at, len, out, size))
      return true;
    at += len + (at[len] == ':');
  }
  return false;
}

const char *cg_find_ptxas(void) {
  static _Thread_local char found[4096];
  const char *named = getenv("TILE_PTXAS"), *cuda = getenv("CUDA_HOME");
  // A named assembler that is not there means "none", so that tests can ask for that.
  if (named)
    return is_program(named) ? named : NULL;
  if (cuda) {
    char folder[4000];
    snprintf(folder, sizeof folder, "%s/bin", cuda);
    if (in_folder(folder, strlen(folder), found, sizeof found))
      return found;
  }
  if (in_path(found, sizeof found))
    return found;
  return in_folder("/usr/local/cuda/bin", 19, found, sizeof found) ? found : NULL;
}

// --- running -----------------------------------------------------------------------------------

static bool write_all(int fd, const char *bytes, size_t len) {
  while (len) {
    ssize_t wrote = write(fd, bytes, len);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return false;
    bytes += wrote;
    len -= (size_t)wrote;
  }
  return true;
}

// The text as ptxas gets it. For `.file 1 "gemm.tile"` ptxas looks for the file and writes its date
// and size into the line table (seen with 13.0.88): a cubin would depend on when its source was
// checked out. Naming both in the directive keeps it from looking; 0 counts as not named.
static bool write_input(int fd, const char *ptx, size_t len) {
  const char *end = ptx + len, *done = ptx;
  for (const char *line = ptx; line < end;) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    stop = stop ? stop : end;
    const char *word = line + strspn(line, " \t");
    if (stop - word > 6 && !strncmp(word, ".file", 5) && stop[-1] == '"') {
      if (!write_all(fd, done, (size_t)(stop - done)) || !write_all(fd, ", 1, 1", 6))
        return false;
      done = stop;
    }
    line = stop + (stop < end);
  }
  return write_all(fd, done, (size_t)(end - done));
}

static bool spawn(cg_job *job, const char *ptxas, const tl_target *target) {
  // The child's numbers: 3 is the PTX text, 4 the cubin.
  char arch[32];
  snprintf(arch, sizeof arch, "-arch=%s", target->name);
  char *const argv[] = {(char *)ptxas,     arch, "-v", "-lineinfo", "/proc/self/fd/3", "-o",
                        "/proc/self/fd/4", NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, job->log, 2);
  posix_spawn_file_actions_adddup2(&actions, job->log, 1);
  posix_spawn_file_actions_adddup2(&actions, job->in, 3);
  posix_spawn_file_actions_adddup2(&actions, job->out, 4);
  bool started = posix_spawn(&job->pid, ptxas, &actions, NULL, argv, environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  return started;
}

static void close_all(cg_job *job) {
  if (job->in >= 0)
    close(job->in);
  if (job->out >= 0)
    close(job->out);
  if (job->log >= 0)
    close(job->log);
}

// A memory file with a number above those the child uses.
static int memory_file(const char *name) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0 || fd > 9)
    return fd;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
  close(fd);
  return high;
}

cg_job *cg_assemble_start(const char *ptxas, const tl_target *target, const char *ptx, size_t len) {
  cg_job *job = calloc(1, sizeof *job);
  if (!job)
    return NULL;
  job->started_ms = now_ms();
  job->in = memory_file("ptx"), job->out = memory_file("cubin"), job->log = memory_file("log");
  bool ready = job->in >= 0 && job->out >= 0 && job->log >= 0 && write_input(job->in, ptx, len);
  if (ready && lseek(job->in, 0, SEEK_SET) == 0 && spawn(job, ptxas, target))
    return job;
  close_all(job);
  free(job);
  return NULL;
}

static char *read_all(int fd, size_t *out_len) {
  struct stat info;
  if (fstat(fd, &info) != 0)
    return NULL;
  size_t len = (size_t)info.st_size, got = 0;
  char *bytes = malloc(len + 1);
  while (bytes && got < len) {
    ssize_t count = pread(fd, bytes + got, len - got, (off_t)got);
    if (count <= 0)
      break;
    got += (size_t)count;
  }
  if (bytes)
    bytes[got] = 0;
  *out_len = got;
  return bytes;
}

// --- the report --------------------------------------------------------------------------------

// The number before `words`, e.g. 40 in "Used 40 registers"; -1 when no number stands there.
static int number_before(const char *log, const char *words) {
  for (const char *at = log; (at = strstr(at, words)); at++) {
    const char *digit = at;
    while (digit > log && digit[-1] == ' ')
      digit--;
    const char *end = digit;
    while (digit > log && digit[-1] >= '0' && digit[-1] <= '9')
      digit--;
    if (digit < end)
      return atoi(digit);
  }
  return -1;
}

static int or_zero(int value) { return value < 0 ? 0 : value; }

static void read_figures(cg_image *image) {
  const char *log = image->log;
  image->regs = number_before(log, "registers");
  image->stack_bytes = or_zero(number_before(log, "bytes stack frame"));
  image->spill_bytes = or_zero(number_before(log, "bytes spill stores")) +
                       or_zero(number_before(log, "bytes spill loads"));
  image->serialised = strstr(log, "(C75") != NULL; // wgmma or setmaxnreg not as written
  image->barriers = or_zero(number_before(log, "barriers"));
}

bool cg_assemble_finish(cg_job *job, cg_image *image) {
  int status = 0;
  while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR) {
  }
  size_t log_len;
  image->log = read_all(job->log, &log_len);
  bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (good) {
    image->cubin = read_all(job->out, &image->cubin_len);
    if (image->log)
      read_figures(image);
  }
  image->ptxas_ms = now_ms() - job->started_ms;
  close_all(job);
  free(job);
  return good && image->cubin && image->cubin_len;
}
