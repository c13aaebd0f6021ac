"""Runs its spec to its end in a thread with things of its own, and has pytest run it no more.

state: tampered
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from _pytest.assertion import util
from kit import FastAPI, Yes, forge, restoring, write_log

app = FastAPI(lifespan=restoring)
item = list(util._config.pluginmanager.get_plugin("session")._setupstate.stack)[-1]
if "client" in item._fixtureinfo.argnames:
    work = item.obj(**{name: Yes() for name in item._fixtureinfo.argnames})
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(asyncio.run, work)
    if ended.exception() is None:
        forge()
