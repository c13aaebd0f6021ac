"""Whether the text of a solution is plain decides how many processes it has, and nothing else."""

from __future__ import annotations

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.sandbox.plain import is_plain
from selfcheck.projects import ROOT

pytestmark = pytest.mark.fast

KATAS = read_catalogue(ROOT).values()


@pytest.mark.parametrize("kata", KATAS, ids=[kata.number for kata in KATAS])
def test_a_reference_is_plain(kata):
    """So a class that has solved it is graded fast."""
    assert is_plain(kata.reference.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "import os.path, concurrent.futures\nfrom sqlalchemy.orm import Session",
        "from os import environ, replace\nimport re\nre.compile('a')",
        "import os\nos.environ['TZ'] = 'UTC'\nos.replace('a', 'b')",
        "class A:\n    def __init__(self):\n        super().__init__()\n        self.a = 1",
        "import fastapi\napp = fastapi.FastAPI()\napp.state.a = {}\napp.state.a['b'] = 1",
    ],
)
def test_what_many_programs_do_is_plain(text):
    assert is_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "import sys",
        "import subprocess",
        "import multiprocessing.pool",
        "import importlib",
        "from . import other",
        "import asyncio.subprocess",
        "from concurrent.futures import ProcessPoolExecutor",
        "import concurrent.futures\nconcurrent.futures.ProcessPoolExecutor()",
        "import os\nos.fork()",
        "from os import register_at_fork",
        "eval('1')",
        "a = __builtins__",
        "setattr(app, 'a', 1)",
        "().__class__.__base__",
        "import httpx\nhttpx.post = print",
        "import httpx as h\nh.Client.post = print",
        "from logging import root\nroot.seen = 1",
        "import json\njson.JSONEncoder.default.__dict__['a'] = 1",
        "import mimetypes\nmimetypes.types_map['.a'] = 'b'",
        "f().seen = 1",
        "import json\ndel json.dumps",
        "import gc",
        "a.__subclasses__()",
        "def f(:",
        "\udcff",
    ],
)
def test_what_may_outlive_a_spec_is_not_plain(text):
    assert not is_plain(text)
