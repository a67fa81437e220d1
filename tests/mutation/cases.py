"""Arguments of kernels that take no GEMM's, from their own tests: CASE lines (tests/kernels/ops/inputs/run_ops.py) and the
cases of tests/kernels/family.py, as far as they leave the kernel's settings alone."""
import glob
import importlib.util
import os
import re
import sys

import numpy as np

def load(path):
    sys.path.insert(0, os.path.dirname(path))
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tests_of(root, source):
    """(test, helpers or None) of the tests that run cases of a source file."""
    folder = os.path.join(root, "tests", "kernels")
    for test in sorted(glob.glob(os.path.join(folder, "*.test"))):
        with open(test) as file:
            text = file.read()
        for run in re.findall(r"RUN: .*run_ops\.py.*", text):
            if re.search(r"--source %root/kernels/" + re.escape(os.path.basename(source)) + r"\b", run):
                helpers = re.search(r"--helpers %S/(\S+)", run)
                yield test, helpers and os.path.join(folder, helpers[1])


def arguments(module, case, folder):
    """The words of tilerun for a case, its arrays in files of the folder; and how many bytes they have."""
    names = {**module.helpers(0), **module.Case.more}
    words, size = [], 0
    for name, expression in case.inputs:
        if expression.startswith(("zeros", "poison", "@")):
            words.append(f"{name}={expression}")
            continue
        name, _, strides = name.partition(";")
        names[name] = value = eval(expression, dict(names))
        if name.startswith("_"):
            continue
        if isinstance(value, np.ndarray):
            path = os.path.join(folder, f"{case.kernel}.{case.number}.{name}.npy")
            np.save(path, value)
            size += value.nbytes
            value = "@" + path + (strides and ";" + strides)
        words.append(f"{name}={value}")
    return words, size


def save(folder, name, array):
    path = os.path.join(folder, name + ".npy")
    np.save(path, array)
    return "@" + path


def of_family(root, source, folder, found):
    """Adds (words, bytes) of the cases that tests hand to family.py."""
    path = os.path.join(root, "tests", "kernels", "family.py")
    if not os.path.exists(path):
        return
    family = load(path)
    text = ""
    for test in sorted(glob.glob(os.path.join(root, "tests", "kernels", "*.test"))):
        with open(test) as file:
            text += file.read()
    for number, (kernel, sizes, more) in enumerate(re.findall(r'"(\w+) ([\d,]+)((?: \w+=\w+)*)"', text)):
        case = dict(word.split("=", 1) for word in more.split())
        row = family.KERNELS.get(kernel)
        if not row or row[0] != os.path.basename(source) or any(name.isupper() for name in case):
            continue
        shapes = [tuple(map(int, sizes.split(",")))]
        if len(shapes[0]) == 3 and kernel not in found: # a long loop too
            shapes.insert(0, (130, 200, 1152))
        for shape in shapes:
            case["default_type"] = row[2]
            arrays, _ = row[1](np.random.default_rng(1), case, *shape)
            words = [str(value) if name == "dims" else f"{name}={save(folder, f'{kernel}.{number}.{shape[0]}.{name}', value)}"
                     if isinstance(value, np.ndarray) else f"{name}={value}" for name, value in arrays.items()]
            size = sum(value.nbytes for value in arrays.values() if isinstance(value, np.ndarray))
            found.setdefault(kernel, []).append((words, size))


def written(root, source, folder):
    """{kernel: {"shapes": [...], "quick": ..., "sms": ..}} of the kernels of a source file that have cases."""
    module = load(os.path.join(root, "tests", "kernels", "ops", "inputs", "run_ops.py"))
    found = {}
    for test, helpers in tests_of(root, source):
        if helpers:
            with open(helpers) as file:
                exec(compile(file.read(), helpers, "exec"), module.Case.more)
        with open(test) as file:
            cases = [module.Case(line, i) for i, line in enumerate(file, 1) if re.match(r"//\s*CASE ", line)]
        for case in cases:
            if case.refused is None and not case.options: # other settings are other variants
                found.setdefault(case.kernel, []).append(arguments(module, case, folder))
    of_family(root, source, folder, found)
    rows = {}
    for kernel, lists in found.items():
        lists.sort(key=lambda pair: -pair[1])
        shapes = [words for words, _ in lists]
        rows[kernel] = {"shapes": shapes, "quick": shapes[0], "sms": "1", "complete": True}
    return rows
