// Text buffers, spelling distance, and whole-file reading and writing.
#include "lang/base/str.h"
#include "lang/base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// --- buffer -------------------------------------------------------------------------------------

static void reserve(tl_buf *buf, size_t more) {
  if (buf->cap - buf->len > more)
    return;
  size_t cap = buf->cap ? buf->cap : 128;
  while (cap - buf->len <= more)
    cap *= 2;
  char *data = realloc(buf->data, cap);
  if (!data) {
    fprintf(stderr, "out of memory (%zu bytes wanted)\n", cap);
    abort();
  }
  buf->data = data;
  buf->cap = cap;
}

void tl_buf_write(tl_buf *buf, const void *bytes, size_t len) {
  reserve(buf, len);
  if (len)
    memcpy(buf->data + buf->len, bytes, len);
  buf->len += len;
  buf->data[buf->len] = 0;
}

void tl_buf_putc(tl_buf *buf, char c) { tl_buf_write(buf, &c, 1); }

void tl_buf_puts(tl_buf *buf, const char *text) { tl_buf_write(buf, text, strlen(text)); }

void tl_buf_vprintf(tl_buf *buf, const char *fmt, va_list args) {
  va_list again;
  va_copy(again, args);
  reserve(buf, 64);
  size_t room = buf->cap - buf->len;
  int len = vsnprintf(buf->data + buf->len, room, fmt, args);
  TL_ASSERT(len >= 0, "bad format '%s'", fmt);
  if ((size_t)len >= room) {
    reserve(buf, (size_t)len);
    vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, again);
  }
  va_end(again);
  buf->len += (size_t)len;
}

void tl_buf_printf(tl_buf *buf, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  tl_buf_vprintf(buf, fmt, args);
  va_end(args);
}

void tl_buf_free(tl_buf *buf) {
  free(buf->data);
  *buf = (tl_buf){0};
}

// --- words --------------------------------------------------------------------------------------

bool tl_starts_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool tl_ends_with(const char *text, const char *suffix) {
  size_t len = strlen(text), tail = strlen(suffix);
  return len >= tail && strcmp(text + len - tail, suffix) == 0;
}

static int min_int(int a, int b) { return a < b ? a : b; }

enum { WORD_MAX_LEN = 64 }; // names longer than this are never suggested

// Optimal string alignment: insert, delete, replace, and swap of two neighbours cost 1 each.
int tl_edit_distance(const char *a, const char *b, int limit) {
  size_t la = strlen(a), lb = strlen(b);
  if (la > WORD_MAX_LEN || lb > WORD_MAX_LEN)
    return strcmp(a, b) == 0 ? 0 : limit;
  int rows[3][WORD_MAX_LEN + 1]; // the row before the last, the last, the one being filled
  int *before = rows[0], *last = rows[1], *now = rows[2];
  for (size_t j = 0; j <= lb; j++)
    last[j] = (int)j;
  for (size_t i = 1; i <= la; i++) {
    int best = now[0] = (int)i;
    for (size_t j = 1; j <= lb; j++) {
      int cost = last[j - 1] + (a[i - 1] != b[j - 1]);
      cost = min_int(cost, min_int(last[j], now[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost = min_int(cost, before[j - 2] + 1);
      now[j] = cost;
      best = min_int(best, cost);
    }
    // A swap can still reach back one row, so one below the limit is not yet hopeless.
    if (best > limit)
      return limit;
    int *free_row = before;
    before = last;
    last = now;
    now = free_row;
  }
  return min_int(last[lb], limit);
}

const char *tl_nearest(const char *word, const char *const *names, size_t count) {
  int allowed = (int)strlen(word) / 3;
  if (allowed < 1)
    allowed = 1;
  const char *nearest = NULL;
  int least = allowed + 1;
  for (size_t i = 0; i < count; i++) {
    int distance = tl_edit_distance(word, names[i], allowed + 1);
    if (distance < least) {
      least = distance;
      nearest = names[i];
    }
  }
  return nearest;
}

// --- files --------------------------------------------------------------------------------------

char *tl_read_file(const char *path, size_t *out_len) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return NULL;
  tl_buf buf = {0};
  reserve(&buf, 0);
  buf.data[0] = 0;
  struct stat info;
  if (fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode))
    reserve(&buf, (size_t)info.st_size + 1);
  size_t got;
  do {
    reserve(&buf, 4096);
    got = fread(buf.data + buf.len, 1, buf.cap - buf.len - 1, file);
    buf.len += got;
  } while (got);
  buf.data[buf.len] = 0;
  int failed = ferror(file) ? errno : 0;
  fclose(file);
  if (failed) {
    tl_buf_free(&buf);
    errno = failed;
    return NULL;
  }
  if (out_len)
    *out_len = buf.len;
  return buf.data;
}

static bool write_all(int fd, const char *bytes, size_t len) {
  while (len) {
    ssize_t done = write(fd, bytes, len);
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return false;
    bytes += done;
    len -= (size_t)done;
  }
  return true;
}

// A device or pipe cannot be replaced by rename: write into it.
static bool write_in_place(const char *path, const void *bytes, size_t len) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  bool ok = write_all(fd, bytes, len);
  int saved = errno;
  if (close(fd) != 0 && ok)
    return false;
  errno = saved;
  return ok;
}

static int open_beside(const char *path, tl_buf *out_name) {
  for (int attempt = 0; attempt < 100; attempt++) {
    out_name->len = 0;
    tl_buf_printf(out_name, "%s.%ld-%d.tmp", path, (long)getpid(), attempt);
    int fd = open(out_name->data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST)
      return fd;
  }
  return -1;
}

bool tl_write_file(const char *path, const void *bytes, size_t len) {
  if (strcmp(path, "-") == 0)
    return fwrite(bytes, 1, len, stdout) == len && fflush(stdout) == 0;
  struct stat info;
  if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
    return write_in_place(path, bytes, len);
  // Through a symbolic link the file it names is replaced, not the link.
  char *real = realpath(path, NULL);
  const char *target = real ? real : path;
  tl_buf temporary = {0};
  int fd = open_beside(target, &temporary);
  bool ok = fd >= 0;
  int saved = errno;
  if (ok) {
    ok = write_all(fd, bytes, len);
    if (!ok)
      saved = errno;
    if (close(fd) != 0 && ok)
      saved = errno, ok = false;
    if (ok && rename(temporary.data, target) != 0)
      saved = errno, ok = false;
    if (!ok)
      unlink(temporary.data);
  }
  tl_buf_free(&temporary);
  free(real);
  errno = saved;
  return ok;
}

const char *tl_option_value(char **argv, int argc, int *at, const char *name) {
  size_t len = strlen(name);
  const char *text = argv[*at];
  if (strncmp(text, name, len) != 0)
    return NULL;
  if (text[len] == '=')
    return text + len + 1;
  if (text[len] || *at + 1 >= argc)
    return NULL;
  return argv[++*at];
}
