"""The smallest apps and answers that show what the harness does."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from fastapi import BackgroundTasks, FastAPI

from dojo.catalogue import Kata
from dojo.harness.asgi import App, Receive, Scope, Send
from dojo.harness.environment import Environment, client_of, loaded
from dojo.harness.exchange import Exchange


def http_only(app: App) -> App:
    """An ASGI app that has no lifespan."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    return either


def app_with(endpoint: Callable[..., Any]) -> FastAPI:
    """An app that answers `POST /` with `endpoint`."""
    app = FastAPI()
    app.post("/")(endpoint)
    return app


def app_of_tasks(*tasks: Callable[[], object]) -> FastAPI:
    """An app that answers `POST /` at once and runs `tasks` after it."""

    async def endpoint(background_tasks: BackgroundTasks) -> None:
        for task in tasks:
            background_tasks.add_task(task)

    return app_with(endpoint)


async def run_tasks(environment: Environment, *tasks: Callable[[], object]) -> Exchange:
    """One exchange that runs `tasks` after its answer."""
    async with client_of(app_of_tasks(*tasks), environment) as client:
        return (await client.post("/")).exchange


@contextmanager
def answer(tree: Path, source: str) -> Iterator[ModuleType]:
    """An answer with this source, loaded as one of a kata."""
    kata = Kata(tree, "k99_at_hand", "At hand", "white", 1, 1, ("", "", ""))
    folder = tree / kata.name
    folder.mkdir()
    (folder / "app.py").write_text(textwrap.dedent(source), encoding="utf-8")
    with loaded(kata, folder / "app.py") as module:
        yield module
