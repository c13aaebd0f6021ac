"""Puts nothing in the place of every descriptor that there is."""

import os

nowhere = os.open("/dev/null", os.O_RDWR)
for descriptor in range(256):
    if descriptor != nowhere:
        os.dup2(nowhere, descriptor)
