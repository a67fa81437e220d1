"""The form table: rows of runtime/ptx/ptx_ops.def and the spelled forms of each row.

A spelled form is an opcode with all its modifiers. Rows whose modifiers multiply to at most FULL spellings are
spelled out completely. In the others the modifiers that are hints (cache operators, eviction priorities, scopes,
memory orders) are not multiplied with each other: every spelling of the rest with no hint, and every pair of hints
on the simplest spellings of the rest. Which spellings are legal, ptxas decides when the vectors are recorded.
"""
import itertools
import os
import re

FULL = 600
HINT_SETS = {"cop", "l1", "l2", "hint", "l2pf", "scope", "sem"}
HINT_WORDS = {".weak", ".nc", ".unified"}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DEF = os.path.join(ROOT, "runtime", "ptx", "ptx_ops.def")


class Row:
    def __init__(self, name, sm, pattern, operands, sets):
        self.name, self.sm, self.pattern, self.operands = name, int(sm), pattern, operands
        self.base = re.match(r"\w+", pattern).group(0)
        self.slots, self.hints = [], []
        for optional, one, word in re.findall(r"\{([^}]*)\}|<([^>]*)>|(\.[\w:]+)", pattern[len(self.base):]):
            words = expand(optional or one, sets) if optional or one else [word]
            names = set(re.findall(r"\$(\w+)", optional or one))
            self.slots.append([""] + words if optional else words)
            self.hints.append(len(self.slots[-1]) > 1 and (bool(names & HINT_SETS) or set(words) <= HINT_WORDS))

    def spellings(self):
        """Lists of modifier words of each spelling."""
        chosen = ([w for w in words if w] for words in self.choices())
        return [words for words in chosen if plausible(self.name, words)]

    def choices(self):
        """One word or "" per slot, without repetition."""
        count = 1
        for slot in self.slots:
            count *= len(slot)
        if count <= FULL:
            return list(itertools.product(*self.slots))
        plain = [s[:1] if hint else s for s, hint in zip(self.slots, self.hints)]
        out = dict.fromkeys(itertools.product(*plain))
        simple = [s if hint else simplest(s) for s, hint in zip(self.slots, self.hints)]
        places = [i for i, hint in enumerate(self.hints) if hint]
        for pair in itertools.chain(itertools.combinations(places, 2), itertools.combinations(places, 1)):
            out.update(dict.fromkeys(itertools.product(
                *[s if i in pair or not self.hints[i] else s[:1] for i, s in enumerate(simple)])))
        # A scope is only legal with an order, an order often only with a scope.
        return list(out)


FLOAT_COMPARES = {".equ", ".neu", ".ltu", ".leu", ".gtu", ".geu", ".num", ".nan"}
MMA_SHAPES = {"f16": "m16n8k8 m16n8k16", "bf16": "m16n8k8 m16n8k16", "tf32": "m16n8k4 m16n8k8",
              "e4m3": "m16n8k16 m16n8k32", "e5m2": "m16n8k16 m16n8k32", "s8": "m8n8k16 m16n8k16 m16n8k32",
              "u8": "m8n8k16 m16n8k16 m16n8k32", "s4": "m8n8k32 m16n8k32 m16n8k64", "u4": "m8n8k32 m16n8k32 m16n8k64"}


def plausible(name, words):
    """False for what is no PTX at first sight; the rest is for ptxas to say."""
    present = set(words)
    if ".v8" in present and not present & {".b32", ".u32", ".s32", ".f32"} and not name.endswith("VECH"):
        return False  # ptxas takes bytes and halves, and makes nonsense of them
    floats = {w for w in present if re.match(r"\.b?f\d", w)}
    if name.startswith("SET"):
        source = {w for w in words[-1:]}
        if ".ftz" in present and not source & {".f32", ".f16", ".f16x2"}:
            return False
        if present & FLOAT_COMPARES and not source & floats:
            return False
        if present & {".lo", ".ls", ".hi", ".hs"} and not words[-1].startswith(".u"):
            return False
        if words[-1].startswith(".b") and words[-1][2] != "f" and not present & {".eq", ".ne"}:
            return False
    if name == "MMA":
        d, a, b, c = [w[1:] for w in words if w[1:] in MMA_SHAPES or w in (".f32", ".s32")][-4:]
        if words[2][1:] not in MMA_SHAPES.get(a, "").split() or words[2][1:] not in MMA_SHAPES.get(b, "").split():
            return False
        if (a[0] in "su") != (d == "s32") or (d == "s32") != (c == "s32") or a[0] != b[0]:
            return False
    return True


def simplest(words):
    """Of the slots that are no hints: all spaces, no vectors, one type of 32 bits."""
    if any(w in words for w in (".b32", ".u32", ".f32")) and len(words) > 2:
        return [next(w for w in (".b32", ".u32", ".f32") if w in words)]
    if ".v2" in words or ".v4" in words:
        return words[:1]
    return words


def expand(text, sets):
    out = []
    for token in re.findall(r"\$\w+|\.[^.$]+", text):
        out += expand(sets[token[1:]], sets) if token[0] == "$" else [token]
    return out


def rows():
    text = open(DEF).read()
    sets = dict(re.findall(r'WORD_SET\((\w+),\s*"([^"]*)"\)', text))
    found = re.findall(r'^FORM\((\w+),\s*(\d+),\s*"([^"]*)",\s*"([^"]*)",\s*\w+\)', text, re.M)
    return [Row(*fields, sets) for fields in found]
