#!/usr/bin/env python3
"""make_tla.py OUT.tla [SQL]: an artifact with hand-written PTX, so that the runtime's tests need no compiler.

Kernel `axpy`: Y[M, N] = alpha * X[M, N] + Y, one block of 128 threads for each row; X's rows may be padded, Y is
kept column by column (strides 1, M). N must be a multiple of 4 for the variant that is preferred."""
import pathlib
import re
import sqlite3
import sys

PTX = """
.version 9.0
.target {arch}
.address_size 64
.visible .entry axpy(.param .u64 x, .param .u64 y, .param .f32 alpha, .param .u32 m, .param .u32 n, .param .u64 ldx)
.reqntid 128
{{
  .reg .pred %p<3>; .reg .b32 %r<10>; .reg .b64 %rd<10>; .reg .f32 %f<4>;
  ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [y]; ld.param.f32 %f1, [alpha];
  ld.param.u32 %r1, [m]; ld.param.u32 %r2, [n]; ld.param.u64 %rd3, [ldx];
  mov.u32 %r3, %ctaid.x; mov.u32 %r4, %tid.x;
loop:
  setp.ge.s32 %p1, %r4, %r2;
  @%p1 bra done;
  cvt.u64.u32 %rd4, %r3; mul.lo.s64 %rd4, %rd4, %rd3; cvt.u64.u32 %rd5, %r4; add.s64 %rd4, %rd4, %rd5;
  shl.b64 %rd4, %rd4, 2; add.s64 %rd4, %rd1, %rd4; ld.global.f32 %f2, [%rd4];
  mad.lo.s32 %r5, %r4, %r1, %r3; cvt.u64.u32 %rd6, %r5; shl.b64 %rd6, %rd6, 2; add.s64 %rd6, %rd2, %rd6;
  ld.global.f32 %f3, [%rd6]; fma.rn.f32 %f3, %f1, %f2, %f3; st.global.f32 [%rd6], %f3;
  add.s32 %r4, %r4, 128;
  bra loop;
done:
  ret;
}}
"""


def schema():
    """TILE_ARTIFACT_SCHEMA and the version, out of the header both sides share."""
    header = (pathlib.Path(__file__).resolve().parents[3] / "lang/artifact.h").read_text()
    text = header[header.index("#define TILE_ARTIFACT_SCHEMA"):header.rindex("#endif")]
    return "".join(re.findall(r'"([^"]*)"', text)), int(re.search(r"ARTIFACT_VERSION (\d+)", header)[1])


def main():
    out = pathlib.Path(sys.argv[1])
    out.unlink(missing_ok=True)
    tables, version = schema()
    db = sqlite3.connect(out)
    db.execute(f"PRAGMA application_id = {0x54494C45}")
    db.execute(f"PRAGMA user_version = {version}")
    db.executescript(tables)
    db.execute("INSERT INTO meta VALUES('compiler', 'by hand')")
    db.execute("INSERT INTO kernel VALUES(1, 'axpy', 'axpy', 'axpy.tile', 1)")
    params = [("X", "tensor", "in", "f32", "M|N", "|1"), ("Y", "tensor", "inout", "f32", "M|N", "1|M"),
              ("alpha", "scalar", "in", "f32", "", "")]
    for pos, row in enumerate(params):
        db.execute("INSERT INTO param VALUES(1, ?, ?, ?, ?, ?, ?, ?)", (pos, *row))
    abi = [("ptr", "X", 0, "i64"), ("ptr", "Y", 0, "i64"), ("scalar", "alpha", 0, "f32"), ("dim", "M", 0, "i32"),
           ("dim", "N", 0, "i32"), ("stride", "X", 0, "i64")]
    variant = 0
    for arch in ("sm_90a", "sm_100a", "sm_120a"):
        for name, align in (("T128", 16), ("T128_u", 0)):
            variant += 1
            db.execute("INSERT INTO variant VALUES(?, 1, ?, ?, 'T=128', ?, ?, ?, 'axpy', 'M', '1', '1', 128, 0, 4, 10, 0, 0,"
                       " 1, 0, 21)", (variant, arch, name, align, 0 if align else 1, int(align > 0)))
            if align:
                db.execute("INSERT INTO require VALUES(1, ?, 0, 'N % 4 == 0', 'N % 4 == 0')", (variant,))
            for pos, row in enumerate(abi):
                db.execute("INSERT INTO abi VALUES(?, ?, ?, ?, ?, ?)", (variant, pos, *row))
            db.execute("INSERT INTO image VALUES(?, 'ptx', ?)", (variant, PTX.format(arch=arch).encode()))
    if len(sys.argv) > 2:
        db.executescript(sys.argv[2])
    db.commit()
    db.close()


main()
