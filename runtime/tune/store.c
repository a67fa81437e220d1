// Records in .tla files and as JSON lines.
//
// A .tla is never written in place, because whoever serves from it has it open as immutable: a copy
// beside it gets the records, is synced, and takes its name.
#include "lang/artifact.h"
#include "lang/base/str.h"
#include "runtime/artifact_db.h"
#include "runtime/status.h"
#include "runtime/tune/tune.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static tile_status failed(const char *path, const char *what) {
  return tile_fail(TILE_E_IO, "%s: %s", path, what);
}

static tile_status copy_file(const char *from, const char *to) {
  size_t len;
  char *bytes = tl_read_file(from, &len);
  if (!bytes)
    return failed(from, strerror(errno));
  bool good = tl_write_file(to, bytes, len);
  free(bytes);
  return good ? TILE_OK : failed(to, strerror(errno));
}

// --- into a database ---------------------------------------------------------------------------

static tile_status sql_failed(sqlite3 *db, const char *path) {
  return failed(path, sqlite3_errmsg(db));
}

// The kernel's id when it has the variant; 0: it does not.
static tile_status find_kernel(sqlite3 *db, const char *path, const tune_record *record,
                               sqlite3_int64 *out) {
  sqlite3_stmt *stmt;
  *out = 0;
  if (sqlite3_prepare_v2(
          db,
          "SELECT k.id FROM kernel k JOIN variant v ON v.kernel = k.id WHERE k.name = ?"
          " AND v.name = ? LIMIT 1",
          -1, &stmt, NULL) != SQLITE_OK)
    return sql_failed(db, path);
  sqlite3_bind_text(stmt, 1, record->kernel, -1, SQLITE_STATIC);
  sqlite3_bind_text(stmt, 2, record->variant, -1, SQLITE_STATIC);
  int rc = sqlite3_step(stmt);
  if (rc == SQLITE_ROW)
    *out = sqlite3_column_int64(stmt, 0);
  sqlite3_finalize(stmt);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? TILE_OK : sql_failed(db, path);
}

static tile_status insert(sqlite3 *db, const char *path, sqlite3_int64 kernel,
                          const tune_record *record) {
  sqlite3_stmt *stmt;
  if (sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO tuning VALUES(?,?,?,?,?,?)", -1, &stmt,
                         NULL) != SQLITE_OK)
    return sql_failed(db, path);
  sqlite3_bind_int64(stmt, 1, kernel);
  sqlite3_bind_text(stmt, 2, record->device, -1, SQLITE_STATIC);
  sqlite3_bind_text(stmt, 3, record->shape, -1, SQLITE_STATIC);
  sqlite3_bind_text(stmt, 4, record->variant, -1, SQLITE_STATIC);
  sqlite3_bind_double(stmt, 5, record->ns);
  sqlite3_bind_text(stmt, 6, record->how, -1, SQLITE_STATIC);
  int rc = sqlite3_step(stmt);
  sqlite3_finalize(stmt);
  return rc == SQLITE_DONE ? TILE_OK : sql_failed(db, path);
}

static tile_status insert_all(sqlite3 *db, const char *path, const tune_records *records,
                              int *out_stored, int *out_unknown) {
  *out_stored = *out_unknown = 0;
  if (sqlite3_exec(db, "PRAGMA journal_mode = MEMORY; BEGIN", NULL, NULL, NULL) != SQLITE_OK)
    return sql_failed(db, path);
  for (uint32_t i = 0; i < records->len; i++) {
    sqlite3_int64 kernel;
    TILE_TRY(find_kernel(db, path, &records->data[i], &kernel));
    if (kernel)
      TILE_TRY(insert(db, path, kernel, &records->data[i]));
    ++*(kernel ? out_stored : out_unknown);
  }
  return sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? TILE_OK : sql_failed(db, path);
}

static tile_status sync_file(const char *path) {
  int fd = open(path, O_RDONLY);
  bool good = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0)
    close(fd);
  return good ? TILE_OK : failed(path, strerror(errno));
}

static tile_status fill_copy(const char *copy, const tune_records *records, int *out_stored,
                             int *out_unknown) {
  sqlite3 *db;
  if (sqlite3_open_v2(copy, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
    tile_status status = sql_failed(db, copy);
    sqlite3_close(db);
    return status;
  }
  tile_status status = insert_all(db, copy, records, out_stored, out_unknown);
  sqlite3_close(db);
  return status == TILE_OK ? sync_file(copy) : status;
}

tile_status tune_store(const char *from, const char *to, const tune_records *records,
                       int *out_stored, int *out_unknown) {
  char copy[PATH_MAX];
  struct stat info;
  if (snprintf(copy, sizeof copy, "%s.new.%ld", to, (long)getpid()) >= (int)sizeof copy)
    return failed(to, "the name is too long");
  TILE_TRY(copy_file(from, copy));
  if (stat(from, &info) == 0)
    chmod(copy, info.st_mode & 0777);
  tile_status status = fill_copy(copy, records, out_stored, out_unknown);
  if (status == TILE_OK && rename(copy, to) != 0)
    status = failed(to, strerror(errno));
  if (status != TILE_OK)
    unlink(copy);
  return status;
}

// --- out of one --------------------------------------------------------------------------------

void tune_records_of(tl_arena *arena, const tile_module *module, const char *kernel_name,
                     tune_records *out) {
  for (int k = 0; k < tile_artifact_kernel_count(module); k++) {
    const tile_kernel *kernel = tile_artifact_kernel((tile_module *)module, k);
    if (kernel_name && strcmp(kernel->name, kernel_name) != 0)
      continue;
    for (int i = 0; i < kernel->nrecords; i++) {
      const tile_record *from = &kernel->records[i];
      tune_record record = {kernel->name,  from->device, from->shape,
                            from->variant, from->how,    from->ns};
      tl_push(arena, out, record);
    }
  }
}

// --- text --------------------------------------------------------------------------------------

// The record's own facts first, then how it was measured.
void tune_print_records(FILE *out, const tune_records *records) {
  for (uint32_t i = 0; i < records->len; i++) {
    const tune_record *record = &records->data[i];
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:s, s:f}", "kernel", record->kernel, "device", record->device,
                  "shape", record->shape, "variant", record->variant, "ns", record->ns);
    json_t *how = json_loads(record->how && *record->how ? record->how : "{}", 0, NULL);
    if (line && json_is_object(how))
      json_object_update_missing(line, how);
    json_dumpf(line, out, JSON_REAL_PRECISION(7) | JSON_PRESERVE_ORDER);
    fputc('\n', out);
    json_decref(line);
    json_decref(how);
  }
}

static const char *take(tl_arena *arena, json_t *object, const char *name) {
  const char *text = json_string_value(json_object_get(object, name));
  const char *own = text ? tl_strdup(arena, text) : NULL;
  json_object_del(object, name);
  return own;
}

static tile_status read_line(tl_arena *arena, const char *path, int number, const char *text,
                             tune_records *out) {
  json_error_t error;
  json_t *object = json_loads(text, 0, &error);
  if (!json_is_object(object)) {
    json_decref(object);
    return tile_fail(TILE_E_FORMAT, "%s:%d: not a JSON object: %s", path, number, error.text);
  }
  tune_record record = {.kernel = take(arena, object, "kernel"),
                        .device = take(arena, object, "device"),
                        .shape = take(arena, object, "shape"),
                        .variant = take(arena, object, "variant"),
                        .ns = json_number_value(json_object_get(object, "ns"))};
  json_object_del(object, "ns");
  char *rest = json_dumps(object, JSON_REAL_PRECISION(7) | JSON_PRESERVE_ORDER);
  record.how = tl_strdup(arena, rest ? rest : "{}");
  free(rest);
  json_decref(object);
  if (!record.kernel || !record.device || !record.shape || !record.variant || record.ns <= 0)
    return tile_fail(TILE_E_FORMAT,
                     "%s:%d: a record needs kernel, device, shape, variant and ns > 0", path,
                     number);
  tl_push(arena, out, record);
  return TILE_OK;
}

tile_status tune_read_records(tl_arena *arena, const char *path, tune_records *out) {
  size_t len;
  char *text = tl_read_file(path, &len), *at = text, *lines;
  if (!text)
    return failed(path, strerror(errno));
  tile_status status = TILE_OK;
  int number = 0;
  for (char *line = at; line && status == TILE_OK; line = lines) {
    lines = strchr(line, '\n');
    if (lines)
      *lines++ = 0;
    number++;
    if (line[strspn(line, " \t\r")])
      status = read_line(arena, path, number, line, out);
  }
  free(text);
  return status;
}
