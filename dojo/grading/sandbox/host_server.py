"""The host server: it has imported what solutions need, and forks a supervisor for each job.

It has never seen a spec. The fork server of the specs hands it one end of a socket pair for each
job; the job itself comes over that. A supervisor builds the sandbox and starts the hosts in it, one
for each spec.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType

import dojo.grading.sandbox.preload  # noqa: F401
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.policy import survey
from dojo.grading.sandbox.protocol import receive_message, send_message
from dojo.grading.sandbox.supervisor import Supervisor
from dojo.grading.sandbox.warm_up import warm_up
from dojo.harness import frames, patches


def serve(source: socket.socket) -> int:
    """Fork a supervisor for each job that arrives, until the socket is closed; the exit code."""
    settings, _ = receive_message(source)
    if settings is None:
        return 0
    sys.dont_write_bytecode = True
    os.environ.setdefault("TZ", "UTC")
    os.chdir(settings["scratch"])
    sandbox = survey(
        Path(settings["scratch"]),
        Path(settings["root"]),
        tuple(map(Path, settings["hidden"])),
        Limits(**settings["limits"]),
        fork=True,
        use_namespaces=settings["namespaces"],
    )
    # What is not shown is nothing to import from either.
    sys.path[:] = [path for path in sys.path if path != settings["root"]]
    send_message(source, {"in_force": sandbox.in_force, "missing": sandbox.missing})
    # A solution is `katas.kNN_name.app`: what pickles its objects imports the first part by name.
    sys.modules.setdefault("katas", ModuleType("katas"))
    frames.show_from(None)
    patches.apply_all()
    warm_up()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = 0
    while True:
        message, ends = receive_message(source)
        if message is None:
            return 0
        number += 1
        if os.fork() == 0:
            try:
                source.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                Supervisor(socket.socket(fileno=ends[0]), sandbox, number).serve()
            finally:
                os._exit(0)
        for end in ends:
            os.close(end)
