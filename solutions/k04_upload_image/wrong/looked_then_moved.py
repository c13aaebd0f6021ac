r"""It looks whether the name is free, and then moves the upload there: of two at the same moment one is lost.

breaks: Two uploads of one name do not overwrite each other, also at the same moment.
caught by: test_two_uploads_of_one_name_at_the_same_moment_get_two_paths[uploads/cat.png]
says: both got the name uploads/cat\.png
"""

import json
import logging
import shutil
from pathlib import Path, PurePosixPath
from uuid import uuid4

import anyio
import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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
    with Session(engine) as session:
        session.add(ProcessedImage(path=image_path, status=status, result=result))
        session.commit()


async def process_image(image_path: str) -> None:
    """Have the AI service look at the file, and store what it says."""
    image = await anyio.Path(image_path).read_bytes()
    try:
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.post(AI_URL, files={"image": image})
        result = json.dumps(response.raise_for_status().json())
    except (httpx.HTTPError, ValueError) as error:
        logger.warning("%s was not processed: %r", image_path, error)
        await run_in_threadpool(store_result, image_path, "failed", None)
    else:
        await run_in_threadpool(store_result, image_path, "done", result)


def save(upload: UploadFile) -> str:
    """Write the upload to a new file in `uploads/`, and give its path."""
    name = PurePosixPath((upload.filename or "").replace("\\", "/")).name
    if name in ("", ".."):
        raise HTTPException(422, "The file needs a name.")
    UPLOADS.mkdir(exist_ok=True)
    path = UPLOADS / name
    draft = UPLOADS / uuid4().hex
    with draft.open("xb") as target:
        shutil.copyfileobj(upload.file, target)
    if path.exists():
        path = path.with_stem(draft.name)
    draft.replace(path)
    return path.as_posix()


@app.post("/upload-image")
def upload_image(file: UploadFile, background_tasks: BackgroundTasks) -> dict[str, str]:
    filename = save(file)
    background_tasks.add_task(process_image, filename)
    return {"filename": filename}
