"""Registers a plugin that runs the protocol of a spec by itself.

state: tampered
"""

import pytest
from _pytest.assertion import util
from fastapi import FastAPI

app = FastAPI()


class Plugin:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        for when in ("setup", "call", "teardown"):
            call = pytest.CallInfo.from_call(lambda: None, when)
            report = pytest.TestReport.from_item_and_call(item, call)
            item.ihook.pytest_runtest_logreport(report=report)
        return True


util._config.pluginmanager.register(Plugin())
