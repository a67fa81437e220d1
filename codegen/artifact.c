// Writes the .tla with SQLite, in memory: the same rows in the same order give the same bytes.
#include "codegen/artifact.h"
#include "lang/artifact.h"
#include "lang/base/assert.h"
#include <sqlite3.h>
#include <stdlib.h>

struct cg_artifact {
  sqlite3 *db;
  int kernels, variants;
};

static void check(cg_artifact *a, int code) {
  if (code != SQLITE_OK && code != SQLITE_DONE)
    TL_UNREACHABLE("SQLite while writing the artifact: %s", sqlite3_errmsg(a->db));
}

// Runs one INSERT; `kinds` has a letter per value: i int, s string.
static void insert(cg_artifact *a, const char *sql, const char *kinds, ...) {
  sqlite3_stmt *statement;
  check(a, sqlite3_prepare_v2(a->db, sql, -1, &statement, NULL));
  va_list args;
  va_start(args, kinds);
  for (int i = 0; kinds[i]; i++) {
    if (kinds[i] == 'i')
      check(a, sqlite3_bind_int64(statement, i + 1, va_arg(args, int)));
    else
      check(a,
            sqlite3_bind_text(statement, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT));
  }
  va_end(args);
  check(a, sqlite3_step(statement));
  sqlite3_finalize(statement);
}

cg_artifact *cg_artifact_new(void) {
  cg_artifact *a = calloc(1, sizeof *a);
  TL_ASSERT(a, "out of memory");
  check(a, sqlite3_open(":memory:", &a->db));
  char pragma[96];
  snprintf(pragma, sizeof pragma,
           "PRAGMA page_size=4096; PRAGMA application_id=%d; PRAGMA user_version=%d;",
           TILE_ARTIFACT_APP_ID, TILE_ARTIFACT_VERSION);
  check(a, sqlite3_exec(a->db, pragma, NULL, NULL, NULL));
  check(a, sqlite3_exec(a->db, TILE_ARTIFACT_SCHEMA, NULL, NULL, NULL));
  check(a, sqlite3_exec(a->db, "BEGIN", NULL, NULL, NULL));
  return a;
}

void cg_artifact_meta(cg_artifact *a, const char *key, const char *value) {
  insert(a, "INSERT INTO meta VALUES(?,?)", "ss", key, value);
}

int cg_artifact_kernel(cg_artifact *a, const char *name, const char *export_name,
                       const char *source, int line) {
  insert(a, "INSERT INTO kernel VALUES(?,?,?,?,?)", "isssi", ++a->kernels, name, export_name,
         source, line);
  return a->kernels;
}

void cg_artifact_params(cg_artifact *a, int kernel, const fe_contract *contract) {
  for (int i = 0; i < contract->nparams; i++) {
    const fe_param_info *p = &contract->params[i];
    insert(a, "INSERT INTO param VALUES(?,?,?,?,?,?,?,?)", "iissssss", kernel, i, p->name, p->kind,
           p->dir, p->dtype, p->dims, p->strides);
  }
}

void cg_artifact_keys(cg_artifact *a, int kernel, const fe_contract *contract) {
  for (int i = 0; i < contract->nkeys; i++)
    insert(a, "INSERT INTO key VALUES(?,?,?,?)", "iiss", kernel, i, contract->keys[i].name,
           contract->keys[i].buckets ? contract->keys[i].buckets : "");
}

static void insert_work(cg_artifact *a, int variant, const cg_work *work) {
  for (int i = 0; i < work->nrows; i++) {
    const cg_work_row *row = &work->rows[i];
    insert(a, "INSERT INTO work VALUES(?,?,?,?,?,?,?,?)", "iissiiis", variant, i, row->kind, row->name,
           row->m, row->n, row->k, row->times);
  }
}

static void insert_abi(cg_artifact *a, int variant, const ir_func *func) {
  static const char *const kinds[] = {"ptr", "scalar", "dim", "stride",
                                      "tmap"}; // ORDER ir_param_kind
  for (uint32_t i = 0; i < func->params.len; i++) {
    const ir_param *p = &func->params.data[i];
    const ty_type *type = ir_type(func, p->val);
    bool address = p->kind == IR_PARAM_PTR;
    const char *dtype = address ? "i64" : tl_dtype_name(type->dtype);
    insert(a, "INSERT INTO abi VALUES(?,?,?,?,?,?)", "iissis", variant, (int)i, kinds[p->kind],
           p->name, p->axis, dtype);
  }
}

static void insert_descriptors(cg_artifact *a, int variant, const ir_func *func) {
  for (uint32_t i = 0; i < func->params.len; i++) {
    const ir_param *p = &func->params.data[i];
    if (p->kind != IR_PARAM_TMAP)
      continue;
    tl_buf box = {0};
    for (int d = 0; d < p->nbox; d++)
      tl_buf_printf(&box, d ? ",%lld" : "%lld", (long long)p->box[d]);
    insert(a, "INSERT INTO tmap VALUES(?,?,?,?)", "iisi", variant, (int)i, box.data, p->swizzle);
    tl_buf_free(&box);
  }
}

static void insert_image(cg_artifact *a, int variant, const char *kind, const void *bytes,
                         size_t len) {
  sqlite3_stmt *statement;
  check(a, sqlite3_prepare_v2(a->db, "INSERT INTO image VALUES(?,?,?)", -1, &statement, NULL));
  check(a, sqlite3_bind_int(statement, 1, variant));
  check(a, sqlite3_bind_text(statement, 2, kind, -1, SQLITE_STATIC));
  check(a, sqlite3_bind_blob(statement, 3, bytes, (int)len, SQLITE_STATIC));
  check(a, sqlite3_step(statement));
  sqlite3_finalize(statement);
}

static const char *grid_of(const ir_func *func, int axis) {
  return func->grid[axis] ? func->grid[axis] : "1";
}

void cg_artifact_variant(cg_artifact *a, int kernel, const ir_func *func,
                         const fe_contract *contract, const cg_variant_info *info,
                         const cg_image *image) {
  int id = ++a->variants;
  tl_buf settings = {0};
  for (uint32_t i = 0; i < func->settings.len; i++)
    tl_buf_printf(&settings, "%s%s=%s", i ? " " : "", func->settings.data[i].name,
                  func->settings.data[i].value);
  insert(a, "INSERT INTO variant VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
         "iisssiiissssiiiiiiiii", id, kernel, func->target->name, info->name,
         settings.data ? settings.data : "", info->align, info->rank, (int)info->is_default,
         func->name, grid_of(func, 0), grid_of(func, 1), grid_of(func, 2), (func->warps + func->extra_warps) * 32,
         (int)func->smem_bytes, info->ctas_per_sm, image->regs, image->spill_bytes, image->barriers,
         info->stages, (int)contract->float_atomics, info->sum_bits);
  tl_buf_free(&settings);
  for (int i = 0; i < contract->nrequires; i++)
    insert(a, "INSERT INTO require VALUES(?,?,?,?,?)", "iiiss", kernel, id, i,
           contract->require_exprs[i], contract->require_texts[i]);
  insert_work(a, id, &info->work);
  insert_abi(a, id, func);
  insert_descriptors(a, id, func);
  insert_image(a, id, "ptx", image->ptx, image->ptx_len);
  if (image->cubin)
    insert_image(a, id, "cubin", image->cubin, image->cubin_len);
}

// SQLite reads the JSON: what is left of the object says how the record was measured.
bool cg_artifact_record(cg_artifact *a, int kernel, const char *kernel_name, const char *json) {
  static const char check_sql[] =
      "SELECT json_valid(?1) AND json_extract(?1, '$.kernel') IS NOT NULL"
      " AND json_extract(?1, '$.device') IS NOT NULL AND json_extract(?1, '$.shape') IS NOT NULL"
      " AND json_extract(?1, '$.variant') IS NOT NULL AND json_extract(?1, '$.ns') > 0";
  static const char insert_sql[] =
      "INSERT OR REPLACE INTO tuning SELECT ?2, json_extract(?1, '$.device'),"
      " json_extract(?1, '$.shape'), json_extract(?1, '$.variant'), json_extract(?1, '$.ns'),"
      " json_remove(?1, '$.kernel', '$.device', '$.shape', '$.variant', '$.ns')"
      " WHERE json_extract(?1, '$.kernel') = ?3 AND EXISTS (SELECT 1 FROM variant"
      " WHERE kernel = ?2 AND name = json_extract(?1, '$.variant'))";
  sqlite3_stmt *statement;
  check(a, sqlite3_prepare_v2(a->db, check_sql, -1, &statement, NULL));
  check(a, sqlite3_bind_text(statement, 1, json, -1, SQLITE_STATIC));
  bool good = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement); // an error here is the text's: no JSON
  if (!good)
    return false;
  check(a, sqlite3_prepare_v2(a->db, insert_sql, -1, &statement, NULL));
  check(a, sqlite3_bind_text(statement, 1, json, -1, SQLITE_STATIC));
  check(a, sqlite3_bind_int(statement, 2, kernel));
  check(a, sqlite3_bind_text(statement, 3, kernel_name, -1, SQLITE_STATIC));
  check(a, sqlite3_step(statement));
  sqlite3_finalize(statement);
  return true;
}

void cg_artifact_finish(cg_artifact *a, tl_buf *out) {
  check(a, sqlite3_exec(a->db, "COMMIT", NULL, NULL, NULL));
  sqlite3_int64 size = 0;
  unsigned char *bytes = sqlite3_serialize(a->db, "main", &size, 0);
  TL_ASSERT(bytes, "SQLite gave no image of the artifact");
  tl_buf_write(out, bytes, (size_t)size);
  sqlite3_free(bytes);
  sqlite3_close(a->db);
  free(a);
}
