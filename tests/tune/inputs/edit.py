"""edit.py FILE.tla VARIANT OLD NEW: replaces text in the PTX of a variant. With OLD '': the whole of it."""
import sqlite3
import sys

path, variant, old, new = sys.argv[1:5]
db = sqlite3.connect(path)
row, text = db.execute("SELECT i.rowid, i.bytes FROM (SELECT variant AS rowid, bytes, kind FROM image) i JOIN variant v"
                       " ON v.id = i.rowid WHERE v.name = ? AND i.kind = 'ptx'", (variant,)).fetchone()
text = text.decode()
assert not old or old in text, text
db.execute("UPDATE image SET bytes = ? WHERE variant = ? AND kind = 'ptx'",
           ((text.replace(old, new) if old else new).encode(), row))
db.commit()
