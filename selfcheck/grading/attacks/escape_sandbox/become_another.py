"""Becomes another program, one that succeeds.

state: graded
evidence: started a process
"""

import os

os.execv("/bin/true", ["true"])
