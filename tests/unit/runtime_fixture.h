// What the runtime's tests share: a .tla made by SQL with hand-written PTX, and a device that
// records its launches instead of running them.
#ifndef TESTS_UNIT_RUNTIME_FIXTURE_H
#define TESTS_UNIT_RUNTIME_FIXTURE_H
#include "lang/artifact.h"
#include "runtime/device.h"
#include "runtime/tile.h"
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// Kernel 1, gemm: the shape of the FP8 GEMM, three variants for sm_90a and one for sm_120a, the
// aligned ones preferred. Kernel 2, vadd: scalars of several types.
static const char fixture_rows[] =
    "INSERT INTO meta VALUES('compiler', 'hand'), ('source', 'gemm.tile');"
    "INSERT INTO kernel VALUES(1, 'gemm', 'tile_gemm', 'gemm.tile', 3), (2, 'vadd', 'vadd', "
    "'vadd.tile', 1);"
    "INSERT INTO param VALUES"
    "(1, 0, 'A', 'tensor', 'in', 'f8e4m3', 'M|K', '|1'), (1, 1, 'B', 'tensor', 'in', 'f8e4m3', "
    "'N|K', '|1'),"
    "(1, 2, 'SFA', 'tensor', 'in', 'f32', 'M|K / 128', '1|M'),"
    "(1, 3, 'D', 'tensor', 'out', 'bf16', 'M|N', '|1'),"
    "(2, 0, 'x', 'tensor', 'in', 'f32', 'n', '1'), (2, 1, 'y', 'tensor', 'inout', 'f32', 'n', '1'),"
    "(2, 2, 'alpha', 'scalar', 'in', 'f32', '', ''), (2, 3, 'count', 'scalar', 'in', 'i32', '', "
    "''),"
    "(2, 4, 'half', 'scalar', 'in', 'f16', '', '');"
    "INSERT INTO require VALUES(1, 0, 0, 'K % 128 == 0', 'K % BK == 0'), (1, 3, 0, 'N % 64 == 0', "
    "'N % 64 == 0');"
    "INSERT INTO variant VALUES"
    "(1, 1, 'sm_90a', 'BM128', 'BM=128', 16, 0, 1, 'gemm_a', 'persistent(ceildiv(M, 128) * "
    "ceildiv(N, 64))', '1',"
    " '1', 256, 98304, 2, 128, 0, 1, 4, 0, 21),"
    "(2, 1, 'sm_90a', 'BM128_u', 'BM=128', 0, 1, 0, 'gemm_u', 'ceildiv(M, 128)', 'ceildiv(N, 64)', "
    "'1', 256, 0,"
    " 1, 128, 0, 1, 4, 0, 21),"
    "(3, 1, 'sm_90a', 'BM64', 'BM=64', 0, 2, 0, 'gemm_64', 'ceildiv(M, 64)', '1', '1', 128, 0, 1, "
    "90, 0, 1, 4, 0, 21),"
    "(4, 1, 'sm_120a', 'BM64', 'BM=64', 16, 0, 1, 'gemm_120', '1', '1', '1', 128, 0, 1, 90, 0, 1, "
    "4, 0, 21),"
    "(5, 2, 'sm_90a', 'v', '', 0, 0, 1, 'vadd', 'ceildiv(n, 256)', '1', '1', 256, 0, 1, 20, 0, 0, "
    "1, 0, 21);"
    "INSERT INTO abi SELECT v, pos, kind, name, axis, dtype FROM (SELECT id AS v FROM variant "
    "WHERE kernel = 1),"
    "(SELECT 0 AS pos, 'ptr' AS kind, 'A' AS name, 0 AS axis, 'i64' AS dtype UNION ALL"
    " SELECT 1, 'ptr', 'B', 0, 'i64' UNION ALL SELECT 2, 'ptr', 'SFA', 0, 'i64' UNION ALL"
    " SELECT 3, 'ptr', 'D', 0, 'i64' UNION ALL SELECT 4, 'dim', 'M', 0, 'i32' UNION ALL"
    " SELECT 5, 'stride', 'A', 0, 'i64' UNION ALL SELECT 6, 'dim', 'N', 0, 'i32');"
    "INSERT INTO abi VALUES(5, 0, 'scalar', 'half', 0, 'f16'), (5, 1, 'scalar', 'alpha', 0, 'f32'),"
    "(5, 2, 'ptr', 'x', 0, 'i64'), (5, 3, 'scalar', 'count', 0, 'i32'), (5, 4, 'ptr', 'y', 0, "
    "'i64'),"
    "(5, 5, 'dim', 'n', 0, 'i64');"
    "INSERT INTO image SELECT id, 'ptx', CAST('.version 9.0 // ' || symbol AS BLOB) FROM variant;";

// The .tla's bytes (sqlite3_free); `more` is SQL run at the end, e.g. to damage it.
static unsigned char *fixture_bytes(const char *more, size_t *out_len) {
  sqlite3 *db;
  char header[200];
  assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
  snprintf(header, sizeof header, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
           TILE_ARTIFACT_APP_ID, TILE_ARTIFACT_VERSION);
  const char *const parts[] = {header, TILE_ARTIFACT_SCHEMA, fixture_rows, more ? more : ""};
  for (int i = 0; i < 4; i++) {
    char *error = NULL;
    if (sqlite3_exec(db, parts[i], NULL, NULL, &error) != SQLITE_OK)
      fail_msg("%s", error);
  }
  sqlite3_int64 size;
  unsigned char *bytes = sqlite3_serialize(db, "main", &size, 0);
  *out_len = (size_t)size;
  sqlite3_close(db);
  return bytes;
}

// --- a device that writes down what it is asked ------------------------------------------------

typedef struct fake_device {
  tile_device base;
  int loads, unloads, launches;
  char label[128], ptx[128];
  tile_dispatch last;
  unsigned char params[256];
} fake_device;

static void fake_close(tile_device *device) { (void)device; }
static tile_status fake_load(tile_device *device, const tile_code_source *source, tile_code **out) {
  fake_device *fake = (fake_device *)device;
  fake->loads++;
  snprintf(fake->label, sizeof fake->label, "%s", source->label);
  snprintf(fake->ptx, sizeof fake->ptx, "%s", source->ptx ? (const char *)source->ptx : "none");
  tile_code *code = calloc(1, sizeof *code);
  code->regs = -1;
  code->ctas_per_sm = source->ctas_per_sm;
  *out = code;
  return TILE_OK;
}
static void fake_unload(tile_device *device, tile_code *code) {
  ((fake_device *)device)->unloads++;
  free(code);
}
static tile_status fake_launch(tile_device *device, tile_code *code, const tile_dispatch *dispatch,
                               void *stream) {
  fake_device *fake = (fake_device *)device;
  (void)code, (void)stream;
  fake->launches++;
  fake->last = *dispatch;
  assert_in_range(dispatch->params_bytes, 0, sizeof fake->params);
  memcpy(fake->params, dispatch->params, dispatch->params_bytes);
  return TILE_OK;
}
static bool fake_capturing(tile_device *device, void *stream) {
  (void)device;
  return stream != NULL;
}
static const tile_device_ops fake_ops = {.close = fake_close,
                                         .load = fake_load,
                                         .unload = fake_unload,
                                         .launch = fake_launch,
                                         .capturing = fake_capturing};

__attribute__((unused)) static void fake_init(fake_device *fake, tile_ctx *ctx, const char *arch) {
  memset(fake, 0, sizeof *fake);
  fake->base.ops = &fake_ops;
  fake->base.sms = 4;
  snprintf(fake->base.arch, sizeof fake->base.arch, "%s", arch);
  snprintf(fake->base.key, sizeof fake->base.key, "fake:%s", arch);
  tile_ctx_adopt(ctx, &fake->base);
}
#endif
