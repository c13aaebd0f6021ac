"""Reads from where no memory is.

evidence: imports ctypes
"""

import ctypes

ctypes.string_at(0)
