#!/bin/bash
# golden.sh FILE: standard input must equal FILE byte for byte. With TILE_REBASE=1 FILE is rewritten.
if [ "${TILE_REBASE:-0}" = 1 ]; then
  cat > "$1"
else
  diff -u "$1" -
fi
