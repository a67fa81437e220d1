#!/usr/bin/env python3
"""Mutation score: does the simulator notice when synchronisation is broken?

    mutate.py --bin=BUILD/bin [--only=REGEX] [--launch=FILE.json,FILE.json..]... [--seeds=N] [--jobs=N] [--every-variant] [--quick]

Each synchronising instruction in the PTX of each kernel path is dropped, repeated and weakened in turn (sync_ops.py).
A mutant is caught when the simulator gives a verdict, or results other than those of the program as it was, under some
seed and mode of asynchronous operations. Survivors must be listed in survivors.txt with the reason; anything else is a
missing check of the simulator. Exit status 3: a survivor without a reason, or less than 95 % of a path caught.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import subjects  # noqa: E402
import sync_ops  # noqa: E402

GOAL = 0.95


def rounds(subject, seeds, quick):
    """(shape, options) of the runs of one mutant: what catches most comes first."""
    if quick:
        return [(subject.quick, ["--schedules=2", "--async=all", "--schedule=random"]),
                *((shape, ["--schedule=random"]) for shape in subject.shapes if shape != subject.quick)]
    first = subject.shapes[0]
    found = [(shape, [f"--schedules={seeds if shape == first else 2}", "--async=all", "--schedule=random"])
             for shape in subject.shapes]
    # A warp that comes last shows who did not wait for it; warp 0 and the last ones are producers as a rule.
    found += [(first, [*subject.starved(warp), "--async=eager"]) for warp in (0, 4, 8)]
    return found


def accepted():
    """[(path regex, mutant regex, reason)] of survivors.txt: lines 'PATH  ::  MUTANT  ::  REASON'."""
    rows = []
    for line in open(os.path.join(here, "survivors.txt")):
        line = line.strip()
        if line and not line.startswith("#"):
            path, mutant, reason = (part.strip() for part in line.split("  ::  ", 2))
            rows.append((path, mutant, reason))
    return rows


def judge(task):
    """'caught: why', 'survived', or 'invalid: why' of one mutant."""
    subject, mutant, index, runs, limit = task
    ptx = mutant.apply(subject.ptx)
    for (shape, options), bits in runs:
        status, text, found = subject.execute(ptx, str(index), shape, [*options, f"--step-limit={limit}"])
        if status == 1:
            return "invalid: " + text.strip().splitlines()[-1]
        if status != 0:
            return "caught: " + verdict(text)
        if found != bits:
            return "caught: wrong result"
    return "survived"


def verdict(text):
    for line in text.splitlines():
        if "between schedules" in line or "differs between" in line:
            return "results depend on the schedule"
        match = re.search(r": (\w+): (.*)", line)
        if match and match[1] not in ("error", "warning"):
            return match[1]
    return text.strip().splitlines()[-1][:100] if text.strip() else "no text"


def one_of_each(mutants):
    first = {}
    for mutant in mutants:
        first.setdefault((mutant.kind, mutant.name), mutant)
    return list(first.values())


def study(subject, args, pool, table):
    """Prints one line for the path, and one for each survivor; returns whether it is good enough."""
    runs = []
    for shape, options in rounds(subject, args.seeds, args.quick):
        status, text, bits = subject.execute(subject.ptx, "base", shape, [*options, f"--step-limit={args.step_limit}"])
        if status != 0:
            print(f"{subject.name}: the program itself fails under {' '.join(options)}:\n{text}")
            return False
        runs.append(((shape, options), bits))
    mutants = list(sync_ops.mutants(subject.ptx))
    if args.quick:
        mutants = one_of_each(mutants)
    tasks = [(subject, m, i, runs, args.step_limit) for i, m in enumerate(mutants)]
    results = list(pool.map(judge, tasks))
    good = True
    caught = equivalent = presumed = 0
    why = collections.Counter()
    for mutant, result in zip(mutants, results):
        place = f"line {mutant.statement.line}: {mutant.statement.text()} -> {mutant.name}"
        if args.verbose:
            print(f"  {mutant.key()} | {result}")
        if result.startswith("caught"):
            caught += 1
            why[result[8:]] += 1
            continue
        if result.startswith("invalid"):
            print(f"{subject.name}: {place}: {result}")
            good = False
            continue
        reason = next((r for p, m, r in table if re.search(p, subject.name) and re.search(m, mutant.key())), None)
        equivalent += reason is not None and reason.startswith("equivalent")
        presumed += reason is not None and reason.startswith("presumed")
        if reason is None:
            print(f"SURVIVED {subject.name}  ::  {mutant.key()}\n    {place}")
            good = False
    total = len(mutants) - equivalent - presumed
    score = caught / total if total else 1
    summary = ", ".join(f"{n} {w}" for w, n in why.most_common())
    print(f"{subject.name}: {caught} of {total} caught, {100 * score:.1f} %, {equivalent} equivalent, {presumed} presumed ({summary})", flush=True)
    return good and score >= GOAL


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only")
    parser.add_argument("--launch", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--step-limit", type=int, default=2000000)
    parser.add_argument("--quick", action="store_true", help="one mutant of each sort per path")
    parser.add_argument("--every-variant", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    root = os.path.dirname(os.path.dirname(here))
    tools = subjects.Tools(os.path.abspath(args.bin))
    table, good, count = accepted(), True, 0
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        chosen = [subjects.Launch(tools, paths.split(","), work) for paths in args.launch]
        if not args.launch:
            chosen = subjects.kernels(tools, root, work, sync_ops.signature, only=args.only, every=args.every_variant, quick=args.quick)
        for subject in chosen:
            good = study(subject, args, pool, table) and good
            count += 1
    if not count:
        raise SystemExit("no path matches")
    return 0 if good else 3


if __name__ == "__main__":
    sys.exit(main())
