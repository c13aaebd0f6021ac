"""Never finishes importing, and keeps a processor busy.

state: graded
"""

import time

end = time.monotonic() + 30
while time.monotonic() < end:
    pass
