"""Recording what a GPU gave, and comparing the simulator with it.

recorded.txt has one line per form: the hash of the output, some of the output in hex, the form. Forms of Blackwell are
listed in blackwell.txt with the machine that ptxas accepts them for; blackwell.py computes what they must give.
"""
import collections
import os
import subprocess
import sys
import tempfile

import approx
import blackwell
import plan
import table

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RECORDED = os.path.join(HERE, "recorded.txt")
BLACKWELL = os.path.join(HERE, "blackwell.txt")


def lines_of(path):
    return [line.rstrip("\n") for line in open(path) if line.strip() and line[0] != "#"]


def read_legal(path):
    return {form: arch for arch, form in (line.split(" ", 1) for line in lines_of(path))}


def read_results(path):
    """One (state, hash, hex or words) per kernel, in the order of the plan."""
    out = []
    for line in open(path):
        fields = line.rstrip("\n").split(" ", 3)
        out.append((fields[1], fields[2] if len(fields) > 2 else "", fields[3] if len(fields) > 3 else ""))
    return out


def record(folder, results, device):
    forms = lines_of(os.path.join(folder, "forms.txt"))
    got = read_results(results)
    if len(forms) != len(got):
        sys.exit("%d forms, %d results" % (len(forms), len(got)))
    bad = [(f, r) for f, r in zip(forms, got) if r[0] != "ok"]
    for form, result in bad:
        print(form, *result)
    with open(RECORDED, "w") as f:
        f.write("# %s\n# Inputs: seed %d. Columns: hash of the output, its first bytes (all of an approximate form), "
                "form.\n" % (device, plan.pools.SEED))
        for form, (state, digest, shown) in zip(forms, got):
            if state == "ok":
                f.write("%s %s %s\n" % (digest, shown or "-", form.split(" ", 1)[1]))
    print("%d forms recorded, %d not" % (len(forms) - len(bad), len(bad)))


def play(runner, folder, options):
    results = os.path.join(folder, "results.txt")
    with open(results, "w") as f:
        subprocess.run([runner, "sim", folder] + options, stdout=f, check=True)
    return read_results(results)


def approximate(w, pool, want, got):
    """Wrong elements of an approximate form."""
    inputs, kind, width = w.inputs(pool), w.words[-1][1:], 8
    wrong = []
    for t in range(w.kernel.total):
        a, b = (int.from_bytes(bytes.fromhex(x)[width * t:width * t + 8], "little") for x in (want, got))
        operand = int.from_bytes(inputs[8 * t:8 * t + 8], "little")
        if not approx.near(w.row.name, kind, a, b, operand):
            wrong.append("thread %d, operand %#x: recorded %#x, got %#x" % (t, operand, a, b))
    return wrong


def independent(w, pool, got):
    """Wrong places of a Blackwell form."""
    check = blackwell.CHECKS.get(w.row.name)
    if not check:
        return ["no independent formulation"]
    image, wrong, places = bytes.fromhex(got), [], 0
    for at, want, size in check(w.kernel, w.row, w.words, blackwell.View(w.kernel, w.inputs(pool))):
        places += 1
        have = int.from_bytes(image[at:at + size], "little")
        if have != want:
            wrong.append("byte %d: must be %#x, got %#x" % (at, want, have))
    return wrong if places else ["nothing was compared"]


def judge(w, pool, recorded, result):
    """What is wrong with one form; empty: nothing."""
    state, digest, shown = result
    if state != "ok":
        return ["%s %s %s" % result]
    if w.arch != plan.MACHINES[0]:
        return independent(w, pool, shown)
    want_digest, want = recorded[w.kernel.form]
    if digest == want_digest:
        return []
    if w.kernel.approx:
        return approximate(w, pool, want, shown)
    return ["output differs from the hardware's (first bytes: recorded %s, got %s)" % (want, shown)]


def replay(runner, seed, only):
    recorded, device = {}, open(RECORDED).readline()[2:].strip()
    for line in lines_of(RECORDED):
        digest, shown, form = line.split(" ", 2)
        recorded[form] = digest, shown
    legal = dict.fromkeys(recorded, plan.MACHINES[0])
    legal.update(read_legal(BLACKWELL))
    with tempfile.TemporaryDirectory() as folder:
        planned, pool = plan.emit(folder, legal, only=only)
        results = play(runner, folder, ["--random", "--seed=" + seed] if seed else [])
    counts, failed = collections.Counter(), 0
    seen = {w.row.name for w in planned}
    for w, result in zip(planned, results):
        wrong = judge(w, pool, recorded, result)
        kind = "recorded" if w.arch == plan.MACHINES[0] else "Blackwell"
        counts[kind, not wrong] += 1
        failed += bool(wrong)
        if wrong and failed <= 40:
            print("%s (%s): %s" % (w.kernel.form, w.arch, "; ".join(wrong[:2])))
    rows = [row.name for row in table.rows() if not only or row.name in only]
    missing = [name for name in rows if name not in seen]
    left_over = [] if only else sorted(set(legal) - {w.kernel.form for w in planned})
    for name in missing:
        print("row %s has no form in the vectors" % name)
    for form in left_over[:20]:
        print("recorded, but no longer in the table: %s" % form)
    total = {kind: counts[kind, True] + counts[kind, False] for kind in ("recorded", "Blackwell")}
    print("%d of %d rows of the table have vectors" % (len(rows) - len(missing), len(rows)))
    print("recorded on %s: %d of %d forms pass" % (device, counts["recorded", True], total["recorded"]))
    print("only on Blackwell, against an independent formulation: %d of %d forms pass"
          % (counts["Blackwell", True], total["Blackwell"]))
    print("forms passed / forms in the table: %d / %d"
          % (counts["recorded", True] + counts["Blackwell", True], sum(total.values())))
    return 1 if failed or missing or left_over else 0
