"""Waits at import for what never comes.

state: graded
"""

import threading

threading.Event().wait(30)
