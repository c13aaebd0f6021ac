"""Closes every descriptor that there is.

state: graded
"""

import os

os.closerange(0, 256)
