"""Looks for what the grader knows of in its environment."""

import os

KNOWN = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "USER", "LOGNAME")
secrets = [name for name in os.environ if name not in KNOWN]
if secrets:
    raise RuntimeError(f"ESCAPED: it knows {secrets}")
