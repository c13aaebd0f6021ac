"""The status is a row, each step with a session of its own, so it outlives the process."""

import logging
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

THUMBNAILS = Path("thumbnails")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000
PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}

logger = logging.getLogger("kata")


class Base(DeclarativeBase):
    pass


class Photo(Base):
    __tablename__ = "photos"

    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]


engine = create_engine("sqlite:///shop.db")
Base.metadata.create_all(engine)

app = FastAPI()


def set_status(photo_id: str, status: str) -> None:
    with Session(engine) as session, session.begin():
        session.merge(Photo(id=photo_id, status=status))


def make_thumbnail(photo_id: str, image: bytes) -> None:
    """Write the thumbnail of `image` to `thumbnails/<photo_id>.png`."""
    try:
        with Image.open(BytesIO(image)) as photo:
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
    background_tasks.add_task(make_thumbnail, photo_id, file.file.read())
    return {"photo": photo_id, "status": "queued"}


@app.get("/photos/{photo_id}")
def read_photo(photo_id: str) -> dict[str, str | None]:
    with Session(engine) as session:
        photo = session.get(Photo, photo_id)
        if photo is None:
            raise HTTPException(404, "no such photo")
        status = photo.status
    thumbnail = f"{THUMBNAILS}/{photo_id}.png" if status == "done" else None
    return {"photo": photo_id, "status": status, "thumbnail": thumbnail}
