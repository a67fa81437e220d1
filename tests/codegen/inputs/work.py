"""The `work` and `key` rows of an artifact, held against counts made by hand."""
import sqlite3
import sys

db = sqlite3.connect(sys.argv[1])


def rows(kernel):
    return db.execute("SELECT w.kind, w.name, w.m, w.n, w.k, w.times FROM work w JOIN variant v ON v.id = w.variant"
                      " JOIN kernel k ON k.id = v.kernel WHERE k.name = ? AND v.is_default ORDER BY w.pos", (kernel,)).fetchall()


def value(times, **dims):
    return eval(times.replace("/", "//"), dict(dims, ceildiv=lambda a, b: -(-a // b), min=min, max=max))


dims = dict(M=300, N=100, K=200)  # 5 x 4 tiles of 7 steps
counted = {(kind, name): ((m, n, k), value(times, **dims)) for kind, name, m, n, k, times in rows("counted")}
assert counted == {("load", "A"): ((64 * 32 * 2, 0, 0), 140), ("load", "B"): ((32 * 32 * 2, 0, 0), 140),
                   ("dot", "bf16"): ((64, 32, 32), 140), ("store", "D"): ((64 * 32 * 2, 0, 0), 20)}, counted
ragged = {(kind, name): times for kind, name, _, _, _, times in rows("ragged")}
assert ragged["load", "X"] == "", ragged  # as often as the data says: not known
assert value(ragged["load", "LEN"], B=9) == 9 and value(ragged["store", "Y"], B=9) == 9, ragged
assert db.execute("SELECT name, buckets FROM key ORDER BY pos").fetchall() == [("M", "16,64"), ("N", ""), ("K", "")]
print("work: as counted by hand")
