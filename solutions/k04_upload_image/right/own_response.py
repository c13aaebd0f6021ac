"""An async endpoint that writes the file with anyio and returns its own response with the task."""

import json
import logging
from pathlib import Path, PurePosixPath, PureWindowsPath

import anyio
import httpx
from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

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


async def save(upload: UploadFile) -> str:
    """Write the upload to a new file in `uploads/`, and give its path."""
    name = PureWindowsPath(PurePosixPath(upload.filename or "").name).name
    if name in ("", ".."):
        raise HTTPException(422, "The file needs a name.")
    folder = anyio.Path(UPLOADS)
    await folder.mkdir(exist_ok=True)
    candidate, number = name, 1
    while True:
        try:
            target = await anyio.open_file(folder / candidate, "xb")
        except FileExistsError:
            number += 1
            candidate = f"{number}-{name}"
            continue
        async with target:
            while chunk := await upload.read(1024 * 1024):
                await target.write(chunk)
        return f"{UPLOADS}/{candidate}"


@app.post("/upload-image")
async def upload_image(file: UploadFile) -> JSONResponse:
    filename = await save(file)
    return JSONResponse({"filename": filename}, background=BackgroundTask(process_image, filename))
