"""A whole session in a real browser, with a real server that is killed in the middle."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dojo.session import sender
from selfcheck.session.browsers import chromium
from selfcheck.session.rooms import K01, ROOT, light_json

PATIENCE = 60_000  # milliseconds


class Server:
    """`dojo session`, in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dojo.cli", "session", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        self.said = "".join(lines)

    def found(self, pattern: str) -> str:
        match = re.search(pattern, self.said)
        assert match is not None, f"the server has said: {self.said}"
        return match[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def server(folder: Path, *arguments: str) -> Iterator[Server]:
    started = Server(folder, *arguments)
    try:
        yield started
    finally:
        started.kill()


def send(address: str, token: str, light: str, passed: int, **more: Any) -> None:
    content = {"lights": [light_json(light, passed, **more)]}
    assert sender.post(f"{address}/api/lights", content, f"Bearer {token}")["stored"]


def test_a_whole_session(tmp_path: Path):
    """Start, two teams, all lights, a turn that ends, a baby step, a killed server, the film."""
    shutil.copytree(ROOT / "katas" / K01, tmp_path / "katas" / K01)
    start = (
        "start", "--port", "0", "--turn", "0.05", "--baby-steps", "0.1", "--names", "Ada,Grace,Lin",
    )  # fmt: skip
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(PATIENCE)
        problems: list[str] = []
        address = ""
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.extend(leaks(request.url, address)))
        with server(tmp_path, *start) as first:
            address = first.found(r"(http://127\.0\.0\.1:\d+)")
            token, code = first.found(r"(\w{4}(?:-\w{4}){3})"), first.found(r"(\w{6}) --team")

            # The facilitator comes in; the page says how to join.
            page.goto(f"{address}/facilitator")
            page.fill("input", token)
            page.keyboard.press("Enter")
            page.wait_for_selector(f"text={code}")
            assert token not in page.url + page.content()

            # Two teams join, and send lights.
            tokens = [
                sender.post(f"{address}/api/join", {"code": code, "team": name})["token"]
                for name in ("Tea", "<img src=x onerror=document.title=1>")
            ]
            page.wait_for_selector("#team-2")
            for light, passed in (("red", 2), ("amber", 0), ("green", 9)):
                send(address, tokens[0], light, passed)
                page.wait_for_selector(f"#team-1 .current .light.{light}")
            assert page.locator("#team-1 .runs .light").count() == 3
            assert page.inner_text("#team-1 .current").split() == ["9/9"]
            assert page.title() == "Dojo session 1"

            # A baby step that is not made in time.
            send(address, tokens[1], "red", 1)
            page.wait_for_selector("#team-2 .step:text('step 0:0')")
            page.wait_for_selector("#team-2 .step.late")
            send(address, tokens[1], "red", 1, went_back=True)
            page.wait_for_selector("#team-2 .back")

            # A turn, with the keyboard: it is paused, undone, and ends.
            assert page.inner_text(".driver dd") == "Ada"
            page.keyboard.press("Space")
            page.wait_for_selector("[data-turn='running']")
            page.keyboard.press("Space")
            page.wait_for_selector("[data-turn='paused']")
            page.keyboard.press("u")
            page.wait_for_selector("[data-turn='over']")
            assert "Grace to the keyboard" in page.inner_text("#turn")
            page.keyboard.press("Space")
            page.wait_for_selector(".driver dd:text('Grace')")
            page.keyboard.press("+")
            page.keyboard.press("a")
            page.wait_for_selector("#agenda .now:has-text('Introduction')")

        # The server was killed: the page says so, and comes back by itself.
        page.wait_for_selector("#offline:visible")
        with server(tmp_path, "resume", "--port", address.rpartition(":")[2]) as second:
            assert second.found(r"(\w{4}(?:-\w{4}){3})") == token
            send(address, tokens[0], "red", 3)
            page.wait_for_selector("#team-1 .current .light.red")
            page.wait_for_selector("#offline", state="hidden")
            assert page.locator("#team-1 .runs .light").count() == 4
            assert page.inner_text(".driver dd") == "Grace"
            page.keyboard.press("n")
            page.wait_for_selector(".driver dd:text('Lin')")

            # The retrospective: the film, and the questions of the card.
            page.goto(f"{address}/film")
            page.wait_for_selector(".film .current .light.red")
            assert page.locator("#film > li").count() == 2
            page.locator("#time").press("Home")
            assert page.locator("#film > li:first-child .runs .light").count() < 4
            page.locator("#time").press("End")
            assert page.locator("#film > li:first-child .runs .light").count() == 4
            page.locator("#play").press("Enter")
            page.wait_for_selector("#play:text('Stop')")
            page.wait_for_selector("#film > li:first-child .runs li:nth-child(4)")
            assert "What does the client know" in page.inner_text(".questions")
            assert no_text_is_cut_off(page)

        # What was exported opens from the disk, and plays.
        command = [sys.executable, "-m", "dojo.cli", "session", "export", "--out", "evening"]
        subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        address = (tmp_path / "evening").as_uri()
        page.goto(f"{address}/session.html")
        assert page.locator("#film > li:first-child .runs .light").count() == 4

    assert problems == []


def leaks(url: str, address: str) -> list[str]:
    """A request to anywhere else than the session."""
    return [] if url.startswith((address, "data:")) else [f"asked for {url}"]


def no_text_is_cut_off(page: Any) -> bool:
    """Whether a page is as wide as the window, on a projector and on a phone."""
    widths = []
    for width in (1920, 390):
        page.set_viewport_size({"width": width, "height": 800})
        widths.append(page.evaluate("document.documentElement.scrollWidth") <= width)
    return all(widths)
