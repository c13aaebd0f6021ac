"""A worker thread that the lifespan starts makes the thumbnails, and the task waits for its job."""

import logging
import queue
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps

THUMBNAILS = Path("thumbnails")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000


@dataclass
class Job:
    image: bytes
    photo: str = field(default_factory=lambda: uuid4().hex)
    status: str = "queued"
    finished: threading.Event = field(default_factory=threading.Event)

    def shown(self) -> dict:
        status = self.status
        thumbnail = f"thumbnails/{self.photo}.png" if status == "done" else None
        return {"photo": self.photo, "status": status, "thumbnail": thumbnail}


jobs: dict[str, Job] = {}
waiting: queue.Queue[Job | None] = queue.Queue()


def make_thumbnail(photo_id: str, image: bytes) -> None:
    with Image.open(BytesIO(image)) as picture:
        pixels = picture.width * picture.height
        if pixels > MAX_PIXELS:
            raise ValueError(f"{pixels} pixels are too many")
        picture.thumbnail(MAX_SIZE) if picture.format == "JPEG" else None
        picture = ImageOps.exif_transpose(picture)
        if picture.mode[:4] == "I;16":
            picture = picture.convert("I").point(lambda v: v * (1 / 256))
        if picture.mode in ("I", "F"):
            picture = picture.convert("L")
        picture = picture.convert("RGBA")
        picture.thumbnail(MAX_SIZE)
        THUMBNAILS.mkdir(exist_ok=True)
        picture.save(THUMBNAILS / f"{photo_id}.png", "PNG")


def work() -> None:
    while (job := waiting.get()) is not None:
        try:
            make_thumbnail(job.photo, job.image)
            job.status = "done"
        except Exception:
            logging.getLogger("kata").exception("photo %s", job.photo)
            job.status = "failed"
        finally:
            job.image = b""
            job.finished.set()


@asynccontextmanager
async def lifespan(app: FastAPI):
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    yield
    waiting.put(None)
    worker.join()


app = FastAPI(lifespan=lifespan)


def hand_over(job: Job) -> None:
    waiting.put(job)
    job.finished.wait()


@app.post("/photos", status_code=202)
def upload_photo(file: UploadFile, tasks: BackgroundTasks):
    job = Job(file.file.read())
    jobs[job.photo] = job
    tasks.add_task(hand_over, job)
    return {"photo": job.photo, "status": "queued"}


@app.get("/photos/{photo_id}")
def read_photo(photo_id: str):
    if (job := jobs.get(photo_id)) is None:
        raise HTTPException(404, "unknown photo")
    return job.shown()
