"""Nests folders so deep that whoever removes them by recursion fails.

state: graded
"""

import os

for _ in range(1500):
    os.mkdir("deeper")
    os.chdir("deeper")
