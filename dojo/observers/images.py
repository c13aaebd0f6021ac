"""The observer of Pillow: when pixels are decoded, and image work on the event loop's thread."""

from __future__ import annotations

import functools
from typing import Any

from dojo.harness.current import current_exchange, current_timeline
from dojo.harness.holds import Hold

WORK = (
    "convert",
    "crop",
    "filter",
    "paste",
    "quantize",
    "reduce",
    "resize",
    "rotate",
    "save",
    "thumbnail",
    "transform",
    "transpose",
)


class ImageDecoder:
    """Where the images of one spec are decoded."""

    __slots__ = ("_dark", "_hold")

    def __init__(self) -> None:
        self._dark = False
        self._hold: Hold | None = None

    def go_dark(self) -> None:
        """From now on no pixels can be decoded, as if each file ended behind its header.

        A spec that only asks whether somebody tries to decode them has them at no cost.
        """
        self._dark = True

    def hold(self, limit: int = 1) -> Hold:
        """Hold the next `limit` images just before their pixels are decoded."""
        self._hold = Hold("the decoding of the image", limit)
        return self._hold

    def decoding(self, image: Any) -> None:
        """Note that pixels are decoded, and stop or fail it where a spec wants that."""
        timeline = current_timeline()
        if timeline is None or current_exchange() is None:
            return
        if self._hold is not None:
            self._hold.stop_here()
        timeline.record("decode", f"{image.width}x{image.height} {image.format}", blocking=True)
        if self._dark:
            raise OSError("image file is truncated (made so by this spec)")


_decoder: ImageDecoder | None = None


def use(image_decoder: ImageDecoder | None) -> None:
    """Make `image_decoder` the one in force."""
    global _decoder
    _decoder = image_decoder


def loading(load: Any) -> Any:
    """`ImageFile.load`, which says that pixels are decoded."""

    @functools.wraps(load)
    def noted_load(self: Any) -> Any:
        if _decoder is not None and self.tile:
            _decoder.decoding(self)
        return load(self)

    return noted_load


def noted(name: str, work: Any) -> Any:
    """`work`, which is noted where it keeps the event loop busy."""

    @functools.wraps(work)
    def noted_work(*args: Any, **kwargs: Any) -> Any:
        timeline = current_timeline()
        if timeline is not None and timeline.on_loop() and current_exchange() is not None:
            timeline.record("image", name, blocking=True)
        return work(*args, **kwargs)

    return noted_work
