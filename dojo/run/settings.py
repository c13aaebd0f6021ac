"""What the process that is the server has to know, as it is handed to it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field

VARIABLE = "DOJO_RUN"
# The services that have a stand-in.
NAMES = ("mail", "ai", "warehouse", "callbacks")


@dataclass(frozen=True)
class Settings:
    """One `dojo run`.

    `file` is the solution, `directory` the scratch folder that it runs in, and `typed_in` the
    folder that paths are shown from. `slow` says which stand-ins take how many seconds, and `fail`
    which of them fail. A `supervised` server is started anew when the file is saved. `keep` says
    that the folder stays.
    """

    root: str
    kata: str
    file: str
    directory: str
    typed_in: str
    url: str
    mail_port: int
    slow: dict[str, float] = field(default_factory=dict)
    fail: list[str] = field(default_factory=list)
    supervised: bool = True
    keep: bool = False

    def hand_over(self) -> None:
        """Have the processes that are started from now on know it."""
        os.environ[VARIABLE] = json.dumps(asdict(self))


def handed_over() -> Settings:
    """The settings that the process which started this one has handed over."""
    return Settings(**json.loads(os.environ[VARIABLE]))
