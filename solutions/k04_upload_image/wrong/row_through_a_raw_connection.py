"""The row is written on the event loop, through a connection that is not SQLAlchemy's own.

breaks: Work that blocks never runs on the event loop inside a task.
caught by: test_the_task_does_not_block_the_event_loop
says: inside the async task something blocked the event loop
"""

import json
import logging
import shutil
from pathlib import Path, PurePosixPath
from uuid import uuid4

import anyio
import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UPLOADS = Path("uploads")
AI_URL = "https://ai-api.example.com/process"

logger = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class ProcessedImage(Base):
    __tablename__ = "processed_images"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str]
    status: Mapped[str]
    result: Mapped[str | None]


Base.metadata.create_all(engine)


app = FastAPI()


def store_result(image_path: str, status: str, result: str | None) -> None:
    """Add the image's row."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute(
            "INSERT INTO processed_images (path, status, result) VALUES (?, ?, ?)",
            (image_path, status, result),
        )
        connection.commit()
    finally:
        connection.close()


async def process_image(image_path: str) -> None:
    """Have the AI service look at the file, and store what it says."""
    image = await anyio.Path(image_path).read_bytes()
    try:
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.post(AI_URL, files={"image": image})
        result = json.dumps(response.raise_for_status().json())
    except (httpx.HTTPError, ValueError) as error:
        logger.warning("%s was not processed: %r", image_path, error)
        store_result(image_path, "failed", None)
    else:
        store_result(image_path, "done", result)


def save(upload: UploadFile) -> str:
    """Write the upload to a new file in `uploads/`, and give its path."""
    name = PurePosixPath((upload.filename or "").replace("\\", "/")).name
    if name in ("", ".."):
        raise HTTPException(422, "The file needs a name.")
    UPLOADS.mkdir(exist_ok=True)
    path = UPLOADS / name
    while True:
        try:
            with path.open("xb") as target:
                shutil.copyfileobj(upload.file, target)
        except FileExistsError:
            path = path.with_stem(uuid4().hex)
        else:
            return path.as_posix()


@app.post("/upload-image")
def upload_image(file: UploadFile, background_tasks: BackgroundTasks) -> dict[str, str]:
    filename = save(file)
    background_tasks.add_task(process_image, filename)
    return {"filename": filename}
