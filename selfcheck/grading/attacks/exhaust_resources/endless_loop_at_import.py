"""Never finishes importing, and keeps a processor busy."""

import time

end = time.monotonic() + 30
while time.monotonic() < end:
    pass
