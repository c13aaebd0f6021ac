"""The pixels are worked on in a thread, but the file is opened by the coroutine, on the event loop.

breaks: Work that blocks, such as Pillow, files and a database, never runs on the event loop
caught by: test_other_requests_are_answered_while_a_photo_is_decoded
says: work on images or files was done on the event loop
"""

import asyncio
import logging
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps

THUMBNAILS = Path("thumbnails")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000
PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}

logger = logging.getLogger("kata")

app = FastAPI()

photos: dict[str, str] = {}


def render(photo_id: str, photo: Image.Image) -> None:
    """Write the thumbnail of `image` to `thumbnails/<photo_id>.png`."""
    thumbnail = ImageOps.exif_transpose(photo)
    thumbnail.thumbnail(MAX_SIZE)
    if thumbnail.mode not in PNG_MODES:
        thumbnail = thumbnail.convert("RGB")
    THUMBNAILS.mkdir(exist_ok=True)
    thumbnail.save(THUMBNAILS / f"{photo_id}.png")


async def make_thumbnail(photo_id: str, image: bytes) -> None:
    try:
        with Image.open(BytesIO(image)) as photo:
            if photo.width * photo.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            await asyncio.to_thread(render, photo_id, photo)
    except Exception:
        logger.exception("no thumbnail for %s", photo_id)
        photos[photo_id] = "failed"
    else:
        photos[photo_id] = "done"


@app.post("/photos", status_code=202)
async def upload_photo(file: UploadFile, background_tasks: BackgroundTasks) -> dict[str, str]:
    photo_id = str(uuid4())
    photos[photo_id] = "queued"
    background_tasks.add_task(make_thumbnail, photo_id, await file.read())
    return {"photo": photo_id, "status": "queued"}


@app.get("/photos/{photo_id}")
async def read_photo(photo_id: str) -> dict[str, str | None]:
    status = photos.get(photo_id)
    if status is None:
        raise HTTPException(404, "no such photo")
    thumbnail = f"{THUMBNAILS}/{photo_id}.png" if status == "done" else None
    return {"photo": photo_id, "status": status, "thumbnail": thumbnail}
