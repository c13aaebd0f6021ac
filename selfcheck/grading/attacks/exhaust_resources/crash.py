"""Reads from where no memory is.

state: graded
evidence: imports ctypes
"""

import ctypes

ctypes.string_at(0)
