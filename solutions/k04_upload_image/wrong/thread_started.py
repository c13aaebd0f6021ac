"""A thread is started in the endpoint, and nobody waits for it.

breaks: after the response; no thread outlives the exchange
caught by: test_the_service_is_called_only_after_the_response
caught by: test_other_requests_are_answered_while_the_service_thinks
says: it ran in a thread that was started
"""

import logging
import shutil
import threading
from pathlib import Path, PurePosixPath
from uuid import uuid4

import httpx
from fastapi import FastAPI, HTTPException, UploadFile
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


async def process_image(image_path: str) -> None:
    """Have the AI service look at the file, and store what it says."""
    await run_in_threadpool(ask_and_store, image_path)


def ask_and_store(image_path: str) -> None:
    row = ProcessedImage(path=image_path, status="failed", result=None)
    try:
        with open(image_path, "rb") as image, httpx.Client(timeout=30) as client:
            response = client.post(AI_URL, files={"image": image})
        response.raise_for_status()
        response.json()
    except (httpx.HTTPError, ValueError):
        logger.exception("%s was not processed", image_path)
    else:
        row.status, row.result = "done", response.text
    with Session(engine) as session:
        session.add(row)
        session.commit()


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
def upload_image(file: UploadFile) -> dict[str, str]:
    filename = save(file)
    threading.Thread(target=ask_and_store, args=(filename,)).start()
    return {"filename": filename}
