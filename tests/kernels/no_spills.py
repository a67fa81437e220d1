#!/usr/bin/env python3
"""Reads the tables of `tilec --print-resources`: which variants spill registers or need a stack?"""
import sys

rows = bad = 0
columns = []
for line in open(sys.argv[1]):
    words = line.split()
    if words[:2] == ["arch", "kernel"]:
        columns = words
    if not words or not words[0].startswith("sm_"):
        continue
    row = dict(zip(columns, words))
    rows += 1
    if int(row["spill"]) or int(row["stack"]):
        bad += 1
        print(line.rstrip())
print(f"{rows} variants, {bad} with spills or stack")
