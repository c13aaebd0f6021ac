"""What lies on the disk is the state: a temporary file renamed into place, or a marker that says failed."""

import logging
import os
import tempfile
from io import BytesIO
from pathlib import Path
from uuid import UUID, uuid4

from fastapi import BackgroundTasks, FastAPI, File, HTTPException
from PIL import Image, ImageOps

THUMBNAILS = Path("thumbnails")
MARKERS = Path("photos")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000

app = FastAPI()


def to_rgba(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda v: v * (1 / 256))
    if image.mode in ("I", "F"):
        image = image.convert("L")
    return image.convert("RGBA")


def make_thumbnail(photo_id: str, image: bytes) -> None:
    try:
        with Image.open(BytesIO(image)) as original:
            if original.size[0] * original.size[1] > MAX_PIXELS:
                raise ValueError("too large")
            small = to_rgba(ImageOps.exif_transpose(original))
            small.thumbnail(MAX_SIZE, Image.Resampling.BOX, reducing_gap=None)
        THUMBNAILS.mkdir(exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=THUMBNAILS, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as target:
                small.save(target, format="PNG")
            os.replace(unfinished, THUMBNAILS / f"{photo_id}.png")
        except BaseException:
            os.unlink(unfinished)
            raise
    except Exception:
        logging.getLogger("kata").exception("no thumbnail of %s", photo_id)
        (MARKERS / f"{photo_id}.failed").touch()


@app.post("/photos", status_code=202)
async def upload_photo(tasks: BackgroundTasks, file: bytes = File()):
    photo_id = str(uuid4())
    MARKERS.mkdir(exist_ok=True)
    (MARKERS / f"{photo_id}.queued").touch()
    tasks.add_task(make_thumbnail, photo_id, file)
    return {"photo": photo_id, "status": "queued"}


@app.get("/photos/{photo_id}")
def read_photo(photo_id: str):
    try:
        photo_id = str(UUID(photo_id))
    except ValueError:
        raise HTTPException(404, "unknown photo") from None
    thumbnail = THUMBNAILS / f"{photo_id}.png"
    if not (MARKERS / f"{photo_id}.queued").exists():
        raise HTTPException(404, "unknown photo")
    if thumbnail.exists():
        return {"photo": photo_id, "status": "done", "thumbnail": thumbnail.as_posix()}
    status = "failed" if (MARKERS / f"{photo_id}.failed").exists() else "queued"
    return {"photo": photo_id, "status": status, "thumbnail": None}
