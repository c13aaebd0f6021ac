"""Imports and initialises once what every solution needs, before a server forks."""

import asyncio
import gc
import mimetypes

import anyio.lowlevel
import email_validator  # noqa: F401
import freezegun  # noqa: F401
import pydantic.v1  # noqa: F401
import python_multipart  # noqa: F401
import sqlalchemy.dialects.sqlite
import sqlalchemy.orm  # noqa: F401
from PIL import Image

mimetypes.init()
Image.preinit()
anyio.get_available_backends()
asyncio.run(anyio.lowlevel.checkpoint())

# Exempt the objects that exist now: a collection after a fork would copy all their pages.
gc.collect()
gc.freeze()
