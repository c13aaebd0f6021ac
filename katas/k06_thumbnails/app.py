"""k06: image processing. The contract is in README.md beside this file."""

from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps

THUMBNAILS = Path("thumbnails")
MAX_SIZE = (128, 128)
MAX_PIXELS = 50_000_000

app = FastAPI()


def make_thumbnail(photo_id: str, image: bytes) -> None:
    """Write the thumbnail of `image` to `thumbnails/<photo_id>.png`."""
    raise NotImplementedError


@app.post("/photos", status_code=202)
def upload_photo(file: UploadFile):
    raise NotImplementedError


@app.get("/photos/{photo_id}")
def read_photo(photo_id: str):
    raise NotImplementedError
