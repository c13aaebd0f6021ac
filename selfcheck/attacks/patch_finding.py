"""Has the dojo find nothing wrong.

state: tampered
evidence: dojo
"""

from fastapi import FastAPI

import dojo.finding
import dojo.plugin

app = FastAPI()
dojo.finding.finding = lambda *things: None
dojo.plugin.pytest_runtest_makereport = lambda item, call: None
