"""What `dojo watch` does with specs that do not end, beyond the time limit of each spec."""

from __future__ import annotations

from typing import Any

from dojo.plugin.failures import Failure, title_of
from dojo.plugin.patience import NotRunError

# The limit of the harness is 5 s of a spec's own time, on a busy machine up to 20 s on the wall,
# and it needs a running interpreter: a regular expression without end has to be killed.
SECONDS = 30.0


def stopped(kata: str, spec: str, message: str) -> dict[str, Any]:
    """The outcome of a spec that ended the process it ran in, or had to be ended with it."""
    return _red(kata, spec, message, left_out=False)


def left_out(kata: str, spec: str) -> dict[str, Any]:
    """The outcome of a spec that is not run, because others of its kata did not end."""
    return _red(kata, spec, str(NotRunError()), left_out=True)


def _red(kata: str, spec: str, message: str, *, left_out: bool) -> dict[str, Any]:
    title = title_of(spec.rpartition("::")[2])
    found = Failure(kata, title, message=message, node=spec, left_out=left_out)
    return {
        "kata": kata,
        "spec": spec,
        "passed": False,
        "failure": found.write(),
        "late": not left_out,
        "seconds": 0.0,
    }
