"""Breaks a right schedule in one place and checks that the verifier says which rule, where and how.

Each row: the schedule, what is done to it, the rule, the message, and what its table must show. An edit is
(text, replacement, n): the n-th occurrence, all of them for n = 0. The unbroken schedules must pass.
"""
import pathlib
import subprocess
import sys

WAIT, RELEASE = "        wait %14 loc(1:20:9)\n", "        release %14 loc(1:22:9)\n"
ACQUIRE, COMMIT = "        acquire %14 {tx=16384} loc(1:9:9)\n", "        commit %14 loc(1:12:9)\n"
COPY_A = '        copy %14, %41, %45, %51 {engine="tma", field=0, map=9, subs="rr"} loc(1:10:9)\n'
COPY_B = '        copy %14, %42, %49, %51 {engine="tma", field=1, map=10, subs="rr"} loc(1:11:9)\n'
DRAIN = "        %30 = drain %29 : f32[64,64] loc(1:21:20)\n"
FEED_LOOP = "for %45, %44, %46 (%50: i32) {"
QWAIT, QRELEASE = "    wait %23 loc(1:144:11)\n", "    release %23 loc(1:144:11)\n"
IF, END_IF = ("        %52 = cmp %50, %44 {{pred=\"{}\"}} : i1\n        if %52 {{\n",
              "        yield\n        }} {{\n        yield\n        }} loc(1:{}:9)\n")

ROWS = [
    ("fed", "no wait", [(WAIT, "", 1)], "E0301, V1", "gemm.tile:21:9: error: 'ab' is read before its wait",
     ["math      wgmma ab", "line 21  <- here"]),
    ("fed", "no release", [(RELEASE, "", 1)], "E0303, V3",
     "the roles wait for one another for ever: 'ab' is put 3 times and got 0 times",
     ["feed      commit ab      slot 2 phase 0", "waits for a free slot: 3 put, 0 released, 3 slots",
      "waits for put 4: 3 put"]),
    ("fed", "no acquire", [(ACQUIRE, "", 1)], "E0301, V1",
     "gemm.tile:10:9: error: field 0 of 'ab' is written outside of acquire and commit", ["line 10  <- here"]),
    ("fed", "no commit", [(COMMIT, "", 1)], "E0301, V1",
     "gemm.tile:9:9: error: a second slot of 'ab' is taken before the first is committed", ["line 9  <- here"]),
    ("fed", "no get at all", [(WAIT, "", 1), (RELEASE, "", 1), (DRAIN, "", 1), ("yield %30", "yield %28", 1),
                             ("        %29 = wgmma %14, %28 {a=0, b=1} : f32[64,64] loc(1:21:9)\n", "", 1)],
     "E0303, V3", "'ab' is put 3 times and got 0 times", ["math      has ended"]),
    ("fed", "released early", [(WAIT, WAIT + RELEASE, 1), (RELEASE, "", 2)], "E0301, V1",
     "gemm.tile:21:9: error: 'ab' is read after it is released: slot 0 holds put 3 by then, and put 0 is meant",
     ["math      release ab     slot 0 phase 0   line 22", "feed      write ab       slot 0 phase 1   line 11"]),
    ("fed", "released under a wgmma", [(DRAIN + RELEASE, RELEASE + DRAIN, 1)], "E0308, V8",
     "gemm.tile:22:9: error: slot 0 of 'ab' is released while a wgmma still reads it", ["math      wgmma ab"]),
    ("fed", "accumulators read before the drain", [(DRAIN, "        %30 = add %29, %29 : f32[64,64]\n", 1)],
     "E0308, V8", "'add' takes the accumulators of a wgmma that is still under way", []),
    ("fed", "never drained", [(DRAIN, "", 1), ("yield %30", "yield %29", 1)], "E0308, V8", "wgmma", []),
    ("fed", "a field left out", [(COPY_B, "", 1)], "E0301, V1",
     "gemm.tile:12:9: error: field 1 of 'ab' is not written before commit", ["feed      write ab"]),
    ("fed", "a field twice", [(COPY_A, COPY_A + COPY_A, 1)], "E0301, V1",
     "field 0 of 'ab' is written twice in one slot", []),
    ("fed", "too many bytes announced", [("tx=16384", "tx=16385", 1)], "E0302, V2",
     "gemm.tile:9:9: error: a slot of 'ab' announces 16385 bytes and its copies bring 16384", []),
    ("fed", "too few bytes announced", [("tx=16384", "tx=8192", 1)], "E0302, V2", "announces 8192", []),
    ("fed", "put on one path only",
     [(ACQUIRE, IF.format("lt") + ACQUIRE, 1), (COMMIT, COMMIT + END_IF.format(8), 1),
      ("%50, %44 {", "%5, %49 {", 1)],
     "E0303, V3", "role 'math' waits for ever", ["branch at line 8: 0", "math      wait ab"]),
    ("fed", "one slot less at the end", [(FEED_LOOP, FEED_LOOP.replace("%45", "%46"), 1)], "E0303, V3",
     "role 'math' waits for ever", ["feed      has ended", "waits for put"]),
    ("fed", "other bounds in the other role", [(FEED_LOOP, FEED_LOOP.replace("%44", "%4"), 1)], "E0303, V3",
     "'ab' is put 8 times and got 6 times", ["with bound of the loop: 4, bound of the loop: 3"]),
    ("fed", "other tiles in the other role", [("for %47, %6, %48", "for %47, %4, %48", 1)], "E0303, V3",
     "put", ["tiles"]),
    ("fed", "two readers", [("    yield\n  } loc(1:6:3)", "    wait %14 loc(1:13:5)\n    yield\n  } loc(1:6:3)", 1)],
     "E0303, V3", "gemm.tile:13:5: error: 'ab' is got by two roles, 'math' and 'feed'", []),
    ("fed", "barriers over a buffer", [("offset=49152", "offset=49136", 1)], "E0304, V4",
     "barriers of 'ab' share shared memory while both are alive", ["bytes  24576 ..  49152  a buffer of 'ab'"]),
    ("fed", "buffers over one another", [("offset=24576", "offset=16384", 1)], "E0304, V4",
     "share shared memory while both are alive", []),
    ("fed", "more registers than there are", [("regs=232, warps=4", "regs=232, warps=8", 1),
                                            ("regs=40, warps=4", "regs=72, warps=4", 1)], "E0305, V5",
     "the roles ask for 68608 registers, and a multiprocessor has 65536",
     ["math       256 threads x 232 registers =  59392", "feed       128 threads x  72 registers =   9216"]),
    ("fed", "registers that no thread gives away", [("regs=232, warps=4", "regs=240, warps=8", 1),
                                                    ("regs=40, warps=4", "regs=32, warps=4", 1)], "E0305, V5",
     "the roles ask for 65536 registers, and their 384 threads start with 64512", []),
    ("fed", "more shared memory than there is", [("feeders 4 sir", "feeders 4 smem 240000 sir", 1)], "E0305, V5",
     "the function asks for 240000 bytes of shared memory, sm_90a has 232448", []),
    ("fed", "registers no multiple of 8", [("regs=232", "regs=230", 1)], "E0307, V7",
     "gemm.tile:16:3: error: role 'math' asks for 230 registers", []),
    ("fed", "registers of half a warpgroup", [("regs=40, warps=4", "regs=40, warps=2", 1)], "E0307, V7",
     "role 'feed' changes the registers of 2 warps", []),
    ("fed", "registers for one role", [("regs=40, ", "", 1)], "E0307, V7",
     "registers are divided among some of the roles only", []),
    ("attend", "the operand in another channel given back early", [(QRELEASE, "", 1), (QWAIT, QWAIT + QRELEASE, 1)],
     "E0301, V1", "attend.tile:147:26: error: 'q' is read after it is released", ["math      wgmma q"]),
    ("attend", "the operand in another channel never waited for", [(QRELEASE, "", 1), (QWAIT, "", 1)],
     "E0301, V1", "attend.tile:147:26: error: 'q' is read before its wait", []),
    ("attend", "values given back under their product",
     [("      %80 = drain %79", "      release %27 loc(1:155:15)\n      %80 = drain %79", 1),
      ("      release %27 loc(1:155:15)\n", "", 2)], "E0308, V8",
     "slot 0 of 'vals' is released while a wgmma still reads it", []),
    ("attend", "a circle: values wanted before keys are taken",
     [("      acquire %25 {tx=8192} loc(1:135:13)\n", "", 1),
      ("      commit %27 loc(1:136:13)\n", "      commit %27 loc(1:136:13)\n      acquire %25 {tx=8192} loc(1:135:13)\n", 1)],
     "E0301, V1", "field 0 of 'keys' is written outside of acquire and commit", []),
    ("grouped", "waits for one group less", [("pending=1", "pending=2", 1)], "E0303, V3",
     "the wait leaves 2 groups of copies in flight, and slot 0 of 'ab' is one of them", ["main      wait ab"]),
    ("grouped", "no empty group behind the last", [("commit %12 {empty=1}", "assume %57", 3)], "E0303, V3",
     "the wait leaves 1 groups of copies in flight", []),
    ("grouped", "an empty group that counts", [("empty=1", "empty=0", 3)], "E0301, V1",
     "'ab' is committed without a slot", []),
    ("grouped", "fills before all have read",
     [("        wait %12 {pending=1} loc(1:15:9)\n", "", 1),
      ("        %59 = read", "        wait %12 {pending=1} loc(1:15:9)\n        %59 = read", 1)], "E0303, V3",
     "", []),
    ("grouped", "one slot too far ahead", [("%55 = const {value=2}", "%55 = const {value=3}", 1)], "E0303, V3",
     "", []),
    ("grouped", "filled over the scratch of a convert", [("acquire %12 {barrier=1}", "acquire %12", 1)], "E0304, V4",
     "'ab' is put where convert lies, without a barrier before it", []),
]


def edit(text, old, new, n):
    parts = text.split(old)
    assert len(parts) > max(n, 1) or len(parts) > 1, f"no {old!r}"
    if n == 0:
        return new.join(parts)
    return old.join(parts[:n]) + new + old.join(parts[n:])


def verify(tilec, text, path):
    path.write_text(text)
    run = subprocess.run([tilec, "--from=sir", path, "--emit=sir", "-o", "/dev/null"], capture_output=True, text=True)
    return run.returncode, run.stderr


def main():
    tilec, inputs, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    good = {path.stem: path.read_text() for path in sorted(inputs.glob("*.sir"))}
    wrong = 0
    for name, text in good.items():
        code, message = verify(tilec, text, scratch)
        if code:
            print(f"{name}: refused: {message}")
            wrong += 1
    for base, title, edits, rule, message, rows in ROWS:
        text = good[base]
        for one in edits:
            text = edit(text, *one)
        code, said = verify(tilec, text, scratch)
        missing = [part for part in [f"[{rule}]", message, *rows] if part not in said]
        if code != 1 or missing:
            print(f"{base}, {title}: exit {code}, missing {missing} in\n{said}")
            wrong += 1
    print(f"{len(good)} right, {len(ROWS)} broken schedules, {wrong} judged wrongly")


main()
