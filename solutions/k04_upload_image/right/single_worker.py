"""A single asyncio worker of the lifespan makes all calls, one after the other; the task awaits its own."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from pathlib import Path

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


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.queue = asyncio.Queue()
    task = asyncio.create_task(worker(app.state.queue))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


app = FastAPI(lifespan=lifespan)


def store(path: str, status: str, result: str | None) -> None:
    with Session(engine) as session:
        session.add(ProcessedImage(path=path, status=status, result=result))
        session.commit()


async def process_image(image_path: str) -> None:
    status, result = "failed", None
    try:
        content = await anyio.Path(image_path).read_bytes()
        async with httpx.AsyncClient() as client:
            response = await client.post(AI_URL, files={"image": (Path(image_path).name, content)})
        response.raise_for_status()
        result = json.dumps(response.json())
        status = "done"
    except Exception:
        logger.exception("could not process %s", image_path)
    await run_in_threadpool(store, image_path, status, result)


async def worker(queue: asyncio.Queue) -> None:
    while True:
        done, path = await queue.get()
        try:
            await process_image(path)
        except Exception as error:
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(None)


async def enqueue(path: str) -> None:
    done = asyncio.get_running_loop().create_future()
    app.state.queue.put_nowait((done, path))
    await done


def last_part(filename: str | None) -> str:
    name = (filename or "").replace("\\", "/").rsplit("/", 1)[-1]
    if name in ("", ".", "..") or "\0" in name:
        raise HTTPException(422, "no file name")
    return name


def save(name: str, content: bytes) -> Path:
    UPLOADS.mkdir(exist_ok=True)
    path, number = UPLOADS / name, 1
    while True:
        try:
            with path.open("xb") as target:
                target.write(content)
            return path
        except FileExistsError:
            path = UPLOADS / f"{Path(name).stem}-{number}{Path(name).suffix}"
            number += 1


@app.post("/upload-image")
def upload_image(file: UploadFile, tasks: BackgroundTasks):
    path = save(last_part(file.filename), file.file.read())
    tasks.add_task(enqueue, path.as_posix())
    return {"filename": path.as_posix()}
