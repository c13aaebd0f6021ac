"""The warm process where there is no fork, as on Windows: it runs the specs itself.

The harness puts back after each spec what a solution changed of the process. What cannot be put
back, such as an endless loop, costs the process: `dojo watch` starts another one.
"""

from __future__ import annotations

import json
import os
import threading
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO

from dojo.plugin.patience import MOST
from dojo.watch.limits import left_out
from dojo.watch.warm import Send, Warm, remove


def serve(warm: Warm, jobs: BinaryIO, _outcomes: BinaryIO, send: Send) -> None:
    """Run jobs until there are no more; a newer one ends an older one between two specs."""
    waiting: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def read() -> None:
        for line in jobs:
            waiting.put(json.loads(line))
        remove(warm.scratch)
        os._exit(0)

    threading.Thread(target=read, name="dojo-jobs", daemon=True).start()
    job = waiting.get()
    while True:
        job = _run(warm, job, waiting, send) or waiting.get()


def _run(
    warm: Warm, job: dict[str, Any], waiting: SimpleQueue[dict[str, Any]], send: Send
) -> dict[str, Any] | None:
    """Run a job; gives the newer one that ended it, if one did."""
    for kata in job["katas"]:
        late = 0
        for spec in warm.order(kata):
            try:
                return waiting.get_nowait()
            except Empty:
                pass
            if late < MOST:
                outcome = warm.run(kata, spec)
                warm.note(outcome)
            else:
                outcome = left_out(kata, spec)
            late += outcome["late"]
            send({"run": job["run"], **outcome})
        send({"run": job["run"], "kata": kata, "ended": True})
    return None
