#!/usr/bin/env python3
"""Any interleaving gives the same bits: every kernel path under N seeds, each in the three modes of asynchrony.

    schedules.py --bin=BUILD/bin [--seeds=8] [--quick] [--only=REGEX] [--jobs=N] [--every-variant]

Exit status 3: a verdict, or other bits.
"""
import argparse
import concurrent.futures
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import subjects  # noqa: E402
import sync_ops  # noqa: E402


def check(task):
    subject, shape, seeds = task
    status, text, _ = subject.execute(subject.ptx, f"shape{shape}", shape,
                                      [f"--schedules={seeds}", "--async=all"])
    good = status == 0 and f"schedules: {seeds} x 3 async modes, identical bits" in text
    shape_text = " ".join(subject.kernel.arguments(shape))
    print(f"{'ok' if good else 'FAILED'}: {subject.name}, {shape_text}" + ("" if good else "\n" + text), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--every-variant", action="store_true")
    args = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(here))
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        paths = subjects.kernels(subjects.Tools(os.path.abspath(args.bin)), root, work, sync_ops.signature, only=args.only,
                                 every=args.every_variant, quick=args.quick)
        tasks = [(subject, shape, args.seeds) for subject in paths
                 for shape in ([subject.quick] if args.quick else subject.shapes)]
        results = list(pool.map(check, tasks))
    print(f"{sum(results)} of {len(results)} identical under {args.seeds} seeds x 3 async modes")
    return 0 if results and all(results) else 3


if __name__ == "__main__":
    sys.exit(main())
