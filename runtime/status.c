// Status names and the thread's last error.
//
// The text is on the heap because compiler diagnostics can be long, and behind a pthread key so
// that a thread that ends gives it back.
#include "runtime/status.h"
#include "lang/base/str.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_key_t text_key;
static pthread_once_t text_once = PTHREAD_ONCE_INIT;

static void make_key(void) { pthread_key_create(&text_key, free); }

static void set_text(char *text) {
  pthread_once(&text_once, make_key);
  free(pthread_getspecific(text_key));
  pthread_setspecific(text_key, text);
}

tile_status tile_fail(tile_status status, const char *fmt, ...) {
  tl_buf buf = {0};
  va_list args;
  va_start(args, fmt);
  tl_buf_vprintf(&buf, fmt, args); // may read the old text: replaced only afterwards
  va_end(args);
  set_text(buf.data);
  return status;
}

tile_status tile_fail_in(tile_status status, const char *prefix) {
  return tile_fail(status, "%s: %s", prefix, tile_last_error());
}

const char *tile_last_error(void) {
  pthread_once(&text_once, make_key);
  const char *text = pthread_getspecific(text_key);
  return text ? text : "";
}

const char *tile_status_name(tile_status status) {
  switch (status) {
  case TILE_OK:
    return "ok";
  case TILE_E_INVALID:
    return "invalid";
  case TILE_E_SHAPE:
    return "shape";
  case TILE_E_DTYPE:
    return "dtype";
  case TILE_E_ALIGN:
    return "align";
  case TILE_E_NO_VARIANT:
    return "no_variant";
  case TILE_E_WORKSPACE:
    return "workspace";
  case TILE_E_IO:
    return "io";
  case TILE_E_FORMAT:
    return "format";
  case TILE_E_DRIVER:
    return "driver";
  case TILE_E_NO_DEVICE:
    return "no_device";
  case TILE_E_UNSUPPORTED:
    return "unsupported";
  case TILE_E_NOMEM:
    return "nomem";
  case TILE_E_CAPTURE:
    return "capture";
  case TILE_E_INTERNAL:
    return "internal";
  case TILE_E_CHECK:
    return "check";
  }
  return "unknown";
}

uint32_t tile_version(void) {
  unsigned major = 0, minor = 0, patch = 0;
  if (sscanf(TILE_VERSION, "%u.%u.%u", &major, &minor, &patch) < 1)
    return 0;
  return (major & 0xFFu) << 16 | (minor & 0xFFu) << 8 | (patch & 0xFFu);
}
