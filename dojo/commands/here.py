"""`dojo` alone: where the learner is, and what there is to do."""

from __future__ import annotations

import argparse

from dojo.commands import next_kata
from dojo.commands.checkout import DONE, telling
from dojo.commands.standing import current, standings


def _show(_asked: argparse.Namespace) -> int:
    katas = standings()
    standing = current(katas)
    done = sum(each.done for each in katas)
    if standing is None:
        print(f"All {len(katas)} katas are green.")
        number = katas[-1].kata.number
    else:
        next_kata.show(standing)
        number = standing.kata.number
        print(f"\n{done} of {len(katas)} katas green.")
    rows = [
        (f"dojo watch {number}", "run its specs each time you save"),
        (f"dojo hint {number}", "one more of its three hints"),
        (f"dojo run {number}", "the app on a real server, with its timeline live"),
        (f"dojo compare {number}", "what the reference does otherwise, once it is green"),
        (f"dojo reset {number}", "begin anew; your file is backed up"),
        ("dojo status", "the lights of all katas"),
        ("dojo --help", "all commands"),
    ]
    for command, what in rows:
        print(f"  {command:<18}  {what}")
    return DONE


run = telling("status", _show)
