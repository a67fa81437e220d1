// A module's database, shared by the files that read it: artifact.c and artifact_tune.c. Nothing
// else of the runtime but tiletune's store knows SQL.
#ifndef RUNTIME_ARTIFACT_DB_H
#define RUNTIME_ARTIFACT_DB_H
#include "lang/base/vec.h"
#include "runtime/artifact.h"
#include <pthread.h>
#include <sqlite3.h>

struct tile_module {
  pthread_mutex_t lock; // image queries and the lists of loaded code
  sqlite3 *db;
  tl_arena arena;
  const char *label;
  TL_VEC(tile_kernel *) kernels;
  TL_VEC(const char *) meta; // key, value, key, value, ...
};

// Runs `row` on each row of the query, whose first parameter is `key`; the first failure ends it.
typedef tile_status (*tile_db_row)(tile_module *module, sqlite3_stmt *stmt, void *user);
tile_status tile_db_each(tile_module *module, const char *sql, int64_t key, tile_db_row row,
                         void *user);
tile_status tile_db_count(tile_module *module, const char *sql, int64_t key, int *out);
const char *tile_db_text(tile_module *module, sqlite3_stmt *stmt, int column); // on the arena
tile_status tile_db_bad(const tile_kernel *kernel, const char *what, const char *which);

// Keys, work, records and the list of expressions of a kernel whose variants are read.
tile_status tile_db_read_tuning(tile_module *module, tile_kernel *kernel);
#endif
