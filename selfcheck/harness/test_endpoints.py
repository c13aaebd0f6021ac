"""The place of an endpoint is the one that FastAPI would find."""

from pathlib import Path
from typing import Any

import fastapi.routing
import pytest

from dojo.catalogue import read_catalogue
from dojo.harness import endpoints
from dojo.solutions import load_solution, unload

place: Any = vars(fastapi.routing).get("_extract_endpoint_context")
SOURCE = '''"""A solution."""

import functools

from fastapi import Depends, FastAPI

app = FastAPI()


@app.get("/plain")
def plain(): ...


@app.get("/both")
@app.get("/twice", dependencies=[
    Depends(lambda: None),
])
async def twice(): ...


def passed_on(function):
    @functools.wraps(function)
    def inner(): ...
    return inner


@app.get("/wrapped")
@passed_on
def wrapped(): ...


app.get("/lambda")(lambda: 1)
app.get("/partial")(functools.partial(plain))
'''


@pytest.mark.skipif(place is None, reason="this FastAPI does not look for it")
def test_an_endpoint_has_the_place_that_fastapi_finds(tmp_path, monkeypatch):
    """Plain or decorated; what is no plain function is left to FastAPI."""
    monkeypatch.chdir(tmp_path)
    kata = next(iter(read_catalogue(Path(__file__).parents[2]).values()))
    file = tmp_path / "app.py"
    file.write_text(SOURCE, encoding="utf-8")
    module = load_solution(kata, file)
    unload(module)
    found = [route.endpoint for route in module.app.routes if hasattr(route, "endpoint")]

    ours = [endpoints.placed(place)(function) for function in found]

    assert {one.get("function") for one in ours} >= {"plain", "twice", "wrapped", "<lambda>"}
    for function, one in zip(found, ours, strict=True):
        vars(fastapi.routing)["_endpoint_context_cache"].clear()
        assert one == place(function)
