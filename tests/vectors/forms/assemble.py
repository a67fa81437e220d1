"""Which spellings are PTX: whole files of micro-kernels through ptxas, the refused ones dropped until it accepts."""
import bisect
import concurrent.futures
import os
import re
import subprocess

GROUP = 64


def module_text(arch, kernels):
    """The text of (index, kernel) pairs in one module, and the first line of each."""
    out, starts, line = [".version 9.0\n.target %s\n.address_size 64\n" % arch], [], 4
    for index, kernel in kernels:
        text = kernel.text(index)
        starts.append(line)
        line += text.count("\n")
        out.append(text)
    return "".join(out), starts


def accepted(ptxas, arch, kernels, folder, name, keep=False):
    """The (index, kernel) pairs that ptxas accepts; the messages of the others."""
    refused = {}
    path = os.path.join(folder, name + ".ptx")
    cubin = os.path.join(folder, name + ".cubin")
    while kernels:
        text, starts = module_text(arch, kernels)
        with open(path, "w") as f:
            f.write(text)
        done = subprocess.run([ptxas, "-arch=" + arch, path, "-o", cubin], capture_output=True, text=True)
        if done.returncode == 0:
            break
        bad = {}
        for line, message in re.findall(r", line (\d+); (?:error|fatal)\s*: (.*)", done.stderr):
            bad.setdefault(bisect.bisect_right(starts, int(line)) - 1, message)
        for entry, in re.findall(r"'?f(\d+)'?", done.stderr) if not bad else []:
            bad = {}
        if not bad:
            found = re.findall(r"\bf(\d+)\b", done.stderr)
            places = {str(index): i for i, (index, _) in enumerate(kernels)}
            bad = {places[n]: done.stderr for n in found if n in places}
        if not bad:
            if len(kernels) == 1:
                bad = {0: done.stderr[:200] or "exit %d" % done.returncode}
            else:  # a crash or a message that names nobody: halve
                half = len(kernels) // 2
                first, r1 = accepted(ptxas, arch, kernels[:half], folder, name + "a")
                second, r2 = accepted(ptxas, arch, kernels[half:], folder, name + "b")
                refused.update(r1)
                refused.update(r2)
                kernels = first + second
                continue
        for i, message in bad.items():
            refused[kernels[i][0]] = message
        kernels = [pair for i, pair in enumerate(kernels) if i not in bad]
    for end in (".ptx",) + (() if keep else (".cubin",)):
        if os.path.exists(os.path.join(folder, name + end)):
            os.remove(os.path.join(folder, name + end))
    return kernels, refused


def sift(ptxas, arch, kernels, folder, jobs):
    """accepted() over groups, in parallel."""
    groups = [kernels[i:i + GROUP] for i in range(0, len(kernels), GROUP)]
    good, refused = [], {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for ok, bad in pool.map(lambda g: accepted(ptxas, arch, g[1], folder, "sift%d" % g[0]), enumerate(groups)):
            good += ok
            refused.update(bad)
    return good, refused


def build(ptxas, arch, groups, folder, jobs):
    """GROUP.cubin of every group; the messages of the kernels that ptxas refuses."""
    refused = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for _, bad in pool.map(lambda g: accepted(ptxas, arch, groups[g], folder, str(g), True), sorted(groups)):
            refused.update(bad)
    return refused
