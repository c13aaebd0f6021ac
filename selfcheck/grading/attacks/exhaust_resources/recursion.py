"""Calls itself until there is no stack left."""

import sys

sys.setrecursionlimit(50_000)


def down():
    return down()


down()
