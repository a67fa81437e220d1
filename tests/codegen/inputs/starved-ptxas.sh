#!/bin/bash
# The real assembler, but for kernels that want four CTAs on an SM: those have too few registers.
if grep -q 'minnctapersm 4' /proc/self/fd/3; then
  echo "ptxas fatal   : (C7602) Insufficient registers (40) to compile instruction at line 9 in function k" >&2
  exit 255
fi
exec "$REAL_PTXAS" "$@"
