"""Has everything that a spec looks at agree with it, and leaves it so.

state: tampered
evidence: replaced
"""

from kit import app, forge, write_log

forge()
