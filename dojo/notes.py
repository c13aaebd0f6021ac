"""Small notes under `.dojo/`: each file is a JSON object, and is replaced as a whole."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read(file: Path) -> dict[str, Any]:
    """What was noted; nothing where there is no file, or a damaged one."""
    try:
        noted = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def write(file: Path, content: Mapping[str, Any], *, private: bool = False) -> None:
    """Write a whole file or none: others may read it at any time.

    A `private` file is for its owner alone. Raises `OSError`.
    """
    new = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        new.write_text(json.dumps(content), encoding="utf-8")
        if private:
            with contextlib.suppress(OSError):
                new.chmod(0o600)
        os.replace(new, file)
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
