"""The row says `done` from the start, and is brought up to date after the service has responded.

breaks: after the response the service is called; then the row has the status `done` and the JSON that came back
caught by: test_a_row_is_done_only_when_the_service_has_responded
says: the service was still thinking, and the row was `done`
"""

import asyncio
import json
import logging
import shutil
from pathlib import Path, PurePosixPath
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from sqlalchemy import create_engine, insert, update
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


def start(image_path: str) -> int:
    """Add a row for the image, and give its id."""
    with engine.begin() as connection:
        row = {"path": image_path, "status": "done", "result": None}
        return connection.execute(insert(ProcessedImage), row).inserted_primary_key[0]


def finish(row_id: int, status: str, result: str | None) -> None:
    """Write down how it ended."""
    with engine.begin() as connection:
        connection.execute(
            update(ProcessedImage)
            .where(ProcessedImage.id == row_id)
            .values(status=status, result=result)
        )


async def process_image(image_path: str) -> None:
    """Have the AI service look at the file, and store what it says."""
    row_id = await asyncio.to_thread(start, image_path)
    status, result = "failed", None
    try:
        image = await asyncio.to_thread(Path(image_path).read_bytes)
        name = Path(image_path).name
        async with httpx.AsyncClient() as client:
            response = await client.request("POST", AI_URL, files=[("image", (name, image))])
        if response.is_success:
            status, result = "done", json.dumps(response.json())
        else:
            logger.error("the service answered %s for %s", response.status_code, image_path)
    except Exception:
        logger.exception("%s was not processed", image_path)
    finally:
        await asyncio.to_thread(finish, row_id, status, result)


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
