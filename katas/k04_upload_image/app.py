"""k04: an async task that calls an AI service. The contract is in README.md beside this file."""

import json
import logging
from pathlib import Path, PurePosixPath, PureWindowsPath

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


async def process_image(image_path: str) -> None:
    """Have the AI service look at the file, and store what it says."""
    raise NotImplementedError


@app.post("/upload-image")
def upload_image(file: UploadFile):
    raise NotImplementedError
