"""Runs one litmus test and compares its verdict with the one written in its file.

Comments of the test say everything:
    // VERDICT: race             what ptxsim must report; "ok": nothing
    // TEXT: no barrier          words of the report (optional)
    // LAUNCH: {"block": [64]}   the rest of the launch file (grid, cluster, smem ...)
    // BUFFERS: {"d": {"bytes": 256}}     parameters in their order; default: d with 1024 zero bytes
    // PARAMS: [...]             where the parameters are not just the buffers
    // OUT: [x for x in range(64)]   the words of d afterwards; for "ok" only (a prefix will do)
    // MODES: lazy               asynchronous modes that must give the verdict (default: all three)
    // SEEDS: 4                  a verdict other than "ok" must appear under one of so many seeds
An "ok" must hold in every mode under every seed and with three schedules.
"""
import argparse
import json
import os
import re
import subprocess
import sys


def read_directives(path):
    found = {}
    for line in open(path):
        m = re.match(r"// ([A-Z]+): (.*)", line)
        if m:
            found[m.group(1)] = m.group(2).strip()
    return found


def launch_file(d, path, out):
    launch = {"ptx": os.path.abspath(path), "entry": "k", "block": [32]}
    launch.update(json.loads(d.get("LAUNCH", "{}")))
    launch["buffers"] = json.loads(d.get("BUFFERS", '{"d": {"hex": "%s"}}' % ("00" * 1024)))
    default = [{"buffer": name} for name in launch["buffers"]]
    launch["params"] = json.loads(d["PARAMS"]) if "PARAMS" in d else default
    launch["print"] = {"d": "u32"} if "d" in launch["buffers"] else {}
    with open(out, "w") as f:
        json.dump(launch, f)


def run(args, name, mode, schedule, seed):
    command = [args.ptxsim, name, "--async=" + mode, "--schedule=" + schedule, "--seed=%d" % seed,
               "--step-limit=200000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    text = done.stdout + done.stderr
    m = re.search(r"(?:^|: )([a-z]+(?:_[a-z]+)*): ", done.stderr)
    verdict = "ok" if done.returncode == 0 else m.group(1) if m else "exit %d" % done.returncode
    if done.returncode not in (0, 3):
        verdict = "exit %d" % done.returncode
    return verdict, text, done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ptxsim", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("test")
    args = parser.parse_args()
    d = read_directives(args.test)
    name = args.work + ".json"
    os.makedirs(os.path.dirname(name), exist_ok=True)
    launch_file(d, args.test, name)
    expected, seeds = d["VERDICT"], int(d.get("SEEDS", "4"))
    want = eval(d["OUT"], {}) if "OUT" in d else None
    for mode in d.get("MODES", "lazy eager random").split():
        seen = []
        for schedule in ("rr", "random", "greedy"):
            for seed in range(seeds if schedule == "random" else 1):
                verdict, text, out = run(args, name, mode, schedule, seed)
                seen.append(verdict)
                if expected == "ok" and verdict != "ok":
                    sys.exit("%s, %s, seed %d: %s\n%s" % (mode, schedule, seed, verdict, text))
                got = [int(x, 0) for x in out.split() if x[0].isdigit()]
                if want and got[: len(want)] != want:
                    sys.exit("%s, %s, seed %d: wrong result\n%s" % (mode, schedule, seed, got))
                if verdict == expected and verdict != "ok" and d.get("TEXT", "") not in text:
                    sys.exit("the report does not say '%s':\n%s" % (d["TEXT"], text))
        if expected not in seen:
            sys.exit("%s: no run gives %s, but %s\n%s" % (mode, expected, seen, text))
        others = set(seen) - {expected, "ok"}
        if others - set(d.get("ALSO", "").split()):
            sys.exit("%s: other verdicts too: %s" % (mode, seen))
    print("as expected")


main()
