"""Methods that are done in the solution's process, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dojo.grading.remote.link import HOST, Link, Part
from dojo.grading.remote.messages import HoldData
from dojo.harness.current import ExchangeState
from dojo.harness.holds import LONGER, SECONDS, Hold, until


class RemoteHold(Hold):
    """A hold in the solution's process."""

    def __init__(self, link: Link, number: int) -> None:
        self.number = number
        self.overdue = False
        self._link = link
        self._let_go = False

    def _state(self) -> HoldData:
        found: HoldData = self._link.ask(HoldData, "state_of", self.number)
        return found

    @property
    def what(self) -> str:  # type: ignore[override]
        """What it holds, in words."""
        return self._state().what

    @property
    def reached(self) -> int:  # type: ignore[override]
        """How much has arrived at it."""
        return self._state().reached

    @property
    def on_loop(self) -> bool:  # type: ignore[override]
        """Whether what it should hold was on the event loop's thread."""
        return self._state().on_loop

    @property
    def released(self) -> bool:
        """Whether the spec has released it."""
        return self._let_go

    def release(self) -> None:
        """Let go on what it has stopped."""
        self._let_go = True
        if not self._link.gone:
            self._link.ask(None, "release", on=("hold", self.number))
            self.overdue = self.overdue or self._state().overdue

    async def until_reached(self, count: int = 1) -> None:
        """Wait until `count` of what is held have arrived."""
        self._link.ask(None, "until_reached", count, on=("hold", self.number))

    def pass_on_loop(self) -> None:
        """Note that what should be held is on the event loop's thread, and let it through."""
        self._link.notice(self.number, None, True, "")

    async def stop_here_async(self, by: ExchangeState | None = None, started: str = "") -> None:
        """Stop a mail, in the mail server itself."""
        if self._let_go:
            return
        if self._link.notice(self.number, by.number if by else None, False, started):
            released = await until(lambda: self._let_go, LONGER * SECONDS)
            self.overdue = self.overdue or not released


class Later(list[Any]):
    """A list in the solution's process, as it is when somebody looks."""

    def __init__(self, ask: Callable[[], list[Any]]) -> None:
        super().__init__()
        self._ask = ask

    def _looked(self) -> list[Any]:
        self[:] = self._ask()
        return list(super().__iter__())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._looked())

    def __len__(self) -> int:
        return len(self._looked())

    def __bool__(self) -> bool:
        return bool(self._looked())

    def __eq__(self, other: object) -> bool:
        return self._looked() == other

    def __repr__(self) -> str:
        return repr(self._looked())

    __hash__ = None


class asked:  # noqa: N801
    """A method that is done there: `name = asked(kind)` in the class of a part.

    Its result must be a `kind`, or is a hold where that is `RemoteHold`.
    """

    def __init__(self, kind: Any = None, *, of_host: bool = False) -> None:
        self.kind = kind
        self.of_host = of_host
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, part: Any, owner: type) -> Any:
        link: Link = part.link
        on: Part = HOST if self.of_host else part.part

        def ask(*args: Any, **options: Any) -> Any:
            if self.kind is RemoteHold:
                return RemoteHold(link, link.ask(int, self.name, *args, on=on, **options))
            return link.ask(self.kind, self.name, *args, on=on, **options)

        return ask


class asked_async(asked):  # noqa: N801
    """The same for a method that is awaited."""

    def __get__(self, part: Any, owner: type) -> Any:
        ask = super().__get__(part, owner)

        async def ask_async(*args: Any, **options: Any) -> Any:
            return ask(*args, **options)

        return ask_async
