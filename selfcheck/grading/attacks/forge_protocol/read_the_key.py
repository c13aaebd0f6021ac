"""Inspects the frame of the generator that holds the key.

state: tampered
evidence: inspected the channel
"""

from _pytest.assertion import util
from fastapi import FastAPI

app = FastAPI()
item = list(util._config.pluginmanager.get_plugin("session")._setupstate.stack)[-1]
_, _, _, send = item.obj.__defaults__[2].__defaults__
inner = getattr(send.__defaults__[0].__self__, "gi_" + "frame")
key = inner.f_locals["keyed"]
