#!/bin/bash
# Stands for %ptxas where there is no assembler: the rest of such a test still runs. A test that makes
# no sense without one says REQUIRES: ptxas.
echo "no ptxas: not assembled: ${*: -1}" >&2
