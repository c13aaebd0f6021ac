"""The one audit hook of this process; Python cannot remove a hook, so it is quiet while no spec
runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from dojo.harness.timeline import current_timeline

_handlers: dict[str, Callable[..., None]] = {}
_installed = False


def on(event: str, handler: Callable[..., None]) -> None:
    """Call `handler` with the arguments of each audit event of that name, while a spec runs."""
    _handlers[event] = handler
    _install()


def _install() -> None:
    global _installed
    if _installed:
        return
    _installed = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        handler = _handlers.get(event)
        if handler is not None and current_timeline() is not None:
            handler(*args)

    sys.addaudithook(hook)
