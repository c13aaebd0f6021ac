"""Makes tamper detection find no changes, and then changes everything.

state: tampered
"""

from kit import app, forge, write_log

from dojo.grading.sandbox import tampering

for name in ("_fixtures", "_hidden", "_hooks", "_data_of", "_names"):
    setattr(tampering, name, lambda *things: [])
forge()
