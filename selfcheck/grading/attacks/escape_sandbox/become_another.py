"""Becomes another program, one that succeeds.

evidence: started a process
"""

import os

os.execv("/bin/true", ["true"])
