"""Calls itself until there is no stack left.

state: graded
"""

import sys

sys.setrecursionlimit(50_000)


def down():
    return down()


down()
