// Instructions one by one: a snippet, up to three 64-bit operands, the expected 64-bit result.
//
// The expectations are worked out by hand from the manual (and, where it is silent, from recorded
// hardware behaviour); the mass comparison against hardware is test_sim_forms.c. Here are the forms
// that the H200 does not have, memory and synchronisation forms, and the edges worth reading.
//
// In a snippet $d is the 64-bit result; %a %b %c are the operands, %wa %wb %wc their low words,
// %ha %hb %hc their low halves; %w0..%w3, %x0..%x3, %h0..%h3, %p0..%p3 are free; [%g] is 64 bytes
// of global memory, [%s] of shared memory, both zero. Every lane of one warp runs the snippet;
// `lane` says whose result counts.
#include "lang/base/str.h"
#include "runtime/sim/sim_api.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

typedef struct row {
  const char *arch, *text;
  uint64_t a, b, c, expect;
  int lane;
} row;

#define S90 "sm_90a"
#define S100 "sm_100a"
#define S120 "sm_120a"
// clang-format off
static const row rows[] = {
    // packed and mixed f32 (not on the H200)
    {S100, "add.rn.f32x2 $d, %a, %b", 0x3F80000040000000, 0x4000000040400000, 0, 0x4040000040A00000, 0},
    {S100, "sub.rz.f32x2 $d, %a, %b", 0x3F80000040000000, 0x4000000040400000, 0, 0xBF800000BF800000, 0},
    {S100, "mul.rn.ftz.f32x2 $d, %a, %b", 0x0080000040000000, 0x3F00000040400000, 0, 0x0000000040C00000, 0},
    {S100, "fma.rn.f32x2 $d, %a, %b, %c", 0x3F80000040000000, 0x4000000040400000, 0x3F8000003F800000, 0x4040000040E00000, 0},
    {S100, "add.rn.f32.f16 %w0, %ha, %wb; cvt.u64.u32 $d, %w0", 0x3C00, 0x3F000000, 0, 0x3FC00000, 0},
    {S100, "sub.rn.f32.bf16 %w0, %ha, %wb; cvt.u64.u32 $d, %w0", 0x3F80, 0x3F000000, 0, 0x3F000000, 0},
    {S100, "fma.rn.f32.bf16 %w0, %ha, %hb, %wc; cvt.u64.u32 $d, %w0", 0x4000, 0x4040, 0x3F800000, 0x40E00000, 0},
    // narrow conversions: a is the upper element, b the lower
    {S100, "{.reg .b8 n; cvt.rn.satfinite.e2m1x2.f32 n, %wa, %wb; cvt.u64.u8 $d, n;}", 0x40C00000, 0x3E800000, 0, 0x70, 0},  // 6, 0.25 (tie to 0)
    {S100, "{.reg .b8 n; cvt.rn.satfinite.e2m1x2.f32 n, %wa, %wb; cvt.u64.u8 $d, n;}", 0xFF800000, 0x7FC00000, 0, 0xF7, 0},  // -inf, NaN -> +max
    {S100, "{.reg .b8 n; cvt.rn.satfinite.relu.e2m1x2.f32 n, %wa, %wb; cvt.u64.u8 $d, n;}", 0xC0000000, 0x3FC00000, 0, 0x03, 0}, // -2, 1.5
    {S100, "cvt.rn.satfinite.e2m3x2.f32 %h0, %wa, %wb; cvt.u64.u16 $d, %h0", 0x40F00000, 0xBE000000, 0, 0x1F21, 0},         // 7.5, -0.125
    {S100, "cvt.rn.satfinite.e3m2x2.f32 %h0, %wa, %wb; cvt.u64.u16 $d, %h0", 0x42000000, 0x3F800000, 0, 0x1F0C, 0},         // 32 -> 28, 1
    {S100, "{.reg .b8 n; cvt.u8.u32 n, %wa; cvt.rn.f16x2.e2m1x2 %w0, n; cvt.u64.u32 $d, %w0;}", 0x7A, 0, 0, 0x4600BC00, 0},   // 6, -1
    {S100, "cvt.rn.f16x2.e3m2x2 %w0, %ha; cvt.u64.u32 $d, %w0", 0x1F21, 0, 0, 0x4F00AC00, 0},                                // 28, -1/16
    {S100, "cvt.rn.f16x2.e2m3x2 %w0, %ha; cvt.u64.u32 $d, %w0", 0x1F21, 0, 0, 0x4780B000, 0},                                // 7.5, -1/8
    {S100, "cvt.rz.ue8m0x2.f32 %h0, %wa, %wb; cvt.u64.u16 $d, %h0", 0x40C00000, 0x00000000, 0, 0x8100, 0},                   // 6 -> 2^2, 0 -> 2^-127
    {S100, "cvt.rp.ue8m0x2.f32 %h0, %wa, %wb; cvt.u64.u16 $d, %h0", 0x40C00000, 0x7F800000, 0, 0x82FF, 0},                   // 6 -> 2^3, inf
    {S100, "cvt.rp.satfinite.ue8m0x2.f32 %h0, %wa, %wb; cvt.u64.u16 $d, %h0", 0x7F800000, 0x7FC00000, 0, 0xFEFF, 0},
    {S100, "cvt.rz.ue8m0x2.bf16x2 %h0, %wa; cvt.u64.u16 $d, %h0", 0x3F804049, 0, 0, 0x7F80, 0},
    {S100, "cvt.rn.bf16x2.ue8m0x2 %w0, %ha; cvt.u64.u32 $d, %w0", 0x7F00, 0, 0, 0x3F800040, 0},
    {S90,  "cvt.rn.satfinite.e4m3x2.f32 %h0, %wa, %wb; cvt.u64.u16 $d, %h0", 0x7F800000, 0x3A800000, 0, 0x7E00, 0},          // inf -> 448, 2^-10 ties to 0
    {S90,  "cvt.rn.satfinite.e5m2x2.f32 %h0, %wa, %wb; cvt.u64.u16 $d, %h0", 0x7FC00000, 0xC7600000, 0, 0x7FFB, 0},          // NaN, -57344
    // reductions over f32 (not on the H200)
    {S100, "mov.b32 %w0, 0x3F800000; redux.sync.max.f32 %w1, %w0, -1; cvt.u64.u32 $d, %w1", 0, 0, 0, 0x3F800000, 31},
    {S100, "redux.sync.min.abs.f32 %w1, %wa, -1; cvt.u64.u32 $d, %w1", 0xC0000000, 0, 0, 0x40000000, 3},
    {S100, "redux.sync.max.NaN.f32 %w1, %wa, -1; cvt.u64.u32 $d, %w1", 0x7FC00000, 0, 0, 0x7FFFFFFF, 3},
    // predicates
    {S90, "setp.lt.u32 %p0, %wa, %wb; not.pred %p1, %p0; selp.u64 $d, 1, 0, %p1", 1, 2, 0, 0, 0},
    {S90, "setp.eq.u32 %p0, 1, 1; set.lt.and.u32.s32 %w0, %wa, %wb, %p0; cvt.u64.u32 $d, %w0", ~UINT64_C(0), 2, 0, 0xFFFFFFFF, 0},
    {S90, "setp.eq.u32 %p0, 1, 1; setp.lt.and.f16x2 %p1|%p2, %wa, %wb, !%p0; or.pred %p1, %p1, %p2; selp.u64 $d, 1, 0, %p1", 0, 0x3C003C00, 0, 0, 0},
    {S90, "mov.pred %p0, 1; and.pred %p1, %p0, !%p0; selp.u64 $d, 1, 0, %p1", 0, 0, 0, 0, 0},
    // address spaces
    {S90, "cvta.shared.u64 %x0, %ss; isspacep.shared %p0, %x0; isspacep.global %p1, %x0; selp.u64 %x1, 1, 0, %p0; selp.u64 %x2, 2, 0, %p1; or.b64 $d, %x1, %x2", 0, 0, 0, 1, 0},
    {S90, "isspacep.global %p1, %g; selp.u64 $d, 2, 0, %p1", 0, 0, 0, 2, 0},
    {S90, "cvta.shared.u64 %x0, %ss; st.b32 [%x0], %wa; ld.shared.u32 %w0, [%s]; cvt.u64.u32 $d, %w0", 77, 0, 0, 77, 0},
    {S90, "cvta.shared.u64 %x0, %ss; cvta.to.shared.u64 %x1, %x0; sub.u64 $d, %x1, %ss", 0, 0, 0, 0, 0},
    // memory forms
    {S90, "st.volatile.global.u32 [%g], %wa; ld.volatile.global.u32 %w0, [%g]; cvt.u64.u32 $d, %w0", 9, 0, 0, 9, 0},
    {S90, "ldu.global.u32 %w0, [%g]; cvt.u64.u32 $d, %w0", 9, 0, 0, 0, 0},
    {S90, "st.mmio.relaxed.sys.global.u32 [%g], %wa; ld.mmio.relaxed.sys.global.u32 %w0, [%g]; cvt.u64.u32 $d, %w0", 9, 0, 0, 9, 0},
    {S90, "st.shared.v2.b64 [%s], {%a, %b}; ld.shared.v4.b32 {%w0, _, _, %w1}, [%s]; mov.b64 $d, {%w0, %w1}", 0x1111111122222222, 0x3333333344444444, 0, 0x3333333322222222, 0},
    {S90, "st.shared.b8 [%s+3], %wa; ld.shared.s8 $d, [%s+3]", 0x80, 0, 0, 0xFFFFFFFFFFFFFF80, 0},
    {S90, "{.reg .b128 q; mov.b128 q, {%a, %b}; mov.b128 {%x0, %x1}, q; sub.u64 $d, %x1, %x0;}", 5, 12, 0, 7, 0},
    {S90, "{.reg .b128 q, r; mov.b128 q, {%a, %b}; st.shared.b128 [%s], q; ld.shared.b128 r, [%s]; mov.b128 {%x0, %x1}, r; sub.u64 $d, %x1, %x0;}", 5, 12, 0, 7, 0},
    // atomics without a result; 32 lanes add to one cell
    {S90, "red.shared.add.u32 [%s], 2; bar.warp.sync -1; ld.shared.u32 %w0, [%s]; cvt.u64.u32 $d, %w0", 0, 0, 0, 64, 5},
    {S90, "red.global.max.s32 [%g], %lane; bar.warp.sync -1; ld.global.u32 %w0, [%g]; cvt.u64.u32 $d, %w0", 0, 0, 0, 31, 0},
    {S90, "red.shared.or.b32 [%s], %lane; bar.warp.sync -1; ld.shared.u32 %w0, [%s]; cvt.u64.u32 $d, %w0", 0, 0, 0, 31, 0},
    {S90, "red.shared.inc.u32 [%s], 9; bar.warp.sync -1; ld.shared.u32 %w0, [%s]; cvt.u64.u32 $d, %w0", 0, 0, 0, 2, 0}, // 32 mod 10
    {S90, "red.relaxed.gpu.global.add.f32 [%g], %wa; bar.warp.sync -1; ld.global.u32 %w0, [%g]; cvt.u64.u32 $d, %w0", 0x3F800000, 0, 0, 0x42000000, 0},
    {S90, "red.global.add.noftz.bf16x2 [%g], %wa; bar.warp.sync -1; ld.global.u32 %w0, [%g]; cvt.u64.u32 $d, %w0", 0x3F804000, 0, 0, 0x42004280, 0},
    {S90, "red.global.add.v2.f32 [%g], {%wa, %wb}; bar.warp.sync -1; ld.global.b64 $d, [%g]", 0x3F800000, 0x40000000, 0, 0x4280000042000000, 0},
    {S90, "red.global.add.noftz.v2.f16x2 [%g], {%wa, %wb}; bar.warp.sync -1; ld.global.b64 $d, [%g]", 0x3C003C00, 0x40004000, 0, 0x5400540050005000, 0},
    {S90, "atom.global.add.v2.f32 {%w0, %w1}, [%g], {%wa, %wb}; mov.b64 $d, {%w0, %w1}", 0x3F800000, 0x40000000, 0, 0x400000003F800000, 1},
    {S90, "atom.global.max.noftz.v2.bf16 {%h0, %h1}, [%g], {%ha, %hb}; ld.global.b32 %w0, [%g]; cvt.u64.u32 $d, %w0", 0x3F80, 0xBF80, 0, 0x00003F80, 31},
    {S90, "{.reg .b128 q, r; mov.b128 q, {%a, %b}; atom.global.exch.b128 r, [%g], q; mov.b128 {%x0, %x1}, r; add.u64 $d, %x0, %x1;}", 5, 12, 0, 17, 31},
    {S90, "{.reg .b128 q, r, z; mov.b128 q, {%a, %b}; mov.b128 z, {%c, %c}; atom.global.cas.b128 r, [%g], z, q; ld.global.b64 %x0, [%g]; ld.global.b64 %x1, [%g+8]; add.u64 $d, %x0, %x1;}", 5, 12, 0, 17, 0},
    {S90, "atom.shared.cas.b16 %h0, [%s], %ha, %hb; ld.shared.u16 %h1, [%s]; cvt.u64.u16 $d, %h1", 0, 7, 0, 7, 0},
    // barriers without .aligned, in both halves of a branch
    {S90, "setp.lt.u32 %p0, %lane, 16; @%p0 bra X; barrier.sync 1; bra Y; X: barrier.sync 1; Y: mov.u64 $d, 3", 0, 0, 0, 3, 20},
    {S90, "setp.lt.u32 %p0, %lane, 5; barrier.red.popc.u32 %w0, 2, %p0; cvt.u64.u32 $d, %w0", 0, 0, 0, 5, 9},
    {S90, "setp.lt.u32 %p0, %lane, 5; barrier.red.or.pred %p1, 2, 32, %p0; selp.u64 $d, 1, 0, %p1", 0, 0, 0, 1, 9},
    {S90, "barrier.arrive 3, 64; mov.u64 $d, 4", 0, 0, 0, 4, 0},
    {S90, "bar.cta.sync 0; fence.sc.gpu; fence.acq_rel.cta; membar.sys; mov.u64 $d, 4", 0, 0, 0, 4, 0},
    // hints and no-ops keep values
    {S90, "prefetch.global.L2 [%g]; prefetch.global.L2::evict_last [%g]; prefetchu.L1 [%g]; applypriority.global.L2::evict_normal [%g], 128; nanosleep.u32 20; pmevent 1; griddepcontrol.wait; griddepcontrol.launch_dependents; mov.u64 $d, 6", 0, 0, 0, 6, 0},
    {S90, "createpolicy.fractional.L2::evict_last.b64 %x0, 1.0; ld.global.L2::cache_hint.b32 %w0, [%g], %x0; cvt.u64.u32 $d, %w0", 0, 0, 0, 0, 0},
    {S90, "createpolicy.range.global.L2::evict_last.b64 %x0, [%g], 64, 64; st.global.L2::cache_hint.b32 [%g], %wa, %x0; ld.global.nc.L1::no_allocate.L2::256B.b32 %w0, [%g]; cvt.u64.u32 $d, %w0", 8, 0, 0, 8, 0},
    {S90, "setmaxnreg.dec.sync.aligned.u32 40; setmaxnreg.inc.sync.aligned.u32 80; mov.u64 $d, 6", 0, 0, 0, 6, 0},
    {S90, "@%first cp.async.cg.shared.global.L2::128B [%s], [%g], 16; cp.async.wait_all; ld.shared.u32 %w0, [%s]; cvt.u64.u32 $d, %w0", 0, 0, 0, 0, 0},
    // matrices: transposing 8x8 moves element (row, col) of lane 4 row + col / 2
    {S90, "mov.b32 %w0, %lane; movmatrix.sync.aligned.m8n8.trans.b16 %w1, %w0; cvt.u64.u32 $d, %w1", 0, 0, 0, 0x00040000, 0},
    {S90, "shl.b32 %w0, %lane, 4; and.b32 %w0, %w0, 112; cvt.u64.u32 %x0, %w0; add.u64 %x0, %x0, %sm; stmatrix.sync.aligned.m8n8.x1.shared.b16 [%x0], {%lane}; bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%w1}, [%x0]; cvt.u64.u32 $d, %w1", 0, 0, 0, 13, 13},
    {S90, "{.reg .f64 e0, e1; mov.b64 e0, %a; mov.b64 e1, %b; {.reg .f64 r0, r1; mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {r0, r1}, {e0}, {e1}, {e0, e0}; mov.b64 $d, r0;}}", 0x3FF0000000000000, 0x4000000000000000, 0, 0x4022000000000000, 7},
    {S90, "mma.sync.aligned.m8n8k128.row.col.s32.b1.b1.s32.xor.popc {%w0, %w1}, {%wa}, {%wb}, {%wc, %wc}; cvt.u64.u32 $d, %w0", 0xFF, 0xF0, 3, 19, 7}, // 4 x 4 bits + 3
    {S120, "mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e2m1.f32 {%w0, %w1, %w2, %w3}, {%wa, %wa, %wa, %wa}, {%wb, %wb}, {%wc, %wc, %wc, %wc}; cvt.u64.u32 $d, %w0", 0x38383838, 0x08080808, 0x3F800000, 0x42040000, 7}, // 32 x 1 x 1 + 1
    {S120, "mma.sync.aligned.m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0 {%w0, %w1, %w2, %w3}, {%wa, %wa, %wa, %wa}, {%wa, %wa}, {%wc, %wc, %wc, %wc}, %wb, {0, 0}, %wb, {0, 0}; cvt.u64.u32 $d, %w0", 0x22222222, 0x80808080, 0x3F800000, 0x43808000, 7}, // 64 x 2 x 2 + 1
    // approximate functions at their special values
    {S90, "rcp.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x80000000, 0, 0, 0xFF800000, 0},
    {S90, "rcp.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0xFF800000, 0, 0, 0x80000000, 0},
    {S90, "rcp.approx.ftz.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x00000001, 0, 0, 0x7F800000, 0},
    {S90, "sqrt.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0xBF800000, 0, 0, 0x7FFFFFFF, 0},
    {S90, "sqrt.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x80000000, 0, 0, 0x80000000, 0},
    {S90, "rsqrt.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x80000000, 0, 0, 0xFF800000, 0},
    {S90, "rsqrt.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x7F800000, 0, 0, 0x00000000, 0},
    {S90, "ex2.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0xFF800000, 0, 0, 0x00000000, 0},
    {S90, "ex2.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x40400000, 0, 0, 0x41000000, 0},
    {S90, "ex2.approx.ftz.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0xC2FE0000, 0, 0, 0x00000000, 0},
    {S90, "ex2.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0xC2FE0000, 0, 0, 0x00400000, 0},
    {S90, "lg2.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x80000000, 0, 0, 0xFF800000, 0},
    {S90, "lg2.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0xBF800000, 0, 0, 0x7FFFFFFF, 0},
    {S90, "lg2.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x41000000, 0, 0, 0x40400000, 0},
    {S90, "sin.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x7F800000, 0, 0, 0x7FFFFFFF, 0},
    {S90, "sin.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x80000000, 0, 0, 0x80000000, 0},
    {S90, "cos.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x00000000, 0, 0, 0x3F800000, 0},
    {S90, "tanh.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0xFF800000, 0, 0, 0xBF800000, 0},
    {S90, "tanh.approx.f32 %w0, %wa; cvt.u64.u32 $d, %w0", 0x7FC00001, 0, 0, 0x7FFFFFFF, 0},
    {S90, "div.approx.f32 %w0, %wa, %wb; cvt.u64.u32 $d, %w0", 0x3F800000, 0x7F000000, 0, 0, 0}, // divisor of 2^127
    {S90, "div.full.f32 %w0, %wa, %wb; cvt.u64.u32 $d, %w0", 0x40C00000, 0x40000000, 0, 0x40400000, 0},
    {S90, "rcp.approx.ftz.f64 $d, %a", 0x4000000012345678, 0, 0, 0x3FE0000000000000, 0},
    {S90, "rcp.approx.ftz.f64 $d, %a", 0x7FF8000000000001, 0, 0, 0x7FFFFFFF00000000, 0},
    {S90, "ex2.approx.ftz.bf16x2 %w0, %wa; cvt.u64.u32 $d, %w0", 0x0001C040, 0, 0, 0x3F803E00, 0},
    {S90, "tanh.approx.f16 %h0, %ha; cvt.u64.u16 $d, %h0", 0x7C00, 0, 0, 0x3C00, 0},
    // integer edges
    {S90, "div.s32 %w0, %wa, %wb; rem.s32 %w1, %wa, %wb; mov.b64 $d, {%w0, %w1}", 0x80000000, 0xFFFFFFFF, 0, 0x80000000, 0},
    {S90, "shr.s32 %w0, %wa, %wb; shl.b32 %w1, %wa, %wb; mov.b64 $d, {%w0, %w1}", 0x80000000, 32, 0, 0xFFFFFFFF, 0},
    {S90, "bfe.s32 %w0, %wa, 28, 8; cvt.u64.u32 $d, %w0", 0x80000000, 0, 0, 0xFFFFFFF8, 0},
    {S90, "mul.wide.s32 $d, %wa, %wb", 0xFFFFFFFF, 2, 0, 0xFFFFFFFFFFFFFFFE, 0},
    {S90, "add.u64 $d, %a, 0b101; sub.u64 $d, $d, 017; xor.b64 $d, $d, 0x0F", 100, 0, 0, 85, 0},
    {S90, "cvt.sat.u8.s32 %h0, %wa; cvt.u64.u16 $d, %h0", 300, 0, 0, 255, 0},
    {S90, "cvt.rni.s32.f32 %w0, 0f40200000; cvt.s64.s32 $d, %w0", 0, 0, 0, 2, 0},
    {S90, "mov.b64 %x0, {%w0, %w1}; mov.b32 %w0, WARP_SZ; cvt.u64.u32 $d, %w0", 0, 0, 0, 32, 0},
    {S90, "mov.u32 %w0, %laneid; mov.u32 %w1, %lanemask_lt; mov.b64 $d, {%w0, %w1}", 0, 0, 0, 0x0000001F00000005, 5},
    {S90, "mov.u32 %w0, %ntid.x; mov.u32 %w1, %nctaid.x; add.u32 %w0, %w0, %w1; cvt.u64.u32 $d, %w0", 0, 0, 0, 33, 0},
};
// clang-format on

static void write_row(const row *r, tl_buf *out) {
  tl_buf_printf(out,
                ".version 9.0\n.target %s\n.address_size 64\n.visible .entry k(.param .u64 pin, "
                ".param .u64 pout, .param .u64 pg)\n{\n"
                ".reg .b64 %%a, %%b, %%c, %%res, %%g, %%ss, %%sm, %%x<4>, %%in, %%out, "
                "%%off;\n.reg .b32 %%s, %%wa, %%wb, %%wc, %%w<4>, %%lane, %%z;\n"
                ".reg .b16 %%ha, %%hb, %%hc, %%h<4>;\n.reg .pred %%p<4>, %%first;\n.shared .align "
                "128 .b8 area[256];\n"
                "ld.param.u64 %%in, [pin];\nld.param.u64 %%out, [pout];\nld.param.u64 %%g, "
                "[pg];\nmov.u32 %%lane, %%laneid;\n"
                "mov.u32 %%s, area;\nmov.u64 %%ss, area;\nmov.u64 %%sm, area;\nsetp.eq.u32 "
                "%%first, %%lane, 0;\n",
                r->arch);
  for (int k = 0; k < 16; k++)
    tl_buf_printf(out, "@%%first st.shared.v4.b32 [%%s+%d], {0, 0, 0, 0};\n", 16 * k);
  tl_buf_puts(out, "bar.sync 0;\nld.global.b64 %a, [%in];\nld.global.b64 %b, "
                   "[%in+8];\nld.global.b64 %c, [%in+16];\n"
                   "cvt.u32.u64 %wa, %a;\ncvt.u32.u64 %wb, %b;\ncvt.u32.u64 %wc, %c;\ncvt.u16.u64 "
                   "%ha, %a;\ncvt.u16.u64 %hb, %b;\ncvt.u16.u64 %hc, %c;\n");
  for (const char *p = r->text; *p; p++) {
    if (p[0] == '$' && p[1] == 'd')
      tl_buf_puts(out, "%res"), p++;
    else
      tl_buf_putc(out, *p);
  }
  if (!tl_ends_with(r->text, ";}") && !tl_ends_with(r->text, "}}")) // not a scope
    tl_buf_putc(out, ';');
  tl_buf_puts(out, "\nmul.wide.u32 %off, %lane, 8;\nadd.u64 %out, %out, %off;\nst.global.b64 "
                   "[%out], %res;\nret;\n}\n");
}

static bool run_row(const row *r, uint64_t *out_value) {
  tl_buf text = {0};
  sim_verdict verdict;
  uint64_t in[3] = {r->a, r->b, r->c}, zeros[8] = {0};
  sim_machine *machine = sim_create(r->arch, NULL);
  write_row(r, &text);
  sim_module *module = sim_load_ptx(machine, "row.ptx", text.data, text.len, &verdict);
  uint64_t params[3] = {sim_alloc(machine, 24, "in"), sim_alloc(machine, 256, "out"),
                        sim_alloc(machine, 64, "g")};
  sim_launch_desc desc = {.entry = "k",
                          .grid = {1, 1, 1},
                          .block = {32, 1, 1},
                          .cluster = {1, 1, 1},
                          .params = params,
                          .params_bytes = 24};
  sim_write(machine, params[0], in, 24);
  sim_write(machine, params[2], zeros, 64);
  if (module)
    verdict = sim_launch(module, &desc);
  if (verdict != SIM_OK)
    print_error("%s\n  %s\n", r->text, sim_error(machine));
  bool ok = verdict == SIM_OK && sim_read(machine, params[1] + 8 * (uint64_t)r->lane, out_value, 8);
  sim_unload(module);
  sim_destroy(machine);
  tl_buf_free(&text);
  return ok;
}

static void test_rows(void **unused) {
  (void)unused;
  int wrong = 0;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint64_t value = 0;
    bool ok = run_row(&rows[i], &value);
    if (ok && value == rows[i].expect)
      continue;
    if (ok)
      print_error("%s\n  gives %016llx, expected %016llx\n", rows[i].text,
                  (unsigned long long)value, (unsigned long long)rows[i].expect);
    wrong++;
  }
  assert_int_equal(wrong, 0);
}

// What only newer hardware has is refused on older machines, by name.
static void test_needs_newer(void **unused) {
  (void)unused;
  row old = {S90, "add.rn.f32x2 $d, %a, %b", 0, 0, 0, 0, 0};
  tl_buf text = {0};
  sim_verdict verdict;
  sim_machine *machine = sim_create(S90, NULL);
  write_row(&old, &text);
  assert_null(sim_load_ptx(machine, "row.ptx", text.data, text.len, &verdict));
  assert_int_equal(verdict, SIM_UNSUPPORTED);
  assert_non_null(strstr(sim_error(machine), "needs sm_100 or later"));
  sim_destroy(machine);
  tl_buf_free(&text);
}

int main(int argc, char **argv) {
  if (argc == 2 &&
      strcmp(argv[1], "--emit") == 0) { // for the assembler: rows, split at blank lines
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
      tl_buf text = {0};
      write_row(&rows[i], &text);
      printf("%s//----\n", text.data);
      tl_buf_free(&text);
    }
    return 0;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows),
                                     cmocka_unit_test(test_needs_newer)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
