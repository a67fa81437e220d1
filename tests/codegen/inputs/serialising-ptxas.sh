#!/bin/bash
# The real assembler, with a note on its output that it serialised something.
echo "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized" >&2
exec "$REAL_PTXAS" "$@"
