"""Which PTX instructions synchronise, and how each can be broken.

A mutant is the text of a program with one statement replaced. The rows of OPERATORS say for each kind of instruction
what dropping, repeating and weakening it means; a repetition that means nothing by definition is not made, and its row
says why.
"""
import re

GUARD = r"(?P<guard>@!?[%\w$]+\s+)?"
STATEMENT = re.compile(
    GUARD +
    r"(?P<op>(?:bar|barrier|fence|membar|mbarrier|griddepcontrol)\.[\w.:]+"
    r"|wgmma\.(?:fence|commit_group|wait_group)[\w.:]*"
    r"|cp\.async\.(?:commit_group|wait_group|wait_all|mbarrier|bulk\.commit_group|bulk\.wait_group)[\w.:]*"
    r"|st\.async[\w.:]*|red\.async[\w.:]*"
    r"|(?:ld|st|atom|red)\.[\w.:]*(?:acquire|release|acq_rel|relaxed|volatile)[\w.:]*)"
    r"(?P<args>\s[^;]*)?;")


class Statement:
    def __init__(self, match, line):
        self.start, self.end = match.span()
        self.guard = match["guard"] or ""
        self.op = match["op"]
        self.args = [a.strip() for a in split_args(match["args"] or "")]
        self.line = line

    def text(self, op=None, args=None):
        args = self.args if args is None else args
        return f"{self.guard}{op or self.op} {', '.join(args)};"


def split_args(text):
    """At commas outside brackets and braces."""
    parts, depth, part = [], 0, ""
    for c in text:
        depth += (c in "[{(") - (c in "]})")
        if c == "," and not depth:
            parts.append(part)
            part = ""
        else:
            part += c
    return parts + [part] if part.strip() else parts


def statements(ptx):
    code = re.sub(r"//[^\n]*", lambda m: " " * len(m[0]), ptx)
    found = []
    for match in STATEMENT.finditer(code):
        line_start = code.rfind("\n", 0, match.start()) + 1
        before = code[line_start:match.start()].rstrip()
        if before and before[-1] not in ";{}:":  # inside a longer word or a directive
            continue
        found.append(Statement(match, code.count("\n", 0, match.start("op")) + 1))
    return found


def changed(statement, index, expression):
    """The statement with operand `index` replaced by expression(operand), computed in a scope of its own."""
    operand = statement.args[index]
    args = list(statement.args)
    if re.fullmatch(r"-?\d+|0x[0-9a-fA-F]+", operand):
        value = int(operand, 0)
        args[index] = str(value ^ 1 if expression == "xor.b32" else value + int(expression))
        return statement.text(args=args)
    args[index] = "%mutant"
    compute = f"xor.b32 %mutant, {operand}, 1;" if expression == "xor.b32" else f"add.s32 %mutant, {operand}, {expression};"
    return "{ .reg .b32 %mutant; " + compute + " " + statement.text(args=args) + " }"


def replaced(statement, old, new):
    return statement.text(op=statement.op.replace(old, new, 1))


def drop(s):
    return ""


def drop_wait(s):
    """What a wait computes must still be there: it has succeeded at once."""
    return f"{s.guard}setp.eq.u32 {s.args[0]}, 0, 0;"


def twice(s):
    return s.text() + " " + s.text()


def operand(index, expression):
    return lambda s: changed(s, index, expression)


def opcode(old, new):
    return lambda s: replaced(s, old, new)


def one_more_pending(s):
    return changed(s, 0, "1")


def to_warp_barrier(s):
    return f"{s.guard}bar.warp.sync -1;"


def fewer_threads(delta):
    def mutate(s):
        return changed(s, 1, delta) if len(s.args) > 1 else None
    return mutate


def sync_to_arrive(s):
    """Only where the number of threads is written: bar.arrive wants it."""
    if len(s.args) < 2:
        return None
    op = "barrier.cta.arrive" if s.op.startswith("barrier.cta") else "barrier.arrive" if s.op.startswith("barrier") else "bar.arrive"
    return s.text(op=op + (".aligned" if ".aligned" in s.op else ""))


def arrive_without_bytes(s):
    """arrive.expect_tx that expects nothing."""
    return s.text(op=s.op.replace(".expect_tx", "", 1), args=s.args[:-1])


def bytes_without_arrive(s):
    return s.text(op=re.sub(r"arrive\.expect_tx", "expect_tx.relaxed.cta", s.op, count=1), args=s.args[1:])


def wait_for_reads_only(s):
    return None if ".read" in s.op else s.text(op=s.op.replace("wait_group", "wait_group.read", 1))


def weaker_scope(s):
    for scope in (".sys", ".gpu", ".cluster"):
        if scope in s.op:
            return replaced(s, scope, ".cta")
    return None


def weaker_order(s):
    for order in (".acq_rel", ".acquire", ".release"):
        if order in s.op:
            return replaced(s, order, ".relaxed")
    return None


def plain_access(s):
    """A strong load or store as a weak one; atomic operations have no weak form."""
    if not re.match(r"(ld|st)\.", s.op):
        return None
    return s.text(op=re.sub(r"\.(acquire|release|relaxed|volatile)(\.(cta|cluster|gpu|sys))?", "", s.op, count=1))


def fence_of_other_space(s):
    if ".shared" in s.op:
        return s.text(op=re.sub(r"\.shared::(cta|cluster)", ".global", s.op))
    return s.text(op=s.op + ".global") if s.op.endswith("async") else None


def membar_cta(s):
    return None if s.op.endswith(".cta") else s.text(op="membar.cta")


# (name, opcode pattern, {mutation: function}, why a repetition is the same program; None: it is not, and is made)
OPERATORS = [
    ("cta barrier", r"(bar|barrier(\.cta)?)\.(sync|red)\b", {
        "drop": drop, "warp-only": to_warp_barrier, "threads-less": fewer_threads("-32"), "threads-more": fewer_threads("32"),
        "arrive-only": sync_to_arrive},
     "all its threads meet twice in a row instead of once"),
    ("cta arrive", r"(bar|barrier(\.cta)?)\.arrive", {
        "drop": drop, "twice": twice, "threads-less": fewer_threads("-32"), "threads-more": fewer_threads("32")}, None),
    ("warp barrier", r"bar\.warp\.sync", {"drop": drop}, "the same lanes meet twice in a row"),
    ("cluster arrive", r"barrier\.cluster\.arrive", {"drop": drop, "twice": twice, "relaxed": lambda s: None if "relaxed" in s.op else
        s.text(op=s.op.replace(".release", "").replace("arrive", "arrive.relaxed", 1))}, None),
    ("cluster wait", r"barrier\.cluster\.wait", {"drop": drop, "twice": twice}, None),
    ("mbarrier init", r"mbarrier\.init", {"drop": drop, "twice": twice, "count-more": operand(1, "1"), "count-less": operand(1, "-1")}, None),
    ("mbarrier inval", r"mbarrier\.inval", {"drop": drop, "twice": twice}, None),
    ("mbarrier expect", r"mbarrier\.expect_tx", {"drop": drop, "twice": twice, "bytes-more": operand(-1, "16"), "bytes-less": operand(-1, "-16")}, None),
    ("mbarrier arrive with bytes", r"mbarrier\.arrive(_drop)?\.(noComplete\.)?expect_tx", {
        "drop": drop, "twice": twice, "bytes-more": operand(-1, "16"), "bytes-less": operand(-1, "-16"),
        "no-bytes": arrive_without_bytes, "bytes-only": bytes_without_arrive, "relaxed": weaker_order, "scope": weaker_scope}, None),
    ("mbarrier arrive", r"mbarrier\.arrive(?!.*expect_tx)", {"drop": drop, "twice": twice, "relaxed": weaker_order, "scope": weaker_scope}, None),
    ("mbarrier wait", r"mbarrier\.(try|test)_wait", {"drop": drop_wait, "other-parity": lambda s: changed(s, 2, "xor.b32") if "parity" in s.op else None,
        "relaxed": weaker_order}, "a phase that has completed is found complete again"),
    ("cp.async arrive", r"cp\.async\.mbarrier\.arrive", {"drop": drop, "twice": twice, "counted": lambda s: replaced(s, ".noinc", "") if ".noinc" in s.op else None}, None),
    ("cp.async commit", r"cp\.async\.commit_group", {"drop": drop},
     "an empty group more leaves fewer real ones pending behind each wait"),
    ("cp.async wait", r"cp\.async\.wait_(group|all)", {"drop": drop, "one-more": lambda s: None if "all" in s.op else one_more_pending(s)},
     "the groups are done already"),
    ("bulk commit", r"cp\.async\.bulk\.commit_group", {"drop": drop},
     "an empty group more leaves fewer real ones pending behind each wait"),
    ("bulk wait", r"cp\.async\.bulk\.wait_group", {"drop": drop, "one-more": one_more_pending, "reads-only": wait_for_reads_only},
     "the groups are done already"),
    ("wgmma fence", r"wgmma\.fence", {"drop": drop}, "nothing lies between the two"),
    ("wgmma commit", r"wgmma\.commit_group", {"drop": drop},
     "an empty group more leaves fewer real ones pending behind each wait"),
    ("wgmma wait", r"wgmma\.wait_group", {"drop": drop, "one-more": one_more_pending}, "the groups are done already"),
    ("proxy fence", r"fence\.proxy\.async", {"drop": drop, "other-space": fence_of_other_space}, "nothing lies between the two"),
    ("tensormap fence", r"fence\.proxy\.tensormap", {"drop": drop, "scope": weaker_scope}, "nothing lies between the two"),
    ("mbarrier init fence", r"fence\.mbarrier_init", {"drop": drop}, "nothing lies between the two"),
    ("fence", r"fence\.(sc|acq_rel|acquire|release|proxy\.alias)", {"drop": drop, "scope": weaker_scope}, "nothing lies between the two"),
    ("membar", r"membar\.", {"drop": drop, "scope": membar_cta}, "nothing lies between the two"),
    ("strong access", r"(ld|st|atom|red)\.", {"order": weaker_order, "scope": weaker_scope, "weak": plain_access}, "it is an access, not only an edge"),
    ("asynchronous store", r"(st|red)\.async", {"twice": twice}, None),
    ("dependent launch wait", r"griddepcontrol\.wait", {"drop": drop}, "the earlier grids have ended already"),
    ("dependent launch", r"griddepcontrol\.launch_dependents", {}, "it only says when the next grid may start"),
]


class Mutant:
    def __init__(self, kind, name, statement, text):
        self.kind, self.name, self.statement, self.text = kind, name, statement, text

    def apply(self, ptx):
        s = self.statement
        return ptx[:s.start] + self.text + ptx[s.end:]

    def key(self):
        """What it is called in lists: opcode, how often that opcode came before, mutation."""
        return f"{self.statement.op}#{self.ordinal} {self.name}"


def means_nothing(ptx, statement):
    """Groups of cp.async in a program that copies through registers, and an empty group (no copy since the last label,
    branch or group) in one whose every wait is for all groups: how many there are does not matter then."""
    if not re.match(r"cp\.async\.(commit_group|wait_)", statement.op):
        return False
    if not re.search(r"cp\.async\.c[ag]\b", ptx):
        return True
    if "commit" not in statement.op or re.search(r"cp\.async\.wait_group\s+[1-9]", ptx):
        return False
    block = re.split(r"\n\$?\w+:|\bbra\b|commit_group", ptx[:statement.start])[-1]
    return not re.search(r"cp\.async\.c[ag]\b", block)


def mutants(ptx):
    seen = {}
    for statement in statements(ptx):
        ordinal = seen[statement.op] = seen.get(statement.op, 0) + 1
        if means_nothing(ptx, statement):
            continue
        for kind, pattern, ways, _ in OPERATORS:
            if not re.match(pattern, statement.op):
                continue
            for name, make in ways.items():
                text = make(statement)
                if text is None or text == statement.text():
                    continue
                mutant = Mutant(kind, name, statement, text)
                mutant.ordinal = ordinal
                yield mutant
            break


def signature(ptx):
    """What a program synchronises with."""
    return frozenset(s.op for s in statements(ptx))
