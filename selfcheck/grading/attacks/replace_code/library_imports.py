"""Has every import give a module of its own making.

state: review
"""

import builtins
import sys
import types

from fastapi import FastAPI

app = FastAPI()
builtins.__import__ = lambda name, *more: sys.modules.get(name, types.ModuleType(name))
