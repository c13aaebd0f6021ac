"""Solutions trees, and the fresh loading of one solution."""

from __future__ import annotations

import contextlib
import io
import sys
import tokenize
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from fastapi import FastAPI

from dojo.catalogue import Kata
from dojo.harness import frames
from dojo.harness.time_limit import TimeLimitError, rung


class SolutionsNotFoundError(Exception):
    """A path that holds no solution at all; the message says what was looked for."""


@dataclass(eq=False)
class SolutionLoadError(Exception):
    """A solution that cannot be run: which file, which line (0: the whole file), and why."""

    file: Path
    line: int
    reason: str
    source: str = ""
    late: bool = False

    def __str__(self) -> str:
        file = frames.shown(self.file)
        where = f"{file}:{self.line}" if self.line else file
        shown = f": `{self.source.strip()}`" if self.source.strip() else ""
        return f"{where} does not load: {self.reason}{shown}"


@dataclass(frozen=True)
class Solutions:
    """Where the solution of each kata lies: a tree laid out like katas/, or one file.

    `diff` is what the one file was made from, where it is a mistake.
    """

    tree: Path
    kata: Kata | None = None
    single: Path | None = None
    diff: Path | None = None

    def file(self, kata: Kata) -> Path:
        """The file that holds the solution of `kata`; it need not exist."""
        if self.single is not None and kata == self.kata:
            return self.single
        return self.tree / kata.name / "app.py"

    def to_edit(self, kata: Kata) -> Path:
        """The file in which a person changes the solution of `kata`."""
        return self.diff if self.diff is not None and kata == self.kata else self.file(kata)


def find_solutions(path: Path, katas: dict[str, Kata]) -> Solutions:
    """The solutions that `path` names.

    A path is a tree, a checkout with such a `katas/`, the folder of one kata, or one file. A file
    belongs to the kata that its name or one of its folders begins with. Raises
    `SolutionsNotFoundError`.
    """
    path = path.resolve()
    if path.is_file():
        return _one_file(path, katas)
    for tree in (path, path / "katas"):
        if any((tree / name / "app.py").is_file() for name in katas):
            return Solutions(tree)
    if (path / "app.py").is_file() and _kata_named_in(path, katas) is not None:
        return _one_file(path / "app.py", katas)
    example = next(iter(katas), "k01_name")
    there = "has none" if path.is_dir() else "is not there"
    raise SolutionsNotFoundError(
        f"no solutions in {path}, which {there}: looked for files like "
        f"{Path(path.name or '.') / example / 'app.py'} (a folder laid out like katas/)"
    )


def _one_file(file: Path, katas: dict[str, Kata]) -> Solutions:
    kata = _kata_named_in(file, katas)
    if kata is None:
        example = next(iter(katas), "k01_name")
        raise SolutionsNotFoundError(
            f"no kata is named by {file}: put the file into a folder named like the kata "
            f"({Path(example) / file.name}), or begin its name with the kata's number"
        )
    return Solutions(kata.root / "katas", kata, file)


def _kata_named_in(path: Path, katas: dict[str, Kata]) -> Kata | None:
    for part in reversed(path.parts):
        number = part.partition("_")[0].partition(".")[0]
        for kata in katas.values():
            if part == kata.name or number == kata.number:
                return kata
    return None


_failures: dict[tuple[Path, int, int], SolutionLoadError] = {}
_compiled: dict[tuple[Path, int, int], CodeType] = {}
_late: set[tuple[Path, int, int]] = set()


def load_solution(kata: Kata, file: Path) -> ModuleType:
    """The solution's module, executed anew, with its `app`.

    A solution that failed is not executed again while its file stays the same. One that did not
    finish importing is tried twice, since the machine may have been busy.

    Raises `SolutionLoadError`.
    """
    if not file.is_file():
        raise SolutionLoadError(file, 0, "there is no such file")
    stat = file.stat()
    key = (file, stat.st_mtime_ns, stat.st_size)
    if key in _failures:
        raise _failures[key].with_traceback(None)
    try:
        if key not in _compiled:
            _compiled[key] = _compile(file)
        return _execute(_compiled[key], f"katas.{kata.name}.app", file)
    except SolutionLoadError as failure:
        if failure.late and key not in _late:
            _late.add(key)
        else:
            _failures[key] = failure
        raise


def unload(module: ModuleType) -> None:
    """Forget a solution's module."""
    sys.modules.pop(module.__name__, None)


def read_source(file: Path) -> str:
    """The text of a Python file in the encoding that it declares.

    Raises `SolutionLoadError`.
    """
    content = file.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise SolutionLoadError(file, 0, f"it is not UTF-8 text ({error})") from None


def _compile(file: Path) -> CodeType:
    source = read_source(file)
    if not source.strip():
        raise SolutionLoadError(file, 0, "it is empty; `dojo reset` brings the stub back")
    try:
        return compile(source, str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise SolutionLoadError(
            file, error.lineno or 0, f"{type(error).__name__}, {error.msg}", error.text or ""
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SolutionLoadError(file, 0, f"{type(error).__name__}, {error}") from None


def _execute(code: CodeType, name: str, file: Path) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
        _check_app(module, file)
    except SolutionLoadError:
        unload(module)
        raise
    except KeyboardInterrupt:
        unload(module)
        raise
    except BaseException as error:  # noqa: BLE001
        unload(module)
        raise _why_not(error, file) from None
    return module


def _check_app(module: ModuleType, file: Path) -> None:
    if not hasattr(module, "app"):
        raise SolutionLoadError(file, 0, "it has no `app`: say `app = FastAPI()` at the top level")
    if not isinstance(module.app, FastAPI):
        kind = type(module.app).__name__
        raise SolutionLoadError(file, 0, f"its `app` is a {kind}, and must be a FastAPI")


def _why_not(error: BaseException, file: Path) -> SolutionLoadError:
    overtime = error if isinstance(error, TimeLimitError) else rung()
    if overtime is not None:
        reason = f"it did not finish importing: {overtime.where}"
        return SolutionLoadError(file, overtime.line, reason, late=True)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file
    ]
    line, source = (frames[-1].lineno or 0, frames[-1].line or "") if frames else (0, "")
    if isinstance(error, SystemExit):
        return SolutionLoadError(
            file, line, "it stops the interpreter while it is imported", source
        )
    said = ""
    with contextlib.suppress(Exception):
        said = str(error).partition("\n")[0]
    return SolutionLoadError(file, line, f"{type(error).__name__}, {said[:300]}", source)
