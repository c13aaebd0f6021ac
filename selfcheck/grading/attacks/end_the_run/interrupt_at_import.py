"""Looks like a person who pressed Ctrl-C, while it is imported.

state: graded
"""

raise KeyboardInterrupt
