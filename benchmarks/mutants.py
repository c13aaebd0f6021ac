"""Lists small changes of right solutions that no spec notices (`python -m benchmarks.mutants`)."""

from __future__ import annotations

import argparse
import ast
import json
import signal
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.__main__ import say
from benchmarks.changes import ROOT, Mutant, mutants
from dojo.catalogue import Kata, read_catalogue
from dojo.grading.worker_pool import WorkerPool
from selfcheck.trial import run_trial
from selfcheck.trial_server import TrialPool

ROUNDS = (1, 5)  # the specs that killed most run first, in rounds up to these numbers


def words(file: Path) -> Counter[str]:
    """The names and kinds of syntax in a file, with their frequencies."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return Counter(str(getattr(n, "id", getattr(n, "attr", type(n).__name__))) for n in nodes)


def chosen(kata: Kata) -> list[Path]:
    """The reference, the right solution least like it, and the one least like these two."""
    folder = ROOT / "solutions" / kata.name
    taken = [folder / "app.py"]
    known = {file: words(file) for file in [*taken, *sorted(folder.glob("right/*.py"))]}

    def likeness(one: Path, other: Path) -> float:
        a, b = known[one], known[other]
        return (a & b).total() / (a | b).total()

    for _ in range(min(2, len(known) - 1)):
        rest = (file for file in known if file not in taken)
        taken.append(min(rest, key=lambda file: max(likeness(file, other) for other in taken)))
    return taken


def judged(
    worker_pool: WorkerPool, kata: Kata, mutant: Mutant, killers: Counter[str], scratch: Path
) -> dict[str, Any]:
    """The verdict of the specs on a mutant; the others are not run where the first are red."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", dir=scratch, encoding="utf-8") as file:
        file.write(mutant.source)
        file.flush()
        specs = [spec.partition("::")[2] for spec, _ in worker_pool.specs[kata.name]]
        specs.sort(key=lambda name: -killers[name])
        verdict: dict[str, Any] = {"outcome": "survived", "by": []}
        for begin, end in pairwise((0, *ROUNDS, len(specs))):
            trial = run_trial(worker_pool, kata, Path(file.name), tuple(specs[begin:end]))
            killers.update([*trial.red])
            if trial.red or trial.trouble:
                outcome = "killed" if trial.red else "unclear"
                verdict = {"outcome": outcome, "by": [*trial.red] or [trial.trouble]}
                break
    known = {key: getattr(mutant, key) for key in ("file", "line", "operator", "diff")}
    return {"kata": kata.name, **known, **verdict}


def table(results: list[dict[str, Any]]) -> str:
    """A line for each kata, and each mutant that is not killed."""
    lines = [f"{'kata':<24}{'mutants':>8}{'killed':>8}{'survived':>10}{'unclear':>9}"]
    for kata in sorted({one["kata"] for one in results}):
        of = Counter(one["outcome"] for one in results if one["kata"] == kata)
        numbers = f"{of.total():>8}{of['killed']:>8}{of['survived']:>10}{of['unclear']:>9}"
        lines.append(f"{kata:<24}{numbers}")
    for one in results:
        if one["outcome"] != "killed":
            lines += ["", f"{one['file']}:{one['line']} {one['outcome']} {one['operator']}"]
            lines += [*(one["by"]), one["diff"]]
    return "\n".join(lines)


def existing(name: str) -> Path:
    """The path of a file that must exist."""
    if not Path(name).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {name}")
    return Path(name)


def options() -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutants",
        description="Changes the reference and two other right solutions of each kata in one place "
        "at a time, and shows the changes that no spec notices. It is never a test.",
    )
    add = parser.add_argument
    add("katas", nargs="*", metavar="KATA", help="k03 or its whole name (default: all)")
    add("--only", type=existing, metavar="FILE", help="the mutants of FILE, a solution of one KATA")
    add("--jobs", type=int, default=2, metavar="N", help="mutants at the same time (default: 2)")
    add("--list", action="store_true", help="show the mutants, but try none")
    add("--out", type=Path, metavar="FILE", help="write the results to FILE too, as JSON")
    add(
        "--resume", type=existing, metavar="FILE", help="skip the mutants that FILE lists as killed"
    )
    asked = parser.parse_args()
    known = read_catalogue(ROOT).values()
    wanted = [
        kata for kata in known if {kata.name, kata.number} & {*asked.katas} or not asked.katas
    ]
    if len(wanted) < len(set(asked.katas)):
        parser.error(f"the katas are {', '.join(kata.name for kata in known)}")
    if asked.only and len(wanted) != 1:
        parser.error("--only needs the one KATA that FILE solves")
    asked.katas = wanted
    return asked


def main() -> None:
    """Try all mutants, and print the result."""
    asked = options()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell ignores it
    warnings.simplefilter("ignore", SyntaxWarning)
    pairs = [
        (kata, mutant)
        for kata in asked.katas
        for known in [set[str]()]  # code that two solutions share is changed once
        for file in ([asked.only.resolve()] if asked.only else chosen(kata))
        for mutant in mutants(file, known)
    ]
    if asked.list:
        print("\n\n".join(f"{m.file}:{m.line} {m.operator}\n{m.diff}" for _, m in pairs))
        return
    results: list[dict[str, Any]] = []
    if asked.resume:
        before = json.loads(asked.resume.read_text(encoding="utf-8"))
        dead = {one["diff"]: one for one in before if one["outcome"] == "killed"}
        results += [dead[mutant.diff] for _, mutant in pairs if mutant.diff in dead]
        pairs = [(kata, mutant) for kata, mutant in pairs if mutant.diff not in dead]
    killers: dict[str, Counter[str]] = {kata.name: Counter() for kata in asked.katas}
    with (
        tempfile.TemporaryDirectory(prefix="dojo-mutants-") as scratch,
        TrialPool(ROOT, asked.katas) as worker_pool,
        ThreadPoolExecutor(asked.jobs) as pool,
    ):
        begun = [
            pool.submit(judged, worker_pool, kata, mutant, killers[kata.name], Path(scratch))
            for kata, mutant in pairs
        ]
        try:
            for done in as_completed(begun):
                results.append(done.result())
                say(f"{len(results)} of {len(begun)}: {results[-1]['file']}")
        except KeyboardInterrupt:
            say("interrupted: these are the results so far")
            pool.shutdown(cancel_futures=True)
    say("")
    results.sort(key=lambda one: (one["kata"], one["file"], one["line"], one["diff"]))
    print(table(results))
    if asked.out:
        asked.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
