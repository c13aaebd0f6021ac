"""Which katas were saved: told by the file system, or found by looking where it does not tell.

Folders are watched, not files, because many editors save by rename. What counts is that a file is
not the one that it was: an event without that says nothing, and a file that is another one without
an event says that there are no events here, as on network drives. Then files are looked at.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import watchfiles

from dojo.watch.events import Event, Noticed, Saved, ToolChanged

STEP = 10  # ms between two looks for events
MOST = 100  # ms for which events that go on are put together
LOOK = 1.0  # s between two looks at the files, where there are events
POLL = 0.2  # s between two looks, where there are none
SLOWLY = 2.0  # s between two looks at the files of the tool
GONE = 0.1  # s in which a file that is replaced may be missing

State = tuple[int, int, int] | None
States = dict[Path, State]
Events = Iterator[set[tuple[watchfiles.Change, str]]]


def state_of(file: Path) -> State:
    """What tells a saved file from the one before; None where there is none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def states(files: list[Path]) -> States:
    """The states of files."""
    return {file: state_of(file) for file in files}


def tool_files(root: Path) -> list[Path]:
    """The files with which the specs are run; a change of one wants a new process."""
    return [
        *root.glob("*.py"),
        root / "pyproject.toml",
        *root.glob("tests/*.py"),
        *root.glob("dojo/**/*.py"),
        *root.glob("katas/k*/kata.toml"),
    ]


class Saves(threading.Thread):
    """The thread that watches the files of a project."""

    def __init__(
        self, root: Path, katas: dict[str, Path], events: SimpleQueue[Event], *, poll: bool
    ) -> None:
        super().__init__(name="dojo-saves", daemon=True)
        self.root = root
        self.names = {file: name for name, file in katas.items()}
        self.events = events
        self.poll = poll
        self.stopping = threading.Event()
        # Now, and not in the thread: what is saved from now on is seen.
        self._apps = states(list(self.names))
        self._tool = states(tool_files(root))
        self._notify = None if poll else self._watcher()
        self._folder = state_of(root / "katas")
        self._comes = False  # whether an event has ever told of a save
        self._missed = 0

    def stop(self) -> None:
        """End the thread."""
        self.stopping.set()

    def run(self) -> None:
        """Watch until the thread is stopped."""
        looked = slowly = time.monotonic()
        while not self.stopping.is_set():
            told = self._wait()
            if self.stopping.is_set():
                return
            at = time.perf_counter()
            now = time.monotonic()
            if told:
                self._tell_saved(at)
            elif told is None or now - looked > LOOK:
                looked = now
                self._look(at, told)
            if self._names_tool(told) if told is not None else now - slowly > SLOWLY:
                slowly = now
                self._tell_tool(at)

    def _wait(self) -> set[str] | None:
        """Wait for events: the paths that they name; None where there are none to wait for."""
        if self._notify is None:
            self.stopping.wait(POLL)
            return None
        try:
            return {path for _, path in next(self._notify)}
        except StopIteration:
            return set()
        except Exception as error:  # noqa: BLE001 - whatever the file system says
            self._fall_back(str(error))
            return None

    def _names_tool(self, told: set[str]) -> bool:
        apps = {str(file) for file in self.names}
        return any(path.endswith((".py", ".toml")) and path not in apps for path in told)

    def _watcher(self) -> Events:
        """The events, in sets that are empty where none came for a while."""
        folders = [self.root / name for name in ("katas", "tests", "dojo")]
        return watchfiles.watch(
            *(folder for folder in folders if folder.is_dir()),
            watch_filter=None,
            debounce=MOST,
            step=STEP,
            stop_event=self.stopping,
            rust_timeout=int(LOOK * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            force_polling=False,
            ignore_permission_denied=True,
        )

    def _fall_back(self, why: str) -> None:
        self._notify = None
        self.poll = True
        self.events.put(
            Noticed(
                f"The system does not tell when a file is saved here ({why}), so the files are "
                f"looked at every {POLL:g} s. --poll does so from the start"
            )
        )

    def _look(self, at: float, told: set[str] | None) -> None:
        """Look at the files, whether or not there were events."""
        changed = self._changed()
        if not changed:
            return
        if told is not None and not self._event_comes():
            folder = state_of(self.root / "katas")
            if folder is None or self._folder is None or folder[2] != self._folder[2]:
                self._folder, self._notify = folder, self._watcher()
            elif not self._comes:
                # Once may be a busy machine.
                self._missed += 1
                if self._missed > 1:
                    self._fall_back("two files were saved without that")
        self._report(changed, at)

    def _event_comes(self) -> bool:
        """Whether the event of a change that was just seen comes a moment later."""
        told = self._wait()
        if told:
            self._tell_tool(time.perf_counter())
        return bool(told)

    def _tell_saved(self, at: float) -> None:
        changed = self._changed()
        self._comes = self._comes or bool(changed)
        if any(self._apps[file] is None for file in changed):
            time.sleep(GONE)
            changed |= self._changed()
        self._report(changed, at)

    def _changed(self) -> set[Path]:
        now = states(list(self.names))
        changed = {file for file, state in now.items() if state != self._apps[file]}
        self._apps = now
        return changed

    def _report(self, changed: set[Path], at: float) -> None:
        if changed:
            self.events.put(Saved(tuple(sorted(self.names[file] for file in changed)), at))

    def _tell_tool(self, at: float) -> None:
        with contextlib.suppress(OSError):
            now = states(tool_files(self.root))
            if now != self._tool:
                self._tool = now
                self.events.put(ToolChanged(at))
