"""Stops the interpreter while it is imported.

state: graded
"""

import sys

sys.exit(0)
