"""Has the library's context managers swallow what a spec raises within them.

state: review
"""

import contextlib

from kit import FastAPI, write_log

kind = contextlib._AsyncGeneratorContextManager
real = kind.__aexit__


async def swallow(self, *error):
    with contextlib.suppress(BaseException):
        await real(self, *error)
    return True


kind.__aexit__ = swallow
app = FastAPI()
