"""The last line of `tiletune cover` says how long it took; the limit is lax for a machine that does other things."""
import re
import sys

seconds = float(re.search(r"shapes; ([\d.]+) s", open(sys.argv[1]).read()).group(1))
assert seconds < 2, seconds
