"""Has everything that a spec looks at agree with it, and leaves it so.

score: 1
"""

from kit import app, forge, write_log

forge()
