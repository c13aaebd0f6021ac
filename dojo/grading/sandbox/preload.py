"""What every trial needs, imported and computed once: a process that has imported this is worth
forking from."""

import asyncio
import gc
import mimetypes

import aiosmtpd.smtp  # noqa: F401
import anyio.lowlevel
import email_validator  # noqa: F401
import freezegun  # noqa: F401
import pydantic.v1  # noqa: F401
import pytest_asyncio.plugin  # noqa: F401
import pytest_timeout  # type: ignore[import-untyped]  # noqa: F401
import python_multipart  # noqa: F401
import sqlalchemy.dialects.sqlite
import sqlalchemy.orm  # noqa: F401
from PIL import Image

mimetypes.init()
Image.preinit()
anyio.get_available_backends()
asyncio.run(anyio.lowlevel.checkpoint())

# What is here now stays: a fork must not copy every page that a garbage collection would touch.
gc.collect()
gc.freeze()
