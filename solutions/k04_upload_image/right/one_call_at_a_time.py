"""The service is called for one image at a time; the others wait for their turn in their tasks."""

import asyncio
import json
import logging
from pathlib import Path, PurePosixPath, PureWindowsPath

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

one_at_a_time = asyncio.Semaphore(1)


class Problem(Exception):
    pass


async def ask(path):
    data = await asyncio.to_thread(Path(path).read_bytes)
    async with asyncio.timeout(60):
        async with httpx.AsyncClient() as client:
            response = await client.post(
                AI_URL,
                files={"image": (Path(path).name, data, "application/octet-stream")},
                timeout=httpx.Timeout(20, connect=5),
            )
    if response.is_error:
        raise Problem(f"{response.status_code}")
    return response.json()


async def process_image(image_path: str) -> None:
    status, result = "failed", None
    try:
        async with one_at_a_time:
            result = json.dumps(await ask(image_path))
        status = "done"
    except (httpx.HTTPError, Problem, ValueError, OSError, TimeoutError):
        logger.exception("image %s", image_path)

    def save():
        with engine.begin() as c:
            c.execute(
                ProcessedImage.__table__.insert().values(
                    path=image_path, status=status, result=result
                )
            )

    await asyncio.to_thread(save)


@app.post("/upload-image")
async def upload_image(file: UploadFile, tasks: BackgroundTasks) -> dict[str, str]:
    name = PurePosixPath(PureWindowsPath(file.filename or "").as_posix()).name
    if not name or name == "..":
        raise HTTPException(status_code=422, detail="a name is needed")
    UPLOADS.mkdir(parents=True, exist_ok=True)
    target = UPLOADS / name
    stem, suffix = target.stem, target.suffix
    n = 0
    while True:
        try:
            async with await anyio.open_file(target, "xb") as out:
                while chunk := await file.read(64 * 1024):
                    await out.write(chunk)
            break
        except FileExistsError:
            n += 1
            target = UPLOADS / f"{stem}-{n}{suffix}"
    tasks.add_task(process_image, target.as_posix())
    return {"filename": target.as_posix()}
