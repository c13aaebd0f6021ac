"""Nests folders so deeply that a recursive removal fails."""

import os

for _ in range(1500):
    os.mkdir("deeper")
    os.chdir("deeper")
