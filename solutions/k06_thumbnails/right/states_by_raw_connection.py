"""A generator yields the picture after each step, and the states go through `raw_connection()`."""

import io
import logging
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps
from sqlalchemy import create_engine

THUMBNAILS = Path("thumbnails")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000

engine = create_engine("sqlite:///shop.db", connect_args={"timeout": 30})


def run(statement: str, *values) -> list[tuple]:
    with closing(engine.raw_connection()) as connection:
        rows = connection.cursor().execute(statement, values).fetchall()
        connection.commit()
        return rows


run(
    "CREATE TABLE IF NOT EXISTS photos (id TEXT PRIMARY KEY, status TEXT NOT NULL DEFAULT 'queued') /* k06 */"
)

app = FastAPI()


def steps(image: bytes):
    """The picture, step by step; the last one is the thumbnail."""
    picture = Image.open(io.BytesIO(image))
    if picture.width * picture.height > MAX_PIXELS:
        raise OverflowError("too many pixels")
    yield (picture := ImageOps.exif_transpose(picture))
    if picture.mode.startswith("I;16"):
        yield (picture := picture.convert("I").point(lambda v: v * (1 / 256)).convert("L"))
    if picture.mode in ("I", "F"):
        yield (picture := picture.convert("L"))
    if picture.mode != "RGBA":
        yield (picture := picture.convert("RGBA"))
    factor = min(1, 128 / max(picture.size))
    yield picture.resize([max(1, round(side * factor)) for side in picture.size])


def make_thumbnail(photo_id: str, image: bytes) -> None:
    status = "failed"
    try:
        *_, thumbnail = steps(image)
        THUMBNAILS.mkdir(exist_ok=True)
        thumbnail.save(THUMBNAILS / (photo_id + ".png"))
        status = "done"
    except Exception as error:
        logging.getLogger("kata").error("photo %s: %s: %s", photo_id, type(error).__name__, error)
    run("UPDATE photos SET status = ? WHERE id = ?", status, photo_id)


@app.post("/photos", status_code=202)
def upload_photo(file: UploadFile, tasks: BackgroundTasks):
    photo_id = uuid4().hex
    run("INSERT INTO photos (id) VALUES (?)", photo_id)
    tasks.add_task(make_thumbnail, photo_id, file.file.read())
    return {"photo": photo_id, "status": "queued"}


@app.get("/photos/{photo_id}")
def read_photo(photo_id: str):
    rows = run(
        "SELECT status, CASE status WHEN 'done' THEN 'thumbnails/' || id || '.png' END FROM photos WHERE id = ?",
        photo_id,
    )
    if not rows:
        raise HTTPException(404, "unknown photo")
    return {"photo": photo_id, "status": rows[0][0], "thumbnail": rows[0][1]}
