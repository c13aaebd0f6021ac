"""The supervisor of one job: it builds the sandbox, has hosts started in it, and limits them."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Any

from dojo.grading.sandbox.folders import remove
from dojo.grading.sandbox.limits import Limits, MemoryUsage, folder_size
from dojo.grading.sandbox.policy import Sandbox
from dojo.grading.sandbox.protocol import receive_message, send_message
from dojo.grading.sandbox.starter import Init, Starter, write_solution
from dojo.grading.sandbox.stopwatch import Stopwatch

INTERVAL = 0.2


class Supervisor:
    """Serves the process of the specs of one job."""

    def __init__(self, control: socket.socket, sandbox: Sandbox, number: int) -> None:
        self._control = control
        self._sandbox = sandbox
        self._name = f"j{number}"
        self._ended = ""
        self._over = ""
        self._loading = False

    def serve(self) -> None:
        """Do what the process of the specs asks for, until it has ended."""
        job, _ = receive_message(self._control)
        if job is None:
            return
        self._limits = Limits(**job["limits"])
        self._memory = MemoryUsage()
        self._specs = int(job["process"])
        try:
            self._sandbox.prepare(self._limits)
            self._folder = self._sandbox.make_folder(self._name)
            file = write_solution(self._folder, job["kata"], job["source"])
            starter = Starter(job["kata"], file, self._folder, self._sandbox, self._limits)
            self._hosts: Starter | Init = starter
            if self._sandbox.namespaces:
                self._hosts = Init(starter)
        except OSError as error:
            trouble = f"the sandbox could not be built: {error.strerror or error}"
            send_message(self._control, {"trouble": trouble})
            return
        known = {"file": str(file), "folder": str(self._folder), "supervisor": os.getpid()}
        send_message(self._control, {**known, "namespaces": self._sandbox.namespaces})
        self._stopwatch = Stopwatch(self._limits.seconds, self._starved, time.monotonic)
        try:
            while True:
                self._watch_until_asked()
                message, wires = receive_message(self._control)
                if message is None:
                    return
                if "loading" in message:
                    self._loading = bool(message["loading"])
                    continue
                send_message(self._control, self._reply(message, wires))
                for wire in wires:
                    os.close(wire)
        finally:
            self._hosts.end()
            if not self._sandbox.namespaces:
                remove(self._folder)

    def _reply(self, message: dict[str, Any], wires: list[int]) -> dict[str, Any]:
        if "start" in message:
            self._ended = ""
            if self._over:
                return {"over": self._over}
            try:
                fresh = self._hosts.start(message["start"], wires)
            except OSError as error:
                return {"trouble": f"a process could not be started: {error.strerror or error}"}
            return {"started": True, "fresh": fresh}
        ended = self._hosts.end(keep=message["keep"])
        return {"ended": self._ended or ended, "over": self._over}

    def _starved(self) -> float:
        """How long the processes of the job were ready to run and did not, in seconds."""
        both = (self._specs, self._hosts.process(self._memory))
        return sum(self._memory.starved(process) for process in both if process)

    def _watch_until_asked(self) -> None:
        """Wait for the next message, and stop the host meanwhile where it exceeds a limit."""
        while True:
            asked = select.select([self._control], [], [], INTERVAL)[0]
            left = self._stopwatch.tick(loading=self._loading)
            if asked:
                return
            limits = self._limits
            if left <= 0:
                self._over = self._ended = self._stopwatch.why()
            elif self._memory.used() > limits.memory:
                self._ended = f"it used more than {limits.memory >> 20} MiB of memory in all"
            elif not self._sandbox.namespaces and folder_size(self._folder) > limits.disk:
                self._ended = f"it filled the disk: more than {limits.disk >> 20} MiB"
            else:
                continue
            self._hosts.end()
