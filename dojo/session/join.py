"""`dojo join`, `dojo leave` and `dojo predict`: a team in a session."""

from __future__ import annotations

import argparse
import ipaddress
import json
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from dojo.commands.checkout import DONE, FAILED, CommandError, add_command, find_root
from dojo.session import joined
from dojo.session.names import NameRefusedError, clean
from dojo.session.settings import PORT

LIGHTS = ("green", "red", "amber")


def add_to(commands: Any) -> None:
    """Add the commands of a team to the command line."""
    join = add_command(
        commands,
        "join",
        run_join,
        "join a dojo session, which then sees your lights",
        "Join a dojo session. From then on each run of pytest and of `dojo watch` sends its light: "
        "team, kata, light, passed, total and time, and nothing of your code. Where the session "
        "cannot be reached, they are kept and sent later.",
    )
    join.add_argument("address", metavar="ADDRESS", help="as the page shows it: 192.168.1.5:8700")
    join.add_argument("code", metavar="CODE", help="as the page shows it")
    join.add_argument("--team", required=True, metavar="NAME", help="the name of your team")
    join.add_argument(
        "--key", default="", help="the four letters of a team that has joined on another machine"
    )
    add_command(
        commands,
        "leave",
        run_leave,
        "leave the dojo session",
        "Leave the dojo session: lights that wait are sent, and no more after them.",
    )
    predict = add_command(
        commands,
        "predict",
        run_predict,
        "say which light your next run will have",
        "Say which light the next run of pytest will have. The session's page counts how often "
        "the room was right.",
    )
    predict.add_argument("light", choices=LIGHTS)


def run_join(asked: argparse.Namespace) -> int:
    """Join the session that the command line names."""
    from dojo.session import sender  # here, because the library for HTTP takes its time

    root = find_root()
    address = url_of(asked.address)
    try:
        team = clean(asked.team, "team's name")
    except NameRefusedError as error:
        raise CommandError(str(error)) from None
    before = joined.read(root)
    known = before.token if before is not None and before.address == address else ""
    wanted = {"code": asked.code, "team": team, "token": known, "key": asked.key}
    try:
        said = sender.post(f"{address}/api/join", wanted)
        session = joined.Joined(address, str(said["team"]), str(said["token"]), str(said["key"]))
        rituals = joined.Rituals(**said["rituals"])
    except HTTPError as error:
        raise CommandError(_detail(error)) from None
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"at {address} there is no dojo session, but something else") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        print(
            f"dojo join: {address} cannot be reached: {reason}. Is this machine in the same "
            "network, and does the session run (`dojo session start --lan`)? Nothing was changed",
            file=sys.stderr,
        )
        return FAILED
    _begin(root, before, session, rituals)
    print(f"Joined as {session.team}. Each run of pytest sends its light, and none of your code.")
    print(f"  another machine of your team gives `--key {session.key}`")
    if rituals.baby_steps:
        print(f"  baby steps: one more green spec in {rituals.baby_steps:g} minutes, or back")
    if rituals.one_spec:
        print("  one spec at a time: pytest shows the next red one only")
    print("  `dojo leave` ends it")
    return DONE


def _begin(
    root: Path, before: joined.Joined | None, session: joined.Joined, rituals: joined.Rituals
) -> None:
    if before is not None and before.token != session.token:
        left = joined.forget(root)
        if left:
            print(f"{left} runs for {before.address} were not sent, and are forgotten")
    if before is None or before.token != session.token:
        from dojo.session import baby_steps

        baby_steps.forget(root)
    joined.write(root, session)
    joined.write_rituals(root, rituals)


def run_leave(_asked: argparse.Namespace) -> int:
    """Leave the session."""
    from dojo.session import sender

    root = find_root()
    session = joined.read(root)
    if session is None:
        raise CommandError("this checkout has joined no session")
    sender.deliver(root)
    left = joined.forget(root)
    print(f"{session.team} has left {session.address}")
    if left:
        print(f"  {left} runs could not be sent any more")
    return DONE


def run_predict(asked: argparse.Namespace) -> int:
    """Note the prediction."""
    root = find_root()
    if joined.read(root) is None:
        raise CommandError("this checkout has joined no session: `dojo join` does")
    joined.predict(root, asked.light)
    print(f"You predict {asked.light} for the next run.")
    return DONE


def url_of(address: str) -> str:
    """The address as a URL: `192.168.1.5:8700` is `http://192.168.1.5:8700`.

    Raises `CommandError`.
    """
    whole = address.strip().rstrip("/")
    if "//" not in whole:
        whole = f"http://{whole}"
    try:
        parts = urlsplit(whole)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.scheme not in ("http", "https") or parts.path or parts.query:
        raise CommandError(f"{address!r} is not an address like 192.168.1.5:8700")
    if port is None and parts.scheme == "http":
        return f"http://{_bracketed(host)}:{PORT}"
    return f"{parts.scheme}://{parts.netloc}"


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


def _detail(error: HTTPError) -> str:
    with error:
        try:
            return str(json.loads(error.read(100_000))["detail"])
        except (ValueError, KeyError, TypeError, OSError):
            return f"the server says {error.code}: is a dojo session there?"
