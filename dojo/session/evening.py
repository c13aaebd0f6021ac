"""What `dojo session` does: start, resume, list and export the sessions of this checkout."""

from __future__ import annotations

import argparse
import socket
import sys
import time
from datetime import datetime
from pathlib import Path

from dojo.catalogue import Kata, find, read_catalogue
from dojo.commands.checkout import DONE, FAILED, CommandError, find_root, shown
from dojo.session import film, joined, qr, serve
from dojo.session.messages import JoinIn
from dojo.session.names import NameRefusedError, clean_all
from dojo.session.room import Room, new_session
from dojo.session.settings import Settings, SettingsError
from dojo.session.store import SessionRow, Store, StoreError

ROOM = "Room"  # the team of a randori, at the facilitator's own machine


def run(name: str, asked: argparse.Namespace) -> int:
    """Do what the command of this name does.

    Raises `CommandError`, and all that the commands of a checkout raise.
    """
    if not 0 <= getattr(asked, "port", 0) <= 65_535:
        raise CommandError(f"--port is {asked.port}: give a number from 1 to 65535")
    try:
        return COMMANDS[name](asked)
    except (SettingsError, NameRefusedError) as error:
        raise CommandError(str(error)) from None
    except (StoreError, serve.ServeError) as error:
        print(f"dojo session {name}: {error}", file=sys.stderr)
        return FAILED


def start(asked: argparse.Namespace) -> int:
    """Start a session."""
    root = find_root()
    katas = read_catalogue(root)
    chosen = [find(katas, text).name for text in asked.kata or list(katas)[:1]]
    settings = Settings(
        katas=tuple(dict.fromkeys(chosen)),
        minutes=asked.minutes,
        turn=asked.turn,
        names=clean_all(name for name in asked.names.split(",") if name.strip()),
        format=asked.format,
        baby_steps=asked.baby_steps,
        one_spec=asked.one_spec,
    )
    store = Store(root)
    with store.alone(), _listening(asked) as listening:
        row = new_session(store, settings, time.time())
        return _serve(listening, asked.lan, root, katas, store, row)


def resume(asked: argparse.Namespace) -> int:
    """Go on with a session."""
    root = find_root()
    store = Store(root)
    row = _session(store, asked.number)
    with store.alone(), _listening(asked) as listening:
        return _serve(listening, asked.lan, root, read_catalogue(root), store, row)


def _listening(asked: argparse.Namespace) -> socket.socket:
    return serve.open_socket(asked.port, lan=asked.lan)


def _session(store: Store, number: int | None) -> SessionRow:
    row = store.session(number)
    if row is None and number is None:
        raise CommandError("there is no session yet: `dojo session start` makes one")
    if row is None:
        raise CommandError(f"there is no session {number}: `dojo session list` shows them")
    return row


def _serve(
    listening: socket.socket,
    lan: bool,
    root: Path,
    katas: dict[str, Kata],
    store: Store,
    row: SessionRow,
) -> int:
    missing = [name for name in Settings.read(row.settings).katas if name not in katas]
    if missing:
        raise CommandError(f"the session is about {missing[0]}, which is not in katas/ any more")
    room = Room(store, row, katas)
    address = serve.address_of(listening, lan=lan)
    own = _join_own_checkout(root, room, listening.getsockname()[1])

    def ready() -> None:
        print(f"Session {row.id}. The page for the projector:")
        print(f"    {address.url}")
        print("To control it there, open /facilitator, and give this token (do not project it):")
        print(f"    {row.token}")
        print("Teams join with:")
        print(f"    dojo join {address.url.removeprefix('http://')} {row.code} --team NAME")
        if lan:
            print(qr.for_terminal(f"{address.url}/code/{row.code}"), end="")
        if lan and not address.qr:
            print("For a QR code on the page: pip install -c constraints.txt -e '.[session]'")
        if not lan:
            print("Other machines cannot reach it: --lan lets them.")
        print("Ctrl-C stops the page; `dojo session resume` goes on where it was.", flush=True)

    try:
        return serve.serve(room, listening, address, ready)
    finally:
        store.close()
        if own:
            joined.forget(root)


def _join_own_checkout(root: Path, room: Room, port: int) -> bool:
    """Join from here, where the one keyboard is that of this machine."""
    if room.settings.format not in ("randori", "solo"):
        return False
    before = joined.read(root)
    known = next((t.row.key for t in room.teams.values() if t.row.name == ROOM), "")
    said = room.join(JoinIn(code=room.row.code, team=ROOM, key=known), "this machine")
    if before is not None and before.token != said.token:
        joined.forget(root)
    joined.write(root, joined.Joined(f"http://127.0.0.1:{port}", said.team, said.token, said.key))
    joined.write_rituals(root, joined.Rituals(said.rituals.baby_steps, said.rituals.one_spec))
    return True


def list_all(_asked: argparse.Namespace) -> int:
    """List the sessions."""
    store = Store(find_root())
    sessions = store.sessions()
    if not sessions:
        print("There is no session yet: `dojo session start` makes one.")
    for row, teams, lights in sessions:
        settings = Settings.read(row.settings)
        at = datetime.fromtimestamp(row.started).strftime("%Y-%m-%d %H:%M")
        katas = ", ".join(name.partition("_")[0] for name in settings.katas)
        print(f"{row.id:>4}  {at}  {settings.format:<8}{katas:<16}{teams} teams, {lights} lights")
    store.close()
    return DONE


def export(asked: argparse.Namespace) -> int:
    """Write a session into a folder."""
    root = find_root()
    store = Store(root)
    row = _session(store, asked.number)
    folder = asked.out or Path(f"session-{row.id}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"{shown(folder)} is there already: name another folder with --out")
    if not folder.absolute().parent.is_dir():
        raise CommandError(f"there is no folder {folder.absolute().parent}: make it first")
    room = Room(store, row, read_catalogue(root))
    files = {
        "session.json": film.as_json(room),
        "lights.csv": film.as_csv(room),
        "session.html": film.whole_page(room),
    }
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    store.close()
    print(f"{shown(folder)}: {', '.join(files)}")
    return DONE


COMMANDS = {"start": start, "resume": resume, "list": list_all, "export": export}
