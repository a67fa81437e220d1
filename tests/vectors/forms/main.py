#!/usr/bin/env python3
"""Vectors of every form of the table (README.md beside this folder says what they are).

    main.py replay --runner FORMS_RUN [--random SEED]   every form on the simulator, against what is recorded
    main.py sift LEGAL --ptxas PTXAS           which spellings are PTX, and which machine is the first to have them
    main.py emit FOLDER --legal LEGAL [--cubins PTXAS]   micro-kernels, inputs and plan for forms_run
    main.py record FOLDER --results OUTPUT --device TEXT   what `forms_run gpu FOLDER` printed, into recorded.txt
"""
import argparse
import collections
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import assemble
import plan
import replay


def sift(path, ptxas, jobs, only):
    folder = tempfile.mkdtemp()
    left = [(i, k, row) for i, (row, _, k) in enumerate(plan.kernels()) if k and (not only or row.name in only)]
    of = {i: (row, k) for i, k, row in left}
    legal, why = {}, {}
    for arch in plan.MACHINES:
        good, bad = assemble.sift(ptxas, arch, [(i, k) for i, k, _ in left if i not in legal], folder, jobs)
        legal.update({i: arch for i, _ in good})
        why.update({i: m for i, m in bad.items() if arch == plan.MACHINES[0]})
    with open(path, "w") as f:
        for i in sorted(legal):
            f.write("%s %s\n" % (legal[i], of[i][1].form))
    refused = collections.defaultdict(collections.Counter)
    counts = collections.Counter((of[i][0].name, legal.get(i)) for i in of)
    for i in of:
        if i not in legal:
            refused[of[i][0].name][why[i][:100]] += 1
    for name in dict.fromkeys(row.name for row, _ in of.values()):
        print(name, *["%s:%d" % (a, counts[name, a]) for a in plan.MACHINES + (None,) if counts[name, a]],
              "|".join("%d %s" % (n, t) for t, n in refused[name].most_common(3)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["replay", "sift", "emit", "record"])
    parser.add_argument("path", nargs="?")
    for name in ("ptxas", "legal", "cubins", "runner", "random", "results", "device"):
        parser.add_argument("--" + name)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="rows of the table, separated by commas")
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    if args.command == "sift":
        sift(args.path, args.ptxas, args.jobs, only)
    elif args.command == "emit":
        plan.emit(args.path, replay.read_legal(args.legal), args.cubins, args.jobs)
    elif args.command == "record":
        replay.record(args.path, args.results, args.device)
    else:
        sys.exit(replay.replay(args.runner, args.random, only))


if __name__ == "__main__":
    main()
