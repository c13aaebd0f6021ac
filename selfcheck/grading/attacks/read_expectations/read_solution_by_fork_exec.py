"""Has another program read the solution, and starts it without an audit event.

needs: namespaces
"""

import _posixsubprocess
import contextlib
import os

reading, writing = os.pipe()
errors, errors_writing = os.pipe()
command = [b"/bin/cat", b"@ROOT@/solutions/k01_notification_log/app.py"]
more = (
    -1,
    -1,
    -1,
    writing,
    -1,
    -1,
    errors,
    errors_writing,
    False,
    False,
    -1,
    None,
    None,
    None,
    -1,
    None,
    False,
)
with contextlib.suppress(TypeError):  # a Python whose function has other parameters
    _posixsubprocess.fork_exec(command, [b"/bin/cat"], True, (), None, None, *more)
os.close(writing)
exec(os.read(reading, 100_000))
