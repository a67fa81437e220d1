# Text tests: every test says in RUN lines what to run and in CHECK lines what must come out.
#
#   lit tests                                   with the tools of build/
#   lit -Dbuild=build-asan tests/frontend       with another build, one folder
#
# A file is a test when it ends in one of the suffixes below and lies outside a folder `inputs`.
# RUN lines are bash. Substitutions beside lit's own %s %S %t:
#   %tilec %tilerun %tiletune %ptxsim   the tools  %ptxas   the assembler; without one it does nothing, so
#                             what depends on its output says REQUIRES: ptxas
#   FileCheck, count          LLVM's             not CMD  CMD must exit with 1, 2 or 3: a crash or an
#   exits N CMD               exactly N                   internal error (70) is no expected failure
#   golden FILE               standard input must equal FILE; `./dev rebase` rewrites it
#   %libtile %libtilec %hw    libraries and bin/hw         %python   the interpreter that runs lit
# Features: ptxas (an assembler was found), cuda (a GPU and its driver answer), sanitize (built with the sanitizers).
import os
import shutil
import subprocess
import sys

import lit.formats

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
build = os.path.join(root, lit_config.params.get("build", "build"))
tools = os.path.join(build, "bin")
llvm = "/usr/lib/llvm-22/bin"

config.name = "tile"
config.test_format = lit.formats.ShTest(execute_external=True)
config.suffixes = [".tile", ".tir", ".sir", ".ptx", ".test"]
config.excludes = ["inputs", "unit", "lint", "fuzz", "vectors"]
# IR and PTX files without a RUN line are inputs of unit tests; any other file must have one.
for folder, _, names in os.walk(os.path.join(root, "tests")):
    for name in names:
        if name.endswith((".tir", ".sir", ".ptx")):
            if b"RUN:" not in open(os.path.join(folder, name), "rb").read():
                config.excludes.append(name)
config.test_source_root = os.path.join(root, "tests")
config.test_exec_root = os.path.join(build, "tests")


def find_ptxas():
    candidates = [os.environ.get("TILE_PTXAS")]
    if os.environ.get("CUDA_HOME"):
        candidates.append(os.path.join(os.environ["CUDA_HOME"], "bin", "ptxas"))
    candidates += [shutil.which("ptxas"), "/usr/local/cuda/bin/ptxas"]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def has_gpu():
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
        return listed.returncode == 0 and "GPU 0" in listed.stdout
    except (OSError, subprocess.TimeoutExpired):
        return False


ptxas = find_ptxas()
if ptxas:
    config.available_features.add("ptxas")
    config.environment["TILE_PTXAS"] = ptxas
else:
    lit_config.note("no ptxas: tests that need one are skipped, others assemble nothing")
with open(os.path.join(build, "CMakeCache.txt")) as cache:
    if "TILE_SANITIZE:BOOL=ON" in cache.read():
        config.available_features.add("sanitize")
if has_gpu():
    config.available_features.add("cuda")
else:
    lit_config.note("no GPU: tests on cuda:0 are skipped")

config.environment["PATH"] = os.pathsep.join([llvm, os.environ.get("PATH", "")])
for name in ("TILE_REBASE", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH", "CUDA_HOME"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

helpers = os.path.join(root, "tests", "tools")
word = r"(?<![\w./%%-])%s(?![\w./=-])"
config.substitutions += [
    (r"%tilec\b", os.path.join(tools, "tilec")),
    (r"%tilerun\b", os.path.join(tools, "tilerun")),
    (r"%tiletune\b", os.path.join(tools, "tiletune")),
    (r"%ptxsim\b", os.path.join(tools, "ptxsim")),
    (r"%hw\b", os.path.join(tools, "hw")),
    (r"%libtilec\b", os.path.join(build, "lib", "libtilec.so")),
    (r"%libtile\b", os.path.join(build, "lib", "libtile.so")),
    (r"%ptxas\b", ptxas or "bash %s/without-ptxas.sh" % helpers),
    (r"%python\b", sys.executable),
    (r"%root\b", root),
    (word % "FileCheck", os.path.join(llvm, "FileCheck")),
    (word % "count", os.path.join(llvm, "count")),
    (word % "not", "bash %s/exits.sh 1,2,3" % helpers),
    (word % "exits", "bash %s/exits.sh" % helpers),
    (word % "golden", "bash %s/golden.sh" % helpers),
]
