"""Has the library of C read the solution.

evidence: imports ctypes
"""

import ctypes

libc = ctypes.CDLL(None)
file = libc.open(b"@ROOT@/solutions/k01_notification_log/app.py", 0)
text = ctypes.create_string_buffer(100_000)
exec(text.raw[: max(libc.read(file, text, 100_000), 0)])
