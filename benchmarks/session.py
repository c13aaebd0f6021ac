"""Measures a dojo session: many teams and pages, and what a run of pytest pays for having joined.

`python -m benchmarks.session load` has 50 teams send a light a second for a minute, with 20 pages
open. `python -m benchmarks.session ratio` compares runs of pytest in a checkout that has joined a
session which is down with runs in one that has joined none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from dojo.progress import Run
from dojo.session import after_run, joined
from dojo.session.store import Store

ROOT = Path(__file__).resolve().parent.parent
KATA = "k01_notification_log"
NOWHERE = "http://127.0.0.1:9"


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str, int]]:
    """A server of a session: its address, the code to join, and its process id."""
    shutil.copytree(ROOT / "katas" / KATA, folder / "katas" / KATA)
    command = [sys.executable, "-m", "dojo.cli", "session", "start", "--port", "0"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    said = ""
    for line in server.stdout:
        said += line
        if "Ctrl-C" in line:
            break
    found = re.search(r"dojo join (\S+) (\w+)", said)
    assert found is not None, said
    try:
        yield f"http://{found[1]}", found[2], server.pid
    finally:
        if server.poll() is not None:
            print(f"the server has ended with {server.returncode}", file=sys.stderr)
        server.terminate()
        server.wait()


class Page:
    """A page that is open: it notes when each light of a team is there."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self.last: dict[str, str] = {}

    async def follow(self, client: httpx.AsyncClient) -> None:
        """Read the events until it is cancelled."""
        async with client.stream("GET", "/events") as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data: "):
                    continue
                at = time.time()
                for name, html in json.loads(line[6:])["parts"].items():
                    scores = re.findall(r"<small>(\d+)/1000</small>", html)
                    if name.startswith("team-") and scores:
                        self.last[name] = scores[-1]
                        for score in scores:
                            self.seen.setdefault(f"{name} {score}", at)


async def load(teams: int, pages: int, seconds: int, probes: int) -> None:
    """Let teams send a light a second, and print what came of it."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as (address, code, pid):
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=address, timeout=60, limits=limits, trust_env=False
        ) as client:
            tokens = [
                (await client.post("/api/join", json={"code": code, "team": f"Team {n}"})).json()
                for n in range(teams + 1)
            ]
            open_pages = [Page() for _ in range(pages)]
            reading = [asyncio.create_task(page.follow(client)) for page in open_pages]
            memory: list[float] = []
            sent: dict[str, float] = {}
            taken: list[float] = []

            async def team(number: int) -> None:
                for second in range(seconds):
                    await asyncio.sleep(max(0.0, begun + second + number / teams - time.time()))
                    light = light_json(second)
                    at = time.time()
                    said = await client.post(
                        "/api/lights",
                        json={"lights": [light]},
                        headers={"Authorization": f"Bearer {tokens[number]['token']}"},
                    )
                    assert said.json()["stored"], said.text
                    taken.append(time.time() - at)
                    sent[f"team-{number + 1} {second}"] = at

            async def watch_memory() -> None:
                while True:
                    memory.append(psutil.Process(pid).memory_info().rss / 1e6)
                    await asyncio.sleep(5)

            begun = time.time() + 1
            watching = asyncio.create_task(watch_memory())
            probing = asyncio.create_task(
                probe(Path(name), address, teams + 1, tokens[teams], probes)
            )
            await asyncio.gather(*(team(number) for number in range(teams)))
            probed = await probing
            await asyncio.sleep(3)
            used = sum(psutil.Process(pid).cpu_times()[:2])
            for task in (watching, *reading):
                task.cancel()

        with Store(Path(name)).engine.connect() as connection:
            stored = connection.exec_driver_sql("SELECT count(*) FROM lights").scalar_one()
        late = [page.seen[key] - at for page in open_pages for key, at in sent.items()]
        to_page = [page.seen[key] - at for page in open_pages for key, at in probed.items()]
        wrong = sum(
            page.last[f"team-{n + 1}"] != str(seconds - 1)
            for page in open_pages
            for n in range(teams)
        )
        print(f"{teams} teams, {pages} pages, {seconds} s, on {os.cpu_count()} processors")
        print(f"lights sent {len(sent) + len(probed)}, stored {stored}")
        print(f"rows of teams that do not show the last light: {wrong} of {pages * teams}")
        show("the server's response to a light", taken)
        show("from the sending of a light to a page", late)
        show("from the end of a run to a page", to_page)
        print(f"the server used {used:.0f} s of a processor")
        print(f"memory of the server, MB: {' '.join(f'{size:.0f}' for size in memory)}")


async def probe(
    folder: Path, address: str, team: int, said: dict[str, Any], probes: int
) -> dict[str, float]:
    """End runs as pytest does, with a sender in a process of its own; when each has ended."""
    checkout = folder / "checkout"
    checkout.mkdir()
    joined.write(checkout, joined.Joined(address, said["team"], said["token"], ""))
    ended = {}
    for number in range(probes):
        run = Run("", KATA, "red", number, 1000 - number, 1000, 0.1, "")
        ended[f"team-{team} {number}"] = time.time()
        await asyncio.to_thread(after_run.run_ended, checkout, [run])
        await asyncio.sleep(1)
    return ended


def light_json(passed: int) -> dict[str, Any]:
    """A light, as a team sends it."""
    known = {"id": uuid.uuid4().hex, "kata": KATA, "light": "red", "total": 1000}
    return {**known, "passed": passed, "seconds": 0.1}


def show(what: str, seconds: list[float]) -> None:
    """Print the median and the 99th percentile."""
    cuts = statistics.quantiles(seconds, n=100)
    print(f"{what}, ms: median {cuts[49] * 1000:.0f}, 99th percentile {cuts[98] * 1000:.0f}")


def ratio(runs: int) -> None:
    """Print how much longer a run takes in a checkout whose session is down."""
    with tempfile.TemporaryDirectory() as name:
        checkouts = [Path(name) / "alone", Path(name) / "joined"]
        for checkout in checkouts:
            for file in ("conftest.py", "pyproject.toml"):
                checkout.mkdir(exist_ok=True)
                shutil.copy(ROOT / file, checkout)
            shutil.copytree(ROOT / "solutions" / KATA, checkout / "katas" / KATA)
            shutil.copy(ROOT / "katas" / KATA / "kata.toml", checkout / "katas" / KATA)
            (checkout / "tests").mkdir()
            shutil.copy(ROOT / "tests" / f"test_{KATA}.py", checkout / "tests")
        session = joined.Joined(NOWHERE, "Tea", "token", "")
        joined.write(checkouts[1], session)
        environment = {k: v for k, v in os.environ.items() if k not in ("CI", "DOJO_PROGRESS")}
        took: list[list[float]] = [[], []]
        used: list[list[float]] = [[], []]
        for number in range(runs + 1):
            for which in (0, 1) if number % 2 else (1, 0):
                began, before = time.perf_counter(), os.times()
                subprocess.run(
                    [sys.executable, "-m", "pytest", "-q"],
                    cwd=checkouts[which],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
                if number:  # the first one of each compiles
                    took[which].append(time.perf_counter() - began)
                    after = os.times()
                    used[which].append(sum(after[2:4]) - sum(before[2:4]))
        waiting = len(joined.waiting(checkouts[1]))
        joined.forget(checkouts[1])  # its sender ends
        alone, down = (statistics.median(times) for times in took)
        print(f"medians of {runs} runs: alone {alone:.3f} s, joined and down {down:.3f} s")
        print(f"ratio {down / alone:.3f}; {waiting} runs wait to be sent")
        alone, down = (statistics.median(times) for times in used)
        print(f"time of a processor: alone {alone:.3f} s, joined and down {down:.3f} s")
        time.sleep(2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.session", description=__doc__)
    parser.add_argument("what", choices=("load", "ratio"))
    parser.add_argument("--teams", type=int, default=50)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--probes", type=int, default=40)
    parser.add_argument("--runs", type=int, default=20)
    asked = parser.parse_args()
    if asked.what == "ratio":
        ratio(asked.runs)
    else:
        asyncio.run(load(asked.teams, asked.pages, asked.seconds, asked.probes))
