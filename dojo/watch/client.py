"""The warm process as `dojo watch` sees it: started, given jobs, heard, and started again."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from dojo.watch.events import Ended, Event, Told

SHOWN = 8  # lines of an error


class Warm:
    """The warm process, and the thread that reads what it tells."""

    def __init__(
        self, root: Path, scratch: Path, events: SimpleQueue[Event], *, fork: bool
    ) -> None:
        self._words = [str(Path.cwd()), "fork" if fork else "alone"]
        self._root = root
        self._scratch = scratch
        self.fork = fork
        self._events = events
        self._process: subprocess.Popen[bytes] | None = None
        self.generation = 0

    @property
    def alive(self) -> bool:
        """Whether it was started, and has not been stopped."""
        return self._process is not None

    def start(self) -> None:
        """Start it, in place of the one that there was."""
        self.stop()
        self.generation += 1
        # Each has a folder of its own, which it removes at its end.
        folder = self._scratch / str(self.generation)
        folder.mkdir(parents=True)
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - the thread closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dojo.watch.warm", self._root, folder, *self._words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=self._root,
            # Out of reach of Ctrl-C and Ctrl-Z.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        words = (self._process, errors, self.generation)
        threading.Thread(target=self._read, args=words, daemon=True).start()

    def run(self, number: int, katas: Sequence[str]) -> None:
        """Have the specs of some katas run, in place of what runs now; no katas end it."""
        process = self._process
        if process is not None and process.stdin is not None:
            job = json.dumps({"run": number, "katas": list(katas)}).encode()
            with contextlib.suppress(OSError):  # its end is told by the thread
                process.stdin.write(job + b"\n")
                process.stdin.flush()

    def stop(self) -> None:
        """End it, and what it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _read(self, process: subprocess.Popen[bytes], errors: Any, generation: int) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                self._events.put(Told(generation, json.loads(line)))
        process.wait()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
        errors.close()
        process.stdout.close()
        self._events.put(Ended(generation, "\n".join(said[-SHOWN:])))
