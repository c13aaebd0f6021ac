"""Only a JPEG comes from a camera, somebody thought; a PNG keeps lying on its side.

breaks: The EXIF orientation is applied.
caught by: test_the_orientation_is_applied_once_in_any_mode_and_format[RGB-PNG]
caught by: test_the_orientation_is_applied_once_in_any_mode_and_format[RGBA-PNG]
says: the photo is 400x200 with EXIF orientation 6, and its thumbnail is
"""

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


def make_thumbnail(photo_id: str, image: bytes) -> None:
    """Write the thumbnail of `image` to `thumbnails/<photo_id>.png`."""
    try:
        with Image.open(BytesIO(image)) as photo:
            if photo.width * photo.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            if photo.format == "JPEG":
                ImageOps.exif_transpose(photo, in_place=True)
            photo.thumbnail(MAX_SIZE)
            thumbnail = photo if photo.mode in PNG_MODES else photo.convert("RGBA")
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
    photos[photo_id] = "queued"
    background_tasks.add_task(make_thumbnail, photo_id, file.file.read())
    return {"photo": photo_id, "status": "queued"}


@app.get("/photos/{photo_id}")
def read_photo(photo_id: str) -> dict[str, str | None]:
    status = photos.get(photo_id)
    if status is None:
        raise HTTPException(404, "no such photo")
    thumbnail = f"{THUMBNAILS}/{photo_id}.png" if status == "done" else None
    return {"photo": photo_id, "status": status, "thumbnail": thumbnail}
