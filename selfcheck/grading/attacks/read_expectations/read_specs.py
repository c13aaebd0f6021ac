"""Reads the specs from the disk, to see how they can be met."""

import contextlib

with contextlib.suppress(OSError):
    open("@ROOT@/tests/test_k01_notification_log.py").read()
    raise RuntimeError("ESCAPED: it has read the specs")
