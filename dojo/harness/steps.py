"""The steps of a task: each moment at which another request could see what it has done so far."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dojo.harness.environment import Environment
from dojo.harness.exchange import Exchange
from dojo.harness.holds import Hold, until


class Steps:
    """The steps of the tasks of an exchange."""

    __slots__ = ("_environment",)

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    async def of(self, exchange: Exchange, *, changes: str = "") -> AsyncIterator[str]:
        """Let an exchange that stopped at its response go on, and stop it before each step.

        A step is a statement or a commit, a change on the disk, or an image that is decoded; with
        `changes` only what changes this table. Yields the next step, in words. A block that uses
        the database or the disk must have finished with them before it asks for the next step.
        """
        holds = self._next(changes)
        exchange.release()
        try:
            while step := await _comes_to(exchange, holds):
                yield step
                # The next ones are there before it goes on, so that no step is missed.
                before, holds = holds, self._next(changes)
                for hold in before:
                    hold.release()
        finally:
            for hold in holds:
                hold.release()
        await exchange.until_finished()

    def _next(self, table: str) -> list[Hold]:
        if table:
            return [self._environment.database.hold_changes(table)]
        statement = self._environment.database.hold_step(0)
        statement.what = "a statement or a commit"
        return [
            statement,
            self._environment.disk.hold_step(),
            self._environment.image_decoder.hold(),
        ]


async def _comes_to(exchange: Exchange, holds: list[Hold]) -> str:
    """The next step of an exchange, in words; empty where it has finished."""

    def reached() -> list[str]:
        return [hold.what for hold in holds if hold.reached]

    await until(lambda: exchange.finished or bool(reached()))
    return next(iter(reached()), "")
