// What selection needs of a .tla: keys, work, tuning records, and every expression once.
#include "lang/base/str.h"
#include "runtime/artifact_db.h"
#include "runtime/status.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_EXPRS = 4096, MAX_BUCKETS = 256 };
static const char persistent[] = "persistent(";

static tile_status expr_id(tile_module *module, tile_kernel *kernel, const char *text, int *out) {
  for (*out = 0; *out < kernel->nexprs; ++*out)
    if (strcmp(kernel->exprs[*out], text) == 0)
      return TILE_OK;
  if (kernel->nexprs == MAX_EXPRS)
    return tile_db_bad(kernel, "too many expressions from", text);
  kernel->exprs[kernel->nexprs++] = tl_strdup(&module->arena, text);
  return TILE_OK;
}

// "persistent(TILES)": the blocks of work are TILES, however many are launched.
static tile_status grid_exprs(tile_module *module, tile_kernel *kernel, tile_variant *variant) {
  for (int i = 0; i < 3; i++) {
    const char *text = variant->grid[i];
    size_t skip = sizeof persistent - 1, len = strlen(text);
    variant->grid_expr[i] = -1;
    if (!*text || strcmp(text, "1") == 0)
      continue;
    if (tl_starts_with(text, persistent) && text[len - 1] == ')')
      text = tl_strndup(&module->arena, text + skip, len - skip - 1);
    TILE_TRY(expr_id(module, kernel, text, &variant->grid_expr[i]));
  }
  for (int i = 0; i < variant->nrequires; i++)
    TILE_TRY(expr_id(module, kernel, variant->requires[i].expr, &variant->requires[i].expr_id));
  return TILE_OK;
}

static tile_status dim_exprs(tile_module *module, tile_kernel *kernel) {
  for (int p = 0; p < kernel->nparams; p++)
    for (int i = 0; i < kernel->params[p].ndim; i++)
      TILE_TRY(expr_id(module, kernel, kernel->params[p].dims[i], &kernel->params[p].dim_exprs[i]));
  return TILE_OK;
}

typedef struct reading {
  tile_kernel *kernel;
  tile_variant *variant;
  int capacity;
} reading;

static bool work_kind(const char *name, tile_work_kind *out) {
  static const char *const names[] = {"dot", "load", "store", "split"}; // ORDER tile_work_kind
  for (int i = 0; i < 4; i++)
    if (strcmp(name, names[i]) == 0)
      return *out = (tile_work_kind)i, true;
  return false;
}

static tile_status read_work(tile_module *module, sqlite3_stmt *stmt, void *user) {
  reading *now = user;
  if (now->variant->nwork == now->capacity)
    return tile_db_bad(now->kernel, "the work changed while reading", now->variant->name);
  tile_work *row = &now->variant->work[now->variant->nwork++];
  const char *kind = tile_db_text(module, stmt, 0);
  if (!work_kind(kind, &row->kind))
    return tile_db_bad(now->kernel, "unknown kind of work", kind);
  row->dtype = tl_dtype_by_name(tile_db_text(module, stmt, 1));
  row->m = sqlite3_column_int(stmt, 2);
  row->n = sqlite3_column_int(stmt, 3);
  row->k = sqlite3_column_int(stmt, 4);
  if (row->m < 0 || row->n < 0 || row->k < 0 || (row->kind == TILE_WORK_DOT && !row->dtype))
    return tile_db_bad(now->kernel, "impossible work of variant", now->variant->name);
  return expr_id(module, now->kernel, tile_db_text(module, stmt, 5), &row->times);
}

static tile_status read_variant_work(tile_module *module, tile_kernel *kernel,
                                     tile_variant *variant) {
  reading now = {kernel, variant, 0};
  TILE_TRY(grid_exprs(module, kernel, variant));
  TILE_TRY(tile_db_count(module, "SELECT count(*) FROM work WHERE variant = ?", variant->id,
                         &now.capacity));
  variant->work = TL_NEW_N(&module->arena, tile_work, now.capacity + 1);
  return tile_db_each(module,
                      "SELECT kind, name, m, n, k, times FROM work WHERE variant = ? ORDER BY pos",
                      variant->id, read_work, &now);
}

// "1,16,64": positive, ascending.
static tile_status read_buckets(tile_module *module, const tile_kernel *kernel, tile_key *key,
                                const char *text) {
  key->buckets = TL_NEW_N(&module->arena, int64_t, MAX_BUCKETS);
  for (const char *at = text; *at;) {
    char *end;
    int64_t value = strtoll(at, &end, 10),
            last = key->nbuckets ? key->buckets[key->nbuckets - 1] : 0;
    if (end == at || (*end && *end != ',') || value <= last || key->nbuckets == MAX_BUCKETS)
      return tile_db_bad(kernel, "buckets that do not ascend:", text);
    key->buckets[key->nbuckets++] = value;
    at = *end ? end + 1 : end;
  }
  return TILE_OK;
}

static tile_status read_key(tile_module *module, sqlite3_stmt *stmt, void *user) {
  reading *now = user;
  if (now->kernel->nkeys == now->capacity)
    return tile_db_bad(now->kernel, "the keys changed while reading", "");
  tile_key *key = &now->kernel->keys[now->kernel->nkeys++];
  key->name = tile_db_text(module, stmt, 0);
  return read_buckets(module, now->kernel, key, tile_db_text(module, stmt, 1));
}

static tile_status read_record(tile_module *module, sqlite3_stmt *stmt, void *user) {
  reading *now = user;
  if (now->kernel->nrecords == now->capacity)
    return tile_db_bad(now->kernel, "the records changed while reading", "");
  now->kernel->records[now->kernel->nrecords++] = (tile_record){
      .device = tile_db_text(module, stmt, 0),
      .shape = tile_db_text(module, stmt, 1),
      .variant = tile_db_text(module, stmt, 2),
      .ns = sqlite3_column_double(stmt, 3),
      .how = tile_db_text(module, stmt, 4),
  };
  return TILE_OK;
}

tile_status tile_db_read_tuning(tile_module *module, tile_kernel *kernel) {
  reading now = {kernel, NULL, 0};
  kernel->exprs = TL_NEW_N(&module->arena, const char *, MAX_EXPRS);
  TILE_TRY(dim_exprs(module, kernel));
  for (int i = 0; i < kernel->nvariants; i++)
    TILE_TRY(read_variant_work(module, kernel, &kernel->variants[i]));
  TILE_TRY(tile_db_count(module, "SELECT count(*) FROM key WHERE kernel = ?", kernel->id,
                         &now.capacity));
  kernel->keys = TL_NEW_N(&module->arena, tile_key, now.capacity + 1);
  TILE_TRY(tile_db_each(module, "SELECT name, buckets FROM key WHERE kernel = ? ORDER BY pos",
                        kernel->id, read_key, &now));
  TILE_TRY(tile_db_count(module, "SELECT count(*) FROM tuning WHERE kernel = ?", kernel->id,
                         &now.capacity));
  kernel->records = TL_NEW_N(&module->arena, tile_record, now.capacity + 1);
  return tile_db_each(module,
                      "SELECT device, shape, variant, ns, ifnull(record, '') FROM tuning"
                      " WHERE kernel = ? AND ns > 0 ORDER BY device, shape, ns, variant",
                      kernel->id, read_record, &now);
}
