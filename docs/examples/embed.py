"""Distances between pictures: python3 embed.py CHECKPOINT PICTURE..."""

import sys

import mpanet

if len(sys.argv) < 3:
    sys.exit("usage: embed.py CHECKPOINT PICTURE...")
try:
    features = mpanet.load(sys.argv[1]).embed(sys.argv[2:])
    distances = mpanet.compare(features, features)
except mpanet.Error as error:
    sys.exit(f"embed.py: {error}")
for path, row in zip(sys.argv[2:], distances):
    print(path, *(f"{distance:.4f}" for distance in row))
