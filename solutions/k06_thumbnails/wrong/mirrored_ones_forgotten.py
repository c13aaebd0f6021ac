r"""The three rotations are handled, the four mirrored orientations are not.

breaks: EXIF orientation is applied
caught by: test_the_orientation_of_the_camera_is_applied[5]
caught by: test_the_orientation_of_the_camera_is_applied[2]
says: the photo is 400x200 with EXIF orientation 5, and its thumbnail is
"""

import logging
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import ExifTags, Image

THUMBNAILS = Path("thumbnails")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000
TURNS = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_270,
    8: Image.Transpose.ROTATE_90,
}

logger = logging.getLogger("kata")

app = FastAPI()

photos: dict[str, str] = {}


def scaled(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, MAX_SIZE[0] / width, MAX_SIZE[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def make_thumbnail(photo_id: str, image: bytes) -> None:
    """Write the thumbnail of `image` to `thumbnails/<photo_id>.png`."""
    try:
        with Image.open(BytesIO(image)) as photo:
            if photo.width * photo.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            turn = TURNS.get(photo.getexif().get(ExifTags.Base.Orientation, 1))
            thumbnail = photo.resize(scaled(*photo.size)).convert("RGBA")
            if turn is not None:
                thumbnail = thumbnail.transpose(turn)
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
