"""`dojo completion`: what a shell needs to complete commands, options and katas with Tab."""

from __future__ import annotations

import argparse
from typing import Any

from dojo.commands.checkout import DONE, add_command

HOW = """\
once for all, and in each new shell from then on:

  bash        dojo completion bash >> ~/.bashrc
  zsh         dojo completion zsh >> ~/.zshrc
  fish        dojo completion fish > ~/.config/fish/completions/dojo.fish
  powershell  dojo completion powershell >> $PROFILE

Completion works where `dojo` can be typed: in the activated virtual environment.
"""


def add_to(commands: Any) -> None:
    """Add the command `completion` to the command line."""
    completion = add_command(
        commands,
        "completion",
        run,
        "completion with Tab for your shell",
        "Print what your shell needs to complete commands, options and katas with Tab.",
    )
    completion.epilog, completion.formatter_class = HOW, argparse.RawDescriptionHelpFormatter
    completion.add_argument("shell", choices=["bash", "zsh", "fish", "powershell"])


def run(asked: argparse.Namespace) -> int:
    """Print the code for a shell."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["dojo"], shell=asked.shell))
    return DONE
