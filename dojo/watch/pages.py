"""The pages of the screen as lines: the verdict, the hints, the card, the board, the help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from dojo.commands.checkout import shown
from dojo.plugin import render
from dojo.plugin.failures import Failure, title_of
from dojo.watch import words
from dojo.watch.state import State
from dojo.watch.words import STYLES

KEYS = ("h hint", "c card", "r run", "n next", "p previous", "a all", "b board", "? help", "q quit")
BACK = ("esc back", "↑↓ scroll", "q back")
HELP = """\
A kata runs whenever its app.py is saved; this screen never moves on by itself.

  r      run again
  h      the hints; again, one more of the three
  c      the card: the story and the contract
  n      the next kata; of a green one, the next that is not green
  p      the kata before
  a      run all katas
  b      the board: the lights of all katas
  ↑ ↓    scroll; also j, k, space, page up, page down
  esc    back to the verdict
  q      quit

Under each kata's title stands a mark for each spec: ✓ green, ✗ red, · not run yet."""


@dataclass
class Page:
    """A page: what stands at the top, what can be scrolled, and what stands at the bottom."""

    head: list[Text] = field(default_factory=list)
    body: list[Text] = field(default_factory=list)
    foot: list[Text] = field(default_factory=list)

    def lines(self, height: int, top: int) -> tuple[list[Text], int]:
        """The lines that fit into a terminal, and the first line of the body that is seen."""
        room = max(1, height - len(self.head) - len(self.foot))
        top = max(0, min(top, len(self.body) - room))
        seen = self.body[top : top + room]
        left = len(self.body) - top - room
        if left > 0:
            seen[-1] = Text(f"… {left + 1} more lines below: ↓ or space", "dim")
        filled = [*seen, *([Text()] * (room - len(seen)))]
        return [*self.head, *filled, *self.foot][:height], top


def page_of(state: State, console: Console, width: int) -> Page:
    """The page that the state asks for."""
    match state.page:
        case "hints":
            lines = list(_hints(state, width))
        case "board":
            lines = list(_board(state))
        case "help":
            lines = _plain(HELP)
        case "card":
            lines = _card(state, console, width)
        case _:
            lines = list(_verdict(state, width))
    notice = _wrapped(state.notice, width) if state.notice else []
    keys = KEYS if state.page in ("verdict", "hints") else BACK
    foot = [
        Text(),
        *(Text(line, "yellow") for line in notice),
        *(Text(line, "dim") for line in _in_lines(keys, width)),
    ]
    return Page(_head(state, width), lines, foot)


def _head(state: State, width: int) -> list[Text]:
    score, kata = state.score, state.kata
    light = score.run().light if score.ran and not state.running else ""
    first = Text()
    first.append(f"● {light or 'running':<7}", STYLES[light] if light else "cyan")
    first.append(f"  {kata.number}  {kata.title}", "bold")
    second = Text(f"  {words.marks(score)}  {words.count(score)}")
    if state.ms is not None and not state.running:
        second.append(f"  {state.ms / 1000:.2f} s", "dim")
    for line in (first, second):
        line.truncate(width, overflow="ellipsis")
    return [first, second, Text()]


def _verdict(state: State, width: int) -> Iterator[Text]:
    if state.trouble:
        yield Text("The specs cannot run:", "bold red")
        yield from _plain(state.trouble)
        yield Text("It goes on when a file is saved.", "dim")
        return
    first = state.first
    if first is None:
        if state.seen.ran and (not state.running or state.seen is state.before):
            yield from _green(state, width)
        return
    if first.light == "grey":
        yield from _not_begun(state, first, width)
    else:
        yield Text(f"✗ {first.sentence}", "bold red")
        yield from _failure(first, width)
    yield from _others(state)


def _green(state: State, width: int) -> Iterator[Text]:
    first, *others = words.what_next(state)
    yield Text(first, "bold green")
    for line in others:
        yield from (Text(part) for part in _wrapped(line, width))
    yield Text()
    yield Text("n goes on", "dim")


def _not_begun(state: State, first: Failure, width: int) -> Iterator[Text]:
    yield Text("Not begun yet.", "bold")
    yield Text(f"  read     c, or {shown(state.kata.card)}")
    yield Text(f"  fill in  {shown(state.kata.stub)}")
    yield Text(f"  until    {first.sentence}")
    yield Text()
    yield from _failure(first, width)


def _failure(found: Failure, width: int) -> Iterator[Text]:
    if found.why:
        yield from (Text(f"  {line}", "dim") for line in _wrapped(found.why, width - 2))
        yield Text()
    for line, style in render.shown(found, min(width, 110)):
        yield Text(line, STYLES[style])


def _others(state: State) -> Iterator[Text]:
    """The titles of the specs that are red as well."""
    red = [name for name, passed in state.seen.marks.items() if passed is False][1:]
    if red:
        yield Text()
        yield Text(f"{len(red)} more red", "dim")
        for name in red:
            yield Text(f"✗ {title_of(name)}", "dim")


def _hints(state: State, width: int) -> Iterator[Text]:
    hints = state.kata.hints
    for number, hint in enumerate(hints[: state.hints], 1):
        yield Text(f"hint {number} of {len(hints)}", "bold")
        yield from (Text(f"  {line}") for line in _wrapped(hint, min(width, 100) - 2))
        yield Text()
    if state.hints < len(hints):
        yield Text("h shows one more, esc goes back", "dim")


def _board(state: State) -> Iterator[Text]:
    for name, kata in state.katas.items():
        light = state.lights.get(name, "grey")
        line = Text()
        line.append(f"● {light:<7}", STYLES[light])
        line.append(f"  {kata.number}  {kata.title}", "bold" if name == state.kata.name else "")
        yield line


def _card(state: State, console: Console, width: int) -> list[Text]:
    try:
        card = state.kata.card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [Text(f"{shown(state.kata.card)}: {error}", "red")]
    options = console.options.update(width=min(width, 100))
    lines = console.render_lines(Markdown(card, hyperlinks=False), options, pad=False)
    return [
        Text.assemble(*((s.text, s.style or "") for s in line if not s.control)) for line in lines
    ]


def _in_lines(keys: Sequence[str], width: int) -> list[str]:
    """The keys in as few lines as they fit into."""
    lines = [""]
    for key in keys:
        longer = f"{lines[-1]}  {key}" if lines[-1] else key
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(key)
    return lines


def _plain(text: str) -> list[Text]:
    return [Text(line) for line in text.splitlines()]


def _wrapped(text: str, width: int) -> list[str]:
    return list(render.Detail(text).wrapped(width, ""))
