"""The one audit hook of this process: Python cannot remove it, so it is quiet between specs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from dojo.harness.current import current_timeline

_installed = False


def listen(handlers: Mapping[str, Callable[..., None]]) -> None:
    """Call the handler of each audit event with its arguments, while a spec runs; once for all."""
    global _installed
    if _installed:
        return
    _installed = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        handler = handlers.get(event)
        if handler is not None and current_timeline() is not None:
            handler(*args)

    sys.addaudithook(hook)
