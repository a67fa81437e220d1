"""What is mutated: every kernel of kernels/*.tile on every path, or a launch file of ptxsim.

A path is a kernel, an architecture, the compiler's flags and the settings of one variant. Its shape is small, wraps the
ring of its pipeline several times and gives each simulated SM several tiles.
"""
import glob
import json
import os
import re
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases  # noqa: E402

# Arguments by kernel; every GEMM of the project takes the first row. The first shape goes many times around every ring
# and gives a simulated SM several tiles, the second does so for small tiles with many slots; the others run what short
# loops and rows of no whole 16 bytes leave out. `quick` is for continuous
# integration. A tensor without an argument is filled with random numbers.
GEMM = {"shapes": [["M=300", "N=200", "K=1280"], ["M=20", "N=136", "K=18432"], ["M=70", "N=200", "K=128"],
                   ["M=70", "N=200", "K=0"], ["M=140", "N=196", "K=256", "D=poison[140,196;200,1]"]],
        "quick": ["M=130", "N=136", "K=384"], "sms": "1"}
CASES = {
    "bf16_gemm_nt": {**GEMM, "shapes": [*GEMM["shapes"], ["M=70", "N=200", "K=40"]]},
}

# Kernels that another one of their family stands for: their loops are written with the same functions and synchronise
# alike. --only=NAME runs them all the same, where they take the shapes above.
ALIKE = re.compile(r"fp8_fp4_gemm_|m_grouped_|k_grouped_|bf16_gemm_(nn|tn|tt|nt_add)|fp8_gemm_nt_per_row|.*_skip_head_mid"
                   r"|.*einsum|sum_slices|inv_rope_fp8")

ARCHS = ("sm_90a", "sm_100a", "sm_120a")
FLAGS = (("-fno-specialize",), ())


class Tools:
    """The programs of a build, in one folder."""

    def __init__(self, folder):
        for name in ("tilec", "tilerun", "ptxsim"):
            setattr(self, name, os.path.join(folder, name))


def environment(sms):
    return {**os.environ, "TILE_SIM_SMS": sms, "TILE_PTXAS": "/nowhere"}


def run(command, env=None, timeout=120):
    """Exit status and what was printed; status None: it took too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=env, timeout=timeout)
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        return None, "timeout"


def take(paths):
    """Contents of the files that are there, which then are no more."""
    found = []
    for path in paths:
        if os.path.exists(path):
            with open(path, "rb") as file:
                found.append(file.read())
            os.remove(path)
    return found


class Declared:
    """A kernel of a source file, as tilec --list prints it."""

    def __init__(self, name, written):
        self.name, self.inputs, self.outputs = name, [], []
        self.written = written.get(name)

    @property
    def case(self):
        """Arguments; None: nobody has written any."""
        takes_gemm = self.inputs[:2] == ["A", "B"] and self.outputs == ["D"]
        return CASES.get(self.name) or self.written or (GEMM if takes_gemm else None)

    def arguments(self, shape):
        """Of one of the shapes; None: the quick one."""
        values = self.case["quick"] if shape is None else self.case["shapes"][shape]
        if "complete" in self.case:
            return values
        given = {value.split("=")[0] for value in values}
        return [*values, *(f"{name}=randn" for name in self.inputs if name not in given)]


def listing(tilec, path, written):
    status, text = run([tilec, "--list", path])
    if status != 0:
        raise SystemExit(f"{path}: {text}")
    found = []
    for line in text.splitlines():
        head = re.match(r"(\w+) \(\w+\)", line)
        tensor = re.match(r"  (in|out|inout)\s+\w+\s+(\w+)\[", line)
        if head:
            found.append(Declared(head[1], written))
        elif tensor:
            direction, name = tensor.groups()
            if direction != "out":
                found[-1].inputs.append(name)
            if direction != "in":
                found[-1].outputs.append(name)
    return found


class Kernel:
    """One path: its PTX lies in an artifact, which is copied with other PTX for each mutant."""

    quick = None  # the shape for continuous integration; None: the one that its row names

    def __init__(self, tools, work, artifact, kernel, path, row):
        self.tools, self.work, self.artifact, self.kernel = tools, work, artifact, kernel
        self.variant, self.variant_name, arch, ptx = row
        self.ptx = ptx.decode() if isinstance(ptx, bytes) else ptx
        self.name = f"{kernel.name} {path} {self.variant_name}"
        self.env = environment(kernel.case["sms"])
        self.arguments = [kernel.name, f"--device=sim:{arch}", f"--variant={self.variant_name}"]

    def keep_what_fits(self, largest):
        """Leaves out shapes that this variant refuses, as one for aligned rows does, and all but the two largest of
        written cases; False: none is left, or with `largest` the largest is refused."""
        written, found = "complete" in self.kernel.case, []
        for shape in range(len(self.kernel.case["shapes"])):
            if self.execute(self.ptx, "fits", shape, [])[0] != 1:
                found.append(shape)
            elif largest and not found:
                return False
            if written and len(found) == 2:
                break
        self.shapes = found
        self.quick = found[0] if written and found else None
        return bool(found)

    def starved(self, warp):
        return ["--schedule=starve", f"--seed={warp}"]

    def execute(self, ptx, label, shape, options):
        """Exit status, text, and the bits of the outputs."""
        base = os.path.join(self.work, f"{os.path.basename(self.artifact)}.{self.variant}.{label}")
        with open(self.artifact, "rb") as source, open(base, "wb") as copy:
            copy.write(source.read())
        db = sqlite3.connect(base)
        db.execute("pragma journal_mode=off")
        db.execute("pragma synchronous=off")
        db.execute("update image set bytes=? where variant=? and kind='ptx'", (ptx.encode(), self.variant))
        db.commit()
        db.close()
        outputs = [f"--out={name}={base}.{name}.npy" for name in self.kernel.outputs]
        status, text = run([self.tools.tilerun, base, *self.arguments, *self.kernel.arguments(shape),
                            *options, *outputs], env=self.env)
        bits = take(f"{base}.{name}.npy" for name in self.kernel.outputs)
        os.remove(base)
        return status, text, bits


class Launch:
    """Launch files of ptxsim with one PTX file between them, which was made elsewhere."""

    def __init__(self, tools, paths, work):
        self.tools, self.work = tools, work
        self.name = os.path.basename(paths[0])
        self.launches = [self.read(path) for path in paths]
        self.shapes = range(len(paths))
        self.quick = 0
        with open(self.launches[0]["ptx"]) as file:
            self.ptx = file.read()

    def read(self, path):
        folder = os.path.dirname(os.path.abspath(path))
        with open(path) as file:
            launch = json.load(file)
        launch["ptx"] = os.path.join(folder, launch["ptx"])
        for buffer in launch["buffers"].values():
            if "npy" in buffer:
                buffer["npy"] = os.path.join(folder, buffer["npy"])
        return launch

    def starved(self, warp):
        return [f"--schedule=starve:{warp}"]

    def execute(self, ptx, label, shape, options):
        base = os.path.join(self.work, f"{self.name}.{label}")
        given = self.launches[shape or 0]
        launch = dict(given, ptx=base + ".ptx", outputs={n: f"{base}.{n}.npy" for n in given["outputs"]})
        with open(base + ".ptx", "w") as out:
            out.write(ptx)
        with open(base + ".json", "w") as out:
            json.dump(launch, out)
        status, text = run([self.tools.ptxsim, base + ".json", *options])
        bits = take(launch["outputs"].values())
        os.remove(base + ".ptx")
        os.remove(base + ".json")
        return status, text, bits


def variants(artifact):
    """(id, name, arch, PTX) of every variant, the default one first; none whose sums have no order."""
    with sqlite3.connect(artifact) as db:
        return db.execute("select v.id, v.name, v.arch, i.bytes from variant v join image i on i.variant=v.id "
                          "where i.kind='ptx' and not v.float_atomics order by v.is_default desc, v.rank, v.id").fetchall()


def kernels(tools, root, work, signature, only=None, archs=ARCHS, flags=FLAGS, every=False, quick=False):
    """The paths of every kernel. Of the variants of one kernel and architecture that synchronise with the same
    instructions (`signature` of their PTX) the first stands for all, unless every one is asked for."""
    for source in sorted(glob.glob(os.path.join(root, "kernels", "*.tile"))):
        for kernel in listing(tools.tilec, source, cases.written(root, source, work)):
            if not only and ALIKE.match(kernel.name):
                continue
            if not kernel.case or (quick and "complete" in kernel.case):
                continue
            for arch in archs:
                seen = set()
                for flag in flags:
                    path = " ".join([arch, *flag])
                    if only and not re.search(only, f"{kernel.name} {path}"):
                        continue
                    artifact = os.path.join(work, re.sub(r"\W+", "_", f"{kernel.name} {path}") + ".tla")
                    status, text = run([tools.tilec, source, "-o", artifact, "--arch", arch, "--kernel", kernel.name,
                                        "--emit=tla", *flag], env=environment("1"))
                    if status == 1 and "no variant" in text:
                        continue # requires another architecture
                    if status != 0:
                        raise SystemExit(f"{kernel.name} {path}: {text}")
                    found = [Kernel(tools, work, artifact, kernel, path, row) for row in variants(artifact)]
                    for largest in (True, False):
                        for subject in found:
                            mark = subject.ptx if every else signature(subject.ptx)
                            if mark not in seen and subject.keep_what_fits(largest):
                                seen.add(mark)
                                yield subject
