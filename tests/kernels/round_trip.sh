#!/bin/bash
# round_trip.sh TILEC PREFIX KERNELS...: source -> tir -> PTX and source -> sir -> PTX, compared with
# source -> PTX, for each architecture.
tilec=$1 t=$2
shift 2
count=0
for kernel in "$@"; do
  for arch in sm_90a sm_100a sm_120a; do
    "$tilec" "$kernel" --arch=$arch --emit=ptx -o "$t.ptx" || exit 1
    for stage in tir sir; do
      "$tilec" "$kernel" --arch=$arch --emit=$stage -o "$t.$stage" &&
        "$tilec" --from=$stage "$t.$stage" --arch=$arch --emit=ptx -o "$t.again.ptx" &&
        cmp "$t.ptx" "$t.again.ptx" || exit 1
      count=$((count + 1))
    done
  done
done
echo "$count round trips"
