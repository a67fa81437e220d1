"""All micro-kernels of the table, and the plan that forms_run plays."""
import collections
import os
import sys

import assemble
import asynchronous
import matrix
import memory
import pools
import scalar
import table
import tiles
import warp

SAMPLE, SHOWN = 8, 65536  # bytes of output that are kept beside the hash: of exact results, of others
MACHINES = ("sm_90a", "sm_120a", "sm_100a")
KERNELS = {}


class Planned:
    """A kernel of the plan: its number in the table's order, its machine, and where its inputs lie in the pool."""

    def __init__(self, index, arch, kernel, row, words):
        self.index, self.arch, self.kernel, self.row, self.words, self.stretches = index, arch, kernel, row, words, []

    def inputs(self, pool):
        return b"".join(pool[at:at + length] for at, length in self.stretches)


for module in (scalar, memory, warp, matrix, asynchronous, tiles):
    for name, makers in module.KERNELS.items():
        KERNELS.setdefault(name, []).extend(makers)


def kernels():
    """(row, words, kernel or None) of the whole table; the form of a second kernel of one spelling ends in #2."""
    seen = set()  # of two rows with one spelling the first has it, as in the matcher
    for row in table.rows():
        for words in row.spellings():
            op = row.base + "".join(words)
            if op in seen:
                continue
            seen.add(op)
            made = False
            for i, maker in enumerate(KERNELS.get(row.name, [])):
                k = maker(row, words, op)
                if k is not None:
                    made = True
                    k.form = op + ("" if i == 0 else " #%d" % (i + 1))
                    yield row, words, k
            if not made:
                yield row, words, None


def emit(folder, legal, cubins=None, jobs=2, only=()):
    """Writes plan, texts and inputs of the forms in legal (form -> machine); returns them as Planned, in order."""
    os.makedirs(folder, exist_ok=True)
    wanted = [Planned(i, legal[k.form], k, row, words) for i, (row, words, k) in enumerate(kernels())
              if k and k.form in legal and (not only or row.name in only)]
    wanted.sort(key=lambda w: (MACHINES.index(w.arch), w.index))
    source, plan, texts, at = pools.Pools(), [], [], 0
    for place, w in enumerate(wanted):
        i, arch, k = w.index, w.arch, w.kernel
        text = k.text(i)
        show = min(k.out_bytes, SHOWN) if k.approx or arch != MACHINES[0] else SAMPLE
        plan.append("F %d %d %s %d %d %d %d %d %d %d %d %d" % (
            i, place // assemble.GROUP, arch, at, len(text), k.threads, k.grid, k.cluster, k.smem, k.in_bytes,
            k.out_bytes, show))
        for j, (kind, nbytes) in enumerate(k.segments):
            for start, length in source.pick(kind, nbytes, k.salt(j)):
                plan.append("S %d %d" % (start, length))
                w.stretches.append((start, length))
        for m in k.maps:
            numbers = [m.dtype, len(m.dims), m.swizzle, m.fill, int(m.source == "out"), m.offset]
            plan.append("M " + " ".join(map(str, numbers + m.dims + m.strides + m.box + m.steps)))
        texts.append(text)
        at += len(text)
    for name, data in (("plan.txt", "\n".join(plan).encode() + b"\n"), ("kernels.ptx", "".join(texts).encode()),
                       ("pool.bin", bytes(source.data)),
                       ("forms.txt", "".join(w.arch + " " + w.kernel.form + "\n" for w in wanted).encode())):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    if cubins:
        groups = collections.defaultdict(list)
        for place, w in enumerate(wanted):
            if w.arch == MACHINES[0]:
                groups[place // assemble.GROUP].append((w.index, w.kernel))
        bad = assemble.build(cubins, MACHINES[0], groups, folder, jobs)
        if bad:
            sys.exit("ptxas refused: %s" % bad)
    return wanted, bytes(source.data)
