#!/bin/bash
# Every header compiles alone. headers.sh [COMPILER]
cd "$(dirname "$0")/../.." || exit 70
cc=${1:-gcc}
llvm=$(llvm-config-22 --includedir)
export cc llvm
check() {
  "$cc" -std=gnu11 -D_GNU_SOURCE -DTILE_VERSION='""' -DTESTS_DIR='"tests"' -Wall -Wextra -Werror -fsyntax-only -I. -I"$llvm" \
    -include "$1" -x c /dev/null || { echo "$1: does not compile alone"; return 1; }
}
export -f check
find lang ir frontend codegen runtime kernels examples tests -name '*.h' | sort | xargs -P 2 -I{} bash -c 'check {}'
status=$?
echo "$(find lang ir frontend codegen runtime kernels examples tests -name '*.h' | wc -l) headers"
exit $status
