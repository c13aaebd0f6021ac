"""Makes tamper detection find no changes, and then changes everything.

state: tampered
"""

from kit import app, forge, write_log

from dojo.grading.sandbox import tampering

for name in ("_fixtures", "_hidden", "_hooks", "_replaced", "_added"):
    getattr(tampering, name)  # it must be there
    setattr(tampering, name, lambda *things: [])
forge()
