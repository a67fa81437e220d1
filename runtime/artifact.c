// Reads a .tla: the only file of the runtime that knows SQL.
//
// Everything but the images is read at once into one arena and checked; an image is fetched when a
// device first needs it. The header of the file is judged before SQLite sees it, because a user
// with a truncated, foreign or newer file deserves to hear exactly that.
#include "runtime/artifact_db.h"
#include "lang/artifact.h"
#include "runtime/counters.h"
#include "runtime/status.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// --- the file's header -------------------------------------------------------------------------

enum { HEADER_BYTES = 100 }; // SQLite file format 1.3

static uint32_t be32(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static tile_status check_header(const char *label, const unsigned char *head, size_t len,
                                uint64_t file_bytes) {
  if (len < 16 || memcmp(head, "SQLite format 3", 16) != 0)
    return tile_fail(TILE_E_FORMAT, "%s: not a .tla file%s", label, len ? "" : ": it is empty");
  if (len < HEADER_BYTES)
    return tile_fail(TILE_E_FORMAT, "%s: truncated: %zu bytes", label, len);
  uint32_t page = (uint32_t)head[16] << 8 | head[17];
  uint64_t wanted = (uint64_t)(page == 1 ? 65536 : page) * be32(head + 28);
  if (be32(head + 68) != TILE_ARTIFACT_APP_ID)
    return tile_fail(TILE_E_FORMAT,
                     "%s: not a .tla file: an SQLite database of another application", label);
  if (be32(head + 60) > TILE_ARTIFACT_VERSION)
    return tile_fail(
        TILE_E_FORMAT,
        "%s: written by a newer compiler: artifact version %u, this runtime reads %d", label,
        be32(head + 60), TILE_ARTIFACT_VERSION);
  if (be32(head + 60) > 0 && be32(head + 60) < TILE_ARTIFACT_VERSION)
    return tile_fail(TILE_E_FORMAT,
                     "%s: written by an older compiler: artifact version %u, this runtime reads %d; "
                     "compile it again",
                     label, be32(head + 60), TILE_ARTIFACT_VERSION);
  if (be32(head + 60) == 0)
    return tile_fail(TILE_E_FORMAT, "%s: not a finished .tla file: its version is 0", label);
  if (file_bytes < wanted)
    return tile_fail(TILE_E_FORMAT, "%s: truncated: %llu bytes of %llu", label,
                     (unsigned long long)file_bytes, (unsigned long long)wanted);
  return TILE_OK;
}

// --- queries -----------------------------------------------------------------------------------

static tile_status sql_failed(const tile_module *module) {
  return tile_fail(TILE_E_FORMAT, "%s: damaged: %s", module->label, sqlite3_errmsg(module->db));
}

static tile_status query(tile_module *module, const char *sql, int64_t key, sqlite3_stmt **out) {
  if (sqlite3_prepare_v2(module->db, sql, -1, out, NULL) != SQLITE_OK)
    return sql_failed(module);
  if (sqlite3_bind_parameter_count(*out) > 0)
    sqlite3_bind_int64(*out, 1, key);
  return TILE_OK;
}

// Steps to the next row: *out_more tells whether there is one. Finishes the statement at the end.
static tile_status next_row(tile_module *module, sqlite3_stmt **stmt, bool *out_more) {
  int rc = sqlite3_step(*stmt);
  *out_more = rc == SQLITE_ROW;
  if (*out_more)
    return TILE_OK;
  tile_status status = rc == SQLITE_DONE ? TILE_OK : sql_failed(module);
  sqlite3_finalize(*stmt);
  *stmt = NULL;
  return status;
}

const char *tile_db_text(tile_module *module, sqlite3_stmt *stmt, int column) {
  const unsigned char *text = sqlite3_column_text(stmt, column);
  return tl_strdup(&module->arena, text ? (const char *)text : "");
}

tile_status tile_db_each(tile_module *module, const char *sql, int64_t key, tile_db_row row,
                         void *user) {
  sqlite3_stmt *stmt;
  TILE_TRY(query(module, sql, key, &stmt));
  for (bool more;;) {
    TILE_TRY(next_row(module, &stmt, &more));
    if (!more)
      return TILE_OK;
    tile_status status = row(module, stmt, user);
    if (status != TILE_OK) {
      sqlite3_finalize(stmt);
      return status;
    }
  }
}

// --- kernels and parameters --------------------------------------------------------------------

tile_status tile_db_bad(const tile_kernel *kernel, const char *what, const char *which) {
  return tile_fail(TILE_E_FORMAT, "%s: damaged: kernel '%s': %s '%s'",
                   tile_artifact_label(kernel->module), kernel->name, what, which);
}

static bool is_plain_name(const char *text) {
  if (!isalpha((unsigned char)*text) && *text != '_')
    return false;
  for (; *text; text++)
    if (!isalnum((unsigned char)*text) && *text != '_')
      return false;
  return true;
}

// "M|K / 128" -> {"M", "K / 128"}; the number of parts, or -1 when there are too many.
static int split_bars(tl_arena *arena, const char *text, const char **out) {
  for (int count = 0; count < TILE_MAX_RANK; count++) {
    const char *bar = strchr(text, '|');
    const char *from = text, *to = bar ? bar : text + strlen(text);
    while (from < to && *from == ' ')
      from++;
    while (to > from && to[-1] == ' ')
      to--;
    out[count] = tl_strndup(arena, from, (size_t)(to - from));
    if (!bar)
      return count + 1;
    text = bar + 1;
  }
  return -1;
}

typedef struct loading {
  tile_kernel *kernel;
  tile_variant *variant;
  int capacity;
} loading;

static int param_index(const tile_kernel *kernel, const char *name) {
  for (int i = 0; i < kernel->nparams; i++)
    if (strcmp(kernel->params[i].name, name) == 0)
      return i;
  return -1;
}

static int dim_index(const tile_kernel *kernel, const char *name) {
  for (int i = 0; i < kernel->ndims; i++)
    if (strcmp(kernel->dims[i], name) == 0)
      return i;
  return -1;
}

static bool parse_dir(const char *text, tile_dir *out) {
  static const char *const names[] = {"in", "out", "inout"};
  for (int i = 0; i < 3; i++)
    if (strcmp(text, names[i]) == 0)
      return *out = (tile_dir)i, true;
  return false;
}

static tile_status read_shape(tile_module *module, tile_kernel *kernel, tile_param *param,
                              const char *dims, const char *strides) {
  param->ndim = *dims ? split_bars(&module->arena, dims, param->dims) : 0;
  if (param->ndim < 0)
    return tile_db_bad(kernel, "too many dims of", param->name);
  for (int i = 0; i < param->ndim; i++)
    param->strides[i] = "";
  int nstrides = *dims ? split_bars(&module->arena, strides, param->strides) : 0;
  if (nstrides != param->ndim)
    return tile_db_bad(kernel, "dims and strides differ in number of", param->name);
  return TILE_OK;
}

static tile_status read_param(tile_module *module, sqlite3_stmt *stmt, void *user) {
  tile_kernel *kernel = user;
  if (kernel->nparams == TILE_MAX_PARAMS)
    return tile_db_bad(kernel, "too many parameters from", tile_db_text(module, stmt, 0));
  tile_param *param = &kernel->params[kernel->nparams];
  param->name = tile_db_text(module, stmt, 0);
  const char *kind = tile_db_text(module, stmt, 1), *dtype = tile_db_text(module, stmt, 3);
  param->is_tensor = strcmp(kind, "tensor") == 0;
  if (!param->is_tensor && strcmp(kind, "scalar") != 0)
    return tile_db_bad(kernel, "unknown kind of parameter", kind);
  if (!parse_dir(tile_db_text(module, stmt, 2), &param->dir))
    return tile_db_bad(kernel, "unknown direction of parameter", param->name);
  param->dtype = tl_dtype_by_name(dtype);
  if (param->dtype == TL_NODTYPE)
    return tile_db_bad(kernel, "unknown element type", dtype);
  if (param_index(kernel, param->name) >= 0)
    return tile_db_bad(kernel, "two parameters", param->name);
  param->tensor = param->is_tensor ? kernel->ntensors++ : -1;
  kernel->nparams++;
  if (!param->is_tensor)
    return TILE_OK;
  return read_shape(module, kernel, param, tile_db_text(module, stmt, 4),
                    tile_db_text(module, stmt, 5));
}

// Free names are bound at their first plain occurrence, so only plain dims make one.
static tile_status collect_dims(tile_module *module, tile_kernel *kernel) {
  kernel->dims = TL_NEW_N(&module->arena, const char *, TILE_MAX_DIMS);
  for (int p = 0; p < kernel->nparams; p++)
    for (int i = 0; i < kernel->params[p].ndim; i++) {
      const char *dim = kernel->params[p].dims[i];
      if (!is_plain_name(dim) || param_index(kernel, dim) >= 0 || dim_index(kernel, dim) >= 0)
        continue;
      if (kernel->ndims == TILE_MAX_DIMS)
        return tile_db_bad(kernel, "too many names from", dim);
      kernel->dims[kernel->ndims++] = dim;
    }
  return TILE_OK;
}

// --- variants ----------------------------------------------------------------------------------

static tile_status read_abi(tile_module *module, sqlite3_stmt *stmt, void *user) {
  loading *now = user;
  tile_kernel *kernel = now->kernel;
  tile_variant *variant = now->variant;
  if (variant->nabi == now->capacity)
    return tile_db_bad(kernel, "too many launch parameters in", variant->name);
  tile_abi_item *item = &variant->abi[variant->nabi++];
  const char *kind = tile_db_text(module, stmt, 0), *name = tile_db_text(module, stmt, 1);
  item->axis = sqlite3_column_int(stmt, 2);
  item->dtype = tl_dtype_by_name(tile_db_text(module, stmt, 3));
  bool wants_tensor = false;
  if (strcmp(kind, "ptr") == 0)
    item->kind = TILE_ABI_PTR, wants_tensor = true;
  else if (strcmp(kind, "scalar") == 0)
    item->kind = TILE_ABI_SCALAR;
  else if (strcmp(kind, "dim") == 0)
    item->kind = TILE_ABI_DIM;
  else if (strcmp(kind, "stride") == 0)
    item->kind = TILE_ABI_STRIDE, wants_tensor = true;
  else if (strcmp(kind, "tmap") == 0)
    item->kind = TILE_ABI_TMAP, wants_tensor = true;
  else
    return tile_db_bad(kernel, "unknown kind of launch parameter", kind);
  item->index = item->kind == TILE_ABI_DIM ? dim_index(kernel, name) : param_index(kernel, name);
  if (item->index < 0)
    return tile_db_bad(kernel, "a launch parameter names the unknown", name);
  if (item->kind == TILE_ABI_DIM) {
    if (item->dtype != TL_I32 && item->dtype != TL_I64)
      return tile_db_bad(kernel, "a dim that is neither i32 nor i64:", name);
    return TILE_OK;
  }
  const tile_param *param = &kernel->params[item->index];
  if (param->is_tensor != wants_tensor || item->dtype == TL_NODTYPE)
    return tile_db_bad(kernel, "a launch parameter does not fit", name);
  if (item->kind == TILE_ABI_STRIDE && ((item->dtype != TL_I32 && item->dtype != TL_I64) ||
                                        item->axis < 0 || item->axis >= param->ndim))
    return tile_db_bad(kernel, "a stride does not fit", name);
  return TILE_OK;
}

static uint32_t abi_bytes(const tile_abi_item *item) {
  if (item->kind == TILE_ABI_PTR)
    return 8;
  if (item->kind == TILE_ABI_TMAP)
    return TILE_TMAP_BYTES;
  int bits = tl_dtype_bits(item->dtype);
  return bits < 8 ? 1 : (uint32_t)bits / 8;
}

// Natural alignment, in order: how PTX lays out an entry's .param list.
static tile_status lay_out_params(tile_module *module, tile_variant *variant) {
  variant->offsets = TL_NEW_N(&module->arena, uint32_t, variant->nabi + 1);
  variant->sizes = TL_NEW_N(&module->arena, uint32_t, variant->nabi + 1);
  uint32_t at = 0;
  for (int i = 0; i < variant->nabi; i++) {
    uint32_t bytes = abi_bytes(&variant->abi[i]);
    uint32_t alignment = bytes == TILE_TMAP_BYTES ? 64 : bytes;
    at = (at + alignment - 1) / alignment * alignment;
    variant->offsets[i] = at;
    variant->sizes[i] = bytes;
    at += bytes;
  }
  variant->param_bytes = at;
  if (at > TILE_MAX_PARAM_BYTES)
    return tile_db_bad(variant->kernel, "too many bytes of parameters in", variant->name);
  return TILE_OK;
}

static tile_status read_require(tile_module *module, sqlite3_stmt *stmt, void *user) {
  loading *now = user;
  if (now->variant->nrequires == now->capacity)
    return tile_db_bad(now->kernel, "too many requirements in", now->variant->name);
  tile_require *require = &now->variant->requires[now->variant->nrequires++];
  require->expr = tile_db_text(module, stmt, 0);
  require->text = tile_db_text(module, stmt, 1);
  return TILE_OK;
}

// "128,64": one positive extent per dim of the tensor.
static tile_status read_descriptor(tile_module *module, sqlite3_stmt *stmt, void *user) {
  loading *now = user;
  int pos = sqlite3_column_int(stmt, 0);
  if (pos < 0 || pos >= now->variant->nabi || now->variant->abi[pos].kind != TILE_ABI_TMAP)
    return tile_db_bad(now->kernel, "a TMA descriptor without its parameter in", now->variant->name);
  tile_abi_item *item = &now->variant->abi[pos];
  int ndim = now->kernel->params[item->index].ndim, count = 0;
  for (const char *at = tile_db_text(module, stmt, 1); *at && count < TILE_MAX_RANK; count++) {
    char *end;
    item->box[count] = strtoll(at, &end, 10);
    if (end == at || item->box[count] < 1 || item->box[count] > 256)
      break;
    at = *end == ',' ? end + 1 : end;
  }
  item->swizzle = sqlite3_column_int(stmt, 2);
  if (count != ndim)
    return tile_db_bad(now->kernel, "a TMA box does not fit", now->variant->name);
  return TILE_OK;
}

tile_status tile_db_count(tile_module *module, const char *sql, int64_t key, int *out) {
  sqlite3_stmt *stmt;
  TILE_TRY(query(module, sql, key, &stmt));
  *out = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : -1;
  sqlite3_finalize(stmt);
  return *out < 0 ? sql_failed(module) : TILE_OK;
}

static tile_status read_variant_lists(tile_module *module, tile_kernel *kernel,
                                      tile_variant *variant) {
  loading now = {kernel, variant, 0};
  TILE_TRY(
      tile_db_count(module, "SELECT count(*) FROM abi WHERE variant = ?", variant->id, &now.capacity));
  variant->abi = TL_NEW_N(&module->arena, tile_abi_item, now.capacity + 1);
  TILE_TRY(tile_db_each(module,
                    "SELECT kind, name, axis, dtype FROM abi WHERE variant = ? ORDER BY pos",
                    variant->id, read_abi, &now));
  TILE_TRY(tile_db_each(module, "SELECT pos, box, swizzle FROM tmap WHERE variant = ? ORDER BY pos",
                    variant->id, read_descriptor, &now));
  TILE_TRY(lay_out_params(module, variant));
  // Rows of no variant (NULL or 0) hold for all of the kernel's.
  TILE_TRY(tile_db_count(module, "SELECT count(*) FROM require", 0, &now.capacity));
  variant->requires = TL_NEW_N(&module->arena, tile_require, now.capacity + 1);
  TILE_TRY(tile_db_each(module,
                    "SELECT r.expr, r.text FROM require r JOIN variant v ON v.id = ? AND"
                    " r.kernel = v.kernel AND ifnull(r.variant, 0) IN (0, v.id)"
                    " ORDER BY ifnull(r.variant, 0), r.pos",
                    variant->id, read_require, &now));
  return TILE_OK;
}

static tile_status read_variant(tile_module *module, sqlite3_stmt *stmt, void *user) {
  loading *now = user;
  tile_kernel *kernel = now->kernel;
  if (kernel->nvariants == now->capacity)
    return tile_db_bad(kernel, "the table of variants changed while reading", "");
  tile_variant *variant = &kernel->variants[kernel->nvariants++];
  variant->kernel = kernel;
  variant->id = sqlite3_column_int64(stmt, 0);
  variant->arch = tile_db_text(module, stmt, 1);
  variant->name = tile_db_text(module, stmt, 2);
  variant->settings = tile_db_text(module, stmt, 3);
  variant->align = sqlite3_column_int(stmt, 4);
  variant->rank = sqlite3_column_int(stmt, 5);
  variant->is_default = sqlite3_column_int(stmt, 6) != 0;
  variant->symbol = tile_db_text(module, stmt, 7);
  for (int i = 0; i < 3; i++)
    variant->grid[i] = tile_db_text(module, stmt, 8 + i);
  int threads = sqlite3_column_int(stmt, 11), smem = sqlite3_column_int(stmt, 12);
  variant->ctas_per_sm = sqlite3_column_int(stmt, 13);
  variant->regs = sqlite3_column_int(stmt, 14);
  variant->spill_bytes = sqlite3_column_int(stmt, 15);
  variant->stages = sqlite3_column_int(stmt, 16);
  variant->sum_bits = sqlite3_column_int(stmt, 17);
  if (threads < 1 || threads > 1024 || smem < 0 || variant->align < 0 ||
      (variant->align & (variant->align - 1)) != 0)
    return tile_db_bad(kernel, "impossible launch of variant", variant->name);
  variant->threads = (uint32_t)threads;
  variant->smem_bytes = (uint32_t)smem;
  return TILE_OK;
}

static tile_status read_kernel(tile_module *module, sqlite3_stmt *stmt, void *user) {
  (void)user;
  tile_kernel *kernel = TL_NEW(&module->arena, tile_kernel);
  kernel->module = module;
  kernel->id = sqlite3_column_int64(stmt, 0);
  kernel->name = tile_db_text(module, stmt, 1);
  kernel->export_name = tile_db_text(module, stmt, 2);
  kernel->source = tile_db_text(module, stmt, 3);
  kernel->line = sqlite3_column_int(stmt, 4);
  kernel->params = TL_NEW_N(&module->arena, tile_param, TILE_MAX_PARAMS);
  kernel->cache = tile_plan_cache_new();
  tl_push(&module->arena, &module->kernels, kernel);
  if (!kernel->cache)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  TILE_TRY(tile_db_each(module,
                    "SELECT name, kind, dir, dtype, dims, strides FROM param WHERE kernel = ?"
                    " ORDER BY pos",
                    kernel->id, read_param, kernel));
  TILE_TRY(collect_dims(module, kernel));
  loading now = {kernel, NULL, 0};
  TILE_TRY(tile_db_count(module, "SELECT count(*) FROM variant WHERE kernel = ?", kernel->id,
                      &now.capacity));
  kernel->variants = TL_NEW_N(&module->arena, tile_variant, now.capacity + 1);
  TILE_TRY(
      tile_db_each(module,
               "SELECT id, arch, name, settings, align, rank, is_default, symbol, grid_x, grid_y,"
               " grid_z, threads, smem_bytes, ctas_per_sm, regs, spill_bytes, stages, sum_bits FROM variant"
               " WHERE kernel = ? ORDER BY rank, name, arch",
               kernel->id, read_variant, &now));
  for (int i = 0; i < kernel->nvariants; i++)
    TILE_TRY(read_variant_lists(module, kernel, &kernel->variants[i]));
  return tile_db_read_tuning(module, kernel);
}

static tile_status read_meta(tile_module *module, sqlite3_stmt *stmt, void *user) {
  (void)user;
  for (int i = 0; i < 2; i++)
    tl_push(&module->arena, &module->meta, tile_db_text(module, stmt, i));
  return TILE_OK;
}

static tile_status read_everything(tile_module *module) {
  TILE_TRY(tile_db_each(module, "SELECT key, value FROM meta ORDER BY key", 0, read_meta, NULL));
  return tile_db_each(module, "SELECT id, name, export, source, line FROM kernel ORDER BY id", 0,
                  read_kernel, NULL);
}

// --- opening -----------------------------------------------------------------------------------

static tile_module *new_module(const char *label) {
  tile_module *module = calloc(1, sizeof *module);
  if (!module)
    return NULL;
  pthread_mutex_init(&module->lock, NULL);
  module->label = tl_strdup(&module->arena, label);
  return module;
}

static tile_status finish_open(tile_module *module, tile_status status, tile_module **out) {
  if (status == TILE_OK)
    status = read_everything(module);
  if (status == TILE_OK)
    *out = module;
  else
    tile_artifact_close(module);
  return status;
}

static tile_status check_file(const char *path) {
  struct stat info;
  FILE *file = fopen(path, "rb");
  if (!file || fstat(fileno(file), &info) != 0) {
    tile_status status = tile_fail(TILE_E_IO, "%s: %s", path, strerror(errno));
    if (file)
      fclose(file);
    return status;
  }
  unsigned char head[HEADER_BYTES];
  size_t len = fread(head, 1, sizeof head, file);
  bool failed = ferror(file) != 0;
  int cause = errno;
  fclose(file);
  if (failed)
    return tile_fail(TILE_E_IO, "%s: %s", path, strerror(cause));
  return check_header(path, head, len, (uint64_t)info.st_size);
}

// "file:PATH?immutable=1", the path's special characters escaped.
static char *immutable_uri(tl_arena *arena, const char *path) {
  char *uri = TL_NEW_N(arena, char, 3 * strlen(path) + 32), *at = uri;
  at += sprintf(at, "file:%s", *path == '/' ? "" : "./");
  for (; *path; path++)
    at += isalnum((unsigned char)*path) || strchr("/._-", *path)
              ? sprintf(at, "%c", *path)
              : sprintf(at, "%%%02X", (unsigned char)*path);
  strcpy(at, "?immutable=1");
  return uri;
}

tile_status tile_artifact_open(const char *path, tile_module **out) {
  TILE_TRY(check_file(path));
  tile_module *module = new_module(path);
  if (!module)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  int rc = sqlite3_open_v2(immutable_uri(&module->arena, path), &module->db,
                           SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX, NULL);
  return finish_open(module, rc == SQLITE_OK ? TILE_OK : sql_failed(module), out);
}

tile_status tile_artifact_open_bytes(const void *bytes, size_t len, const char *label,
                                     tile_module **out) {
  TILE_TRY(check_header(label, bytes, len, len));
  tile_module *module = new_module(label);
  unsigned char *copy = sqlite3_malloc64(len);
  if (!module || !copy) {
    sqlite3_free(copy);
    tile_artifact_close(module);
    return tile_fail(TILE_E_NOMEM, "out of memory: %zu bytes", len);
  }
  memcpy(copy, bytes, len);
  int rc =
      sqlite3_open_v2(":memory:", &module->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
  if (rc != SQLITE_OK) {
    sqlite3_free(copy);
    return finish_open(module, sql_failed(module), out);
  }
  rc = sqlite3_deserialize(module->db, "main", copy, (sqlite3_int64)len, (sqlite3_int64)len,
                           SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY);
  return finish_open(module, rc == SQLITE_OK ? TILE_OK : sql_failed(module), out);
}

static void unload_all(tile_module *module) {
  for (uint32_t k = 0; k < module->kernels.len; k++) {
    tile_plan_cache_free(module->kernels.data[k]->cache);
    for (int v = 0; v < module->kernels.data[k]->nvariants; v++) {
      tile_loaded *entry = module->kernels.data[k]->variants[v].loaded;
      while (entry) {
        tile_loaded *next = entry->next;
        entry->device->ops->unload(entry->device, entry->code);
        free(entry);
        entry = next;
      }
    }
  }
}

void tile_artifact_close(tile_module *module) {
  if (!module)
    return;
  unload_all(module);
  sqlite3_close(module->db);
  tl_arena_free(&module->arena);
  pthread_mutex_destroy(&module->lock);
  free(module);
}

const char *tile_artifact_label(const tile_module *module) { return module->label; }

const char *tile_artifact_meta(const tile_module *module, const char *key) {
  for (uint32_t i = 0; i + 1 < module->meta.len; i += 2)
    if (strcmp(module->meta.data[i], key) == 0)
      return module->meta.data[i + 1];
  return NULL;
}

int tile_artifact_kernel_count(const tile_module *module) { return (int)module->kernels.len; }
tile_kernel *tile_artifact_kernel(const tile_module *module, int index) {
  return module->kernels.data[index];
}

// --- code --------------------------------------------------------------------------------------

static tile_status fetch_image(tile_module *module, int64_t variant, const char *kind, void **out,
                               size_t *out_len) {
  sqlite3_stmt *stmt;
  TILE_TRY(
      query(module, "SELECT bytes FROM image WHERE variant = ?1 AND kind = ?2", variant, &stmt));
  sqlite3_bind_text(stmt, 2, kind, -1, SQLITE_STATIC);
  bool more;
  TILE_TRY(next_row(module, &stmt, &more));
  *out = NULL;
  *out_len = 0;
  if (!more)
    return TILE_OK;
  const void *blob = sqlite3_column_blob(stmt, 0);
  size_t len = (size_t)sqlite3_column_bytes(stmt, 0);
  char *copy = malloc(len + 1); // PTX is text: give it its end
  if (copy) {
    if (len)
      memcpy(copy, blob, len);
    copy[len] = 0;
  }
  sqlite3_finalize(stmt);
  *out = copy;
  *out_len = len;
  return copy ? TILE_OK : tile_fail(TILE_E_NOMEM, "out of memory: %zu bytes", len);
}

static tile_status load_images(const tile_variant *variant, tile_device *device, tile_code **out) {
  tile_module *module = variant->kernel->module;
  char label[256];
  snprintf(label, sizeof label, "%s[%s]", variant->kernel->name, variant->name);
  tile_code_source source = {
      .label = label,
      .symbol = variant->symbol,
      .threads = variant->threads,
      .smem_bytes = variant->smem_bytes,
      .ctas_per_sm = variant->ctas_per_sm,
      .nparams = variant->nabi,
      .param_offsets = variant->offsets,
      .param_sizes = variant->sizes,
  };
  void *ptx = NULL, *cubin = NULL;
  tile_status status = fetch_image(module, variant->id, "ptx", &ptx, &source.ptx_bytes);
  if (status == TILE_OK)
    status = fetch_image(module, variant->id, "cubin", &cubin, &source.cubin_bytes);
  source.ptx = ptx;
  source.cubin = cubin;
  if (status == TILE_OK && !ptx && !cubin)
    status = tile_fail(TILE_E_FORMAT, "%s: damaged: %s has no image", module->label, label);
  if (status == TILE_OK)
    status = device->ops->load(device, &source, out);
  free(ptx);
  free(cubin);
  return status;
}

static tile_loaded *find_loaded(const tile_variant *variant, const tile_device *device) {
  tile_loaded *entry = variant->loaded;
  while (entry && entry->device != device)
    entry = entry->next;
  return entry;
}

bool tile_variant_is_loaded(const tile_variant *variant, const tile_device *device) {
  tile_module *module = variant->kernel->module;
  pthread_mutex_lock(&module->lock);
  bool found = find_loaded(variant, device) != NULL;
  pthread_mutex_unlock(&module->lock);
  return found;
}

tile_status tile_variant_load(const tile_variant *chosen, tile_device *device, tile_code **out) {
  tile_variant *variant =
      (tile_variant *)chosen; // its list of loaded code is the module's to change
  tile_module *module = variant->kernel->module;
  pthread_mutex_lock(&module->lock);
  tile_status status = TILE_OK;
  tile_loaded *entry = find_loaded(variant, device);
  if (!entry && !(entry = calloc(1, sizeof *entry)))
    status = tile_fail(TILE_E_NOMEM, "out of memory");
  if (entry && !entry->code) {
    entry->device = device;
    status = load_images(variant, device, &entry->code);
    if (status == TILE_OK) {
      tile_count(TILE_COUNT_LOADS);
      entry->next = variant->loaded;
      variant->loaded = entry;
    } else {
      free(entry);
    }
  }
  if (status == TILE_OK)
    *out = entry->code;
  pthread_mutex_unlock(&module->lock);
  return status;
}
