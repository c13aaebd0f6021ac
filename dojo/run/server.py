"""The server: uvicorn on a socket that is ours, started anew when a solution is saved."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

PATIENCE = 1
APP = "dojo.run.app:make"


def serve(listening: socket.socket, file: Path, *, reload: bool) -> None:
    """Run uvicorn until it is interrupted; with `reload` in a process that each save replaces."""
    import uvicorn
    from uvicorn.supervisors import ChangeReload

    config = uvicorn.Config(
        APP,
        factory=True,
        reload=reload,
        reload_dirs=[str(file.parent)] if reload else None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    server = uvicorn.Server(config)
    _end_when_the_terminal_is_closed()
    try:
        if reload:
            ChangeReload(config, target=server.run, sockets=[listening]).run()
        else:
            server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()


def _end_when_the_terminal_is_closed() -> None:
    """Have the scratch folder removed then, too, and after a SIGTERM."""

    def end(*_signal: Any) -> None:
        raise KeyboardInterrupt

    def hang_up(*_signal: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, hang_up)
