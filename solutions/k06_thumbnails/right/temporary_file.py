"""The upload goes into a temporary file of the system, from which Pillow reads it in a thread."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import IO
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps

THUMBNAILS = Path("thumbnails")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000

logger = logging.getLogger("kata")

app = FastAPI()

photos: dict[str, str] = {}


def make_thumbnail(photo_id: str, image: IO[bytes]) -> None:
    """Write the thumbnail of `image` to `thumbnails/<photo_id>.png`."""
    try:
        with image, Image.open(image) as photo:
            if photo.width * photo.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            thumbnail = ImageOps.exif_transpose(photo).convert("RGBA")
        thumbnail.thumbnail(MAX_SIZE)
        THUMBNAILS.mkdir(exist_ok=True)
        thumbnail.save(THUMBNAILS / f"{photo_id}.png")
    except Exception:
        logger.exception("no thumbnail for %s", photo_id)
        photos[photo_id] = "failed"
    else:
        photos[photo_id] = "done"


@app.post("/photos", status_code=202)
def upload_photo(file: UploadFile, background_tasks: BackgroundTasks) -> dict[str, str]:
    photo_id = uuid4().hex
    image = tempfile.TemporaryFile()
    shutil.copyfileobj(file.file, image)
    image.seek(0)
    photos[photo_id] = "queued"
    background_tasks.add_task(make_thumbnail, photo_id, image)
    return {"photo": photo_id, "status": "queued"}


@app.get("/photos/{photo_id}")
def read_photo(photo_id: str) -> dict[str, str | None]:
    status = photos.get(photo_id)
    if status is None:
        raise HTTPException(404, "no such photo")
    thumbnail = f"{THUMBNAILS}/{photo_id}.png" if status == "done" else None
    return {"photo": photo_id, "status": status, "thumbnail": thumbnail}
