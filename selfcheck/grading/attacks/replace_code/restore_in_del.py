"""Forges when loaded, and puts all back when its module is thrown away.

state: tampered
"""

import gc

from kit import app, forge, restore, write_log


class Last:
    def __del__(self, restore=restore):
        restore()


gc.collect()
last = Last()
forge()
