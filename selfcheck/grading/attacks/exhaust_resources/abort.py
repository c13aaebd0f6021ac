"""Aborts the process.

state: graded
"""

import os

os.abort()
