"""Ends the process while it is imported, with the exit code of success.

evidence: names _exit
"""

import os

os._exit(0)
