// THE contract between compiler and runtime: what a .tla file holds. One SQLite 3 database,
// application_id TILE_ARTIFACT_APP_ID, user_version TILE_ARTIFACT_VERSION; opened immutable while
// serving. Written by codegen/artifact.c, read by runtime/artifact.c; nothing else knows SQL.
//
// Names of dims are the kernel's free names (M, N, K). Expressions are lang/base/expr.h text over
// dims, scalar integer parameters, generics already substituted, and the launch symbols below.
#ifndef LANG_ARTIFACT_H
#define LANG_ARTIFACT_H

#define TILE_ARTIFACT_APP_ID 0x54494C45 /* "TILE" */
#define TILE_ARTIFACT_VERSION 2

// meta      key/value: compiler, llvm, ptxas (or ''), source (file name), source_sha256? deterministic only
// kernel    name is how users ask for it; export is @export("...") or the name
// param     in declaration order. kind: 'tensor' | 'scalar'. dir: 'in' | 'out' | 'inout'.
//           dims: expressions separated by '|' ("M|K / 128"); strides likewise, '' for a run-time
//           stride ("|1" = dense last dim, run-time row stride)
// require   boolean expressions with the source text shown to the user
// variant   one compiled form. name: "BM128_BN128_STAGES4" (+ "_u" when alignment-free); settings: "BM=128 BN=128".
//           grid_x: expression; "persistent(EXPR)" means min(EXPR, SMs * ctas_per_sm)
//           align: bytes every tensor base and every run-time row stride must be a multiple of
//           (16, or 0 = element alignment only). rank: order of preference, lower first; the runtime
//           takes the first variant of the device's architecture whose contract the arguments meet.
//           is_default: 1 for the generics' default values. sum_bits: fraction bits that the tensor
//           core keeps of a product beside larger ones (13: fp8 wgmma; 21: all others, at least)
// abi       launch parameters of a variant, in order: kind 'ptr' | 'scalar' | 'dim' | 'stride' | 'tmap';
//           name of tensor, scalar or dim; axis for strides; dtype of the parameter ('i64' for ptr)
// tmap      of each 'tmap' row of abi: a TMA descriptor, 128 bytes by value aligned to 64, which the
//           launch encodes for the tensor. box: extents of one copy in the tensor's dim order
//           ("128,64"), swizzle in bytes
// key       what tuning records of a kernel are keyed by, in order: a dim or integer scalar; buckets:
//           "1,16,64", or '' when every value is its own
// work      what all blocks of a variant do together, for the runtime's cost model; expressions over
//           dims. kind 'dot': name is the operands' dtype, m x n x k the product of one execution;
//           'load' | 'store': name is the tensor, m the bytes of one execution; 'split': m CTAs share
//           each loop over K. times: how often all blocks together execute it; '' = not known.
//           A variant without rows is taken by rank alone.
// tuning    one measurement: device as tile_device_name() says, shape "M=64 N=4096 K=7168" in the order
//           of key (bucketed dims: the bucket), variant by name, median ns; record: JSON, how measured
// image     kind 'ptx' | 'cubin'
#define TILE_ARTIFACT_SCHEMA                                                                       \
  "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"                    \
  "CREATE TABLE kernel(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, export TEXT NOT NULL,"   \
  " source TEXT NOT NULL, line INTEGER NOT NULL);"                                                 \
  "CREATE TABLE param(kernel INTEGER, pos INTEGER, name TEXT, kind TEXT, dir TEXT, dtype TEXT,"    \
  " dims TEXT, strides TEXT, PRIMARY KEY(kernel, pos)) WITHOUT ROWID;"                             \
  "CREATE TABLE require(kernel INTEGER, variant INTEGER, pos INTEGER, expr TEXT, text TEXT,"       \
  " PRIMARY KEY(kernel, variant, pos)) WITHOUT ROWID;"                                             \
  "CREATE TABLE variant(id INTEGER PRIMARY KEY, kernel INTEGER, arch TEXT, name TEXT,"             \
  " settings TEXT, align INTEGER, rank INTEGER, is_default INTEGER, symbol TEXT,"                  \
  " grid_x TEXT, grid_y TEXT, grid_z TEXT, threads INTEGER, smem_bytes INTEGER,"                   \
  " ctas_per_sm INTEGER, regs INTEGER, spill_bytes INTEGER, barriers INTEGER, stages INTEGER,"     \
  " float_atomics INTEGER, sum_bits INTEGER, UNIQUE(kernel, arch, name));"                         \
  "CREATE TABLE abi(variant INTEGER, pos INTEGER, kind TEXT, name TEXT, axis INTEGER, dtype TEXT," \
  " PRIMARY KEY(variant, pos)) WITHOUT ROWID;"                                                     \
  "CREATE TABLE tmap(variant INTEGER, pos INTEGER, box TEXT, swizzle INTEGER,"                     \
  " PRIMARY KEY(variant, pos)) WITHOUT ROWID;"                                                     \
  "CREATE TABLE key(kernel INTEGER, pos INTEGER, name TEXT, buckets TEXT,"                         \
  " PRIMARY KEY(kernel, pos)) WITHOUT ROWID;"                                                      \
  "CREATE TABLE work(variant INTEGER, pos INTEGER, kind TEXT, name TEXT, m INTEGER, n INTEGER,"    \
  " k INTEGER, times TEXT, PRIMARY KEY(variant, pos)) WITHOUT ROWID;"                              \
  "CREATE TABLE image(variant INTEGER, kind TEXT, bytes BLOB NOT NULL,"                            \
  " PRIMARY KEY(variant, kind)) WITHOUT ROWID;"                                                    \
  "CREATE TABLE tuning(kernel INTEGER, device TEXT, shape TEXT, variant TEXT, ns REAL, record TEXT,"  \
  " PRIMARY KEY(kernel, device, shape, variant)) WITHOUT ROWID;"
#endif
