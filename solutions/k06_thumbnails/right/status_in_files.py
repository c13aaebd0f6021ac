"""The original and its status are files, so that any worker process can answer for them."""

import json
import logging
import os
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps

THUMBNAILS = Path("thumbnails")
PHOTOS = Path("photos")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000
PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}

logger = logging.getLogger("kata")

app = FastAPI()


def set_status(photo_id: str, status: str) -> None:
    PHOTOS.mkdir(exist_ok=True)
    new = PHOTOS / f"{photo_id}.new"
    new.write_text(json.dumps({"status": status}), encoding="utf-8")
    os.replace(new, PHOTOS / f"{photo_id}.json")


def make_thumbnail(photo_id: str) -> None:
    """Write the thumbnail of `photos/<photo_id>` to `thumbnails/<photo_id>.png`."""
    try:
        with Image.open(PHOTOS / photo_id) as photo:
            if photo.width * photo.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            ImageOps.exif_transpose(photo, in_place=True)
            photo.thumbnail(MAX_SIZE)
            thumbnail = photo if photo.mode in PNG_MODES else photo.convert("RGBA")
            THUMBNAILS.mkdir(exist_ok=True)
            thumbnail.save(THUMBNAILS / f"{photo_id}.png")
    except Exception:
        logger.exception("no thumbnail for %s", photo_id)
        set_status(photo_id, "failed")
    else:
        set_status(photo_id, "done")


@app.post("/photos", status_code=202)
def upload_photo(file: UploadFile, background_tasks: BackgroundTasks) -> dict[str, str]:
    photo_id = uuid4().hex
    set_status(photo_id, "queued")
    (PHOTOS / photo_id).write_bytes(file.file.read())
    background_tasks.add_task(make_thumbnail, photo_id)
    return {"photo": photo_id, "status": "queued"}


@app.get("/photos/{photo_id}")
def read_photo(photo_id: str) -> dict[str, str | None]:
    try:
        status = json.loads((PHOTOS / f"{photo_id}.json").read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError):
        raise HTTPException(404, "no such photo") from None
    thumbnail = f"{THUMBNAILS}/{photo_id}.png" if status == "done" else None
    return {"photo": photo_id, "status": status, "thumbnail": thumbnail}
