"""Each import has a file with its state, replaced whole, and another one that says stop; SQL on connections."""

import csv
import io
import json
import logging
import os
import threading
from typing import Any
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response, UploadFile
from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BATCH = 10

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Stock(Base):
    __tablename__ = "inventory"

    sku: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]


Base.metadata.create_all(engine)

app = FastAPI()


os.makedirs("imports", exist_ok=True)
last_word = threading.Lock()  # nobody says stop while the task says that it is done
INSERT = text(
    "INSERT INTO inventory (sku, quantity) VALUES (:sku, :quantity)"
    " ON CONFLICT (sku) DO UPDATE SET quantity = excluded.quantity"
)


class Import:
    def __init__(self, id: str) -> None:
        self.id = id
        self.file = os.path.join("imports", f"{id}.json")
        self.stop = os.path.join("imports", f"{id}.stop")

    def read(self) -> dict[str, Any]:
        with open(self.file, encoding="utf-8") as file:
            state = json.load(file)
        if state["status"] in ("queued", "running") and os.path.exists(self.stop):
            state["status"] = "cancelling"
        return state

    def write(self, status: str, done: int, total: int | None, error: str | None = None) -> None:
        state = {
            "import_id": self.id,
            "status": status,
            "done": done,
            "total": total,
            "error": error,
        }
        with open(f"{self.file}.new", "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.replace(f"{self.file}.new", self.file)


def known(id: str) -> Import:
    job = Import(id)
    if not id.isalnum() or not os.path.exists(job.file):
        raise HTTPException(404, "unknown")
    return job


def run_import(job: Import, upload: bytes) -> None:
    done, total = 0, None
    try:
        rows = list(csv.DictReader(io.StringIO(upload.decode("utf-8-sig"), newline="")))
        if not upload.decode("utf-8-sig").startswith("sku,quantity"):
            raise ValueError("there is no header")
        total = len(rows)
        job.write("running", done, total)
        batch: list[dict[str, Any]] = []
        for number, row in enumerate(rows, start=1):
            quantity = row["quantity"] or ""
            if not (row["sku"] and quantity.isascii() and quantity.isdecimal()):
                raise ValueError(f"line {number + 1} is not a sku and a quantity")
            batch.append({"sku": row["sku"], "quantity": int(quantity)})
            if len(batch) == BATCH or number == total:
                if os.path.exists(job.stop):
                    break
                with engine.begin() as connection:
                    connection.execute(INSERT, batch)
                done += len(batch)
                batch = []
                job.write("running", done, total)
        with last_word:
            job.write("cancelled" if os.path.exists(job.stop) else "done", done, total)
    except Exception as error:
        log.exception("import %s", job.id)
        job.write("failed", done, total, str(error))


@app.post("/imports", status_code=202)
def create_import(file: UploadFile, response: Response, tasks: BackgroundTasks) -> dict[str, str]:
    job = Import(uuid4().hex)
    job.write("queued", 0, None)
    tasks.add_task(run_import, job, file.file.read())
    response.headers["Location"] = f"/imports/{job.id}"
    return {"import_id": job.id}


@app.get("/imports/{id}")
def read_import(id: str) -> dict[str, Any]:
    return known(id).read()


@app.delete("/imports/{id}", status_code=202)
def cancel_import(id: str) -> dict[str, Any]:
    job = known(id)
    with last_word:
        if job.read()["status"] in ("done", "failed", "cancelled"):
            raise HTTPException(409, "too late")
        open(job.stop, "w").close()
        return job.read()
