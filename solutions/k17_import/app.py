"""Right because the task asks before each batch whether it may go on, and every way out sets a last status."""

import csv
import io
import logging
import re
import threading
from dataclasses import dataclass, field
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response, UploadFile
from sqlalchemy import create_engine
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


class BadFileError(Exception):
    """A file that cannot be imported, or not further; the message says why."""


def read_rows(content: bytes) -> list[list[str]]:
    """The rows behind the header. Raises `BadFileError`."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFileError(f"the file is not UTF-8: {error}") from None
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not rows or rows[0] != ["sku", "quantity"]:
        raise BadFileError("the first line is not the header sku,quantity")
    return rows[1:]


def check(row: list[str], line: int) -> dict[str, str | int]:
    """What is to be stored of a row. Raises `BadFileError`."""
    if len(row) != 2 or not row[0]:
        raise BadFileError(f"line {line}: a sku and a quantity are wanted")
    if not re.fullmatch("[0-9]+", row[1]):
        raise BadFileError(f"line {line}: {row[1]!r} is no whole number of 0 or more")
    return {"sku": row[0], "quantity": int(row[1])}


def store(batch: list[dict[str, str | int]]) -> None:
    """Commit one batch; a sku that is there is replaced."""
    statement = upsert(Stock)
    statement = statement.on_conflict_do_update(
        index_elements=["sku"], set_={"quantity": statement.excluded.quantity}
    )
    with Session(engine) as session:
        session.execute(statement, batch)
        session.commit()


@dataclass
class Import:
    """An import, and how far it is; `lock` guards `status`."""

    import_id: str
    status: str = "queued"
    done: int = 0
    total: int | None = None
    error: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def shown(self) -> dict[str, str | int | None]:
        """What a client sees."""
        with self.lock:
            return {
                "import_id": self.import_id,
                "status": self.status,
                "done": self.done,
                "total": self.total,
                "error": self.error,
            }

    def may_go_on(self) -> bool:
        """Whether nobody has asked to stop."""
        with self.lock:
            return self.status == "running"

    def end(self, status: str, error: str | None = None) -> None:
        """Set the last status; who asked to stop reads `cancelled`."""
        with self.lock:
            self.status = "cancelled" if self.status == "cancelling" else status
            self.error = error


imports: dict[str, Import] = {}


def find(id: str) -> Import:
    """The import of an id. Raises `HTTPException`."""
    if id not in imports:
        raise HTTPException(404, "no such import")
    return imports[id]


def run_import(job: Import, content: bytes) -> None:
    """Put the rows into `inventory`, batch by batch, until all are there or somebody says stop."""
    try:
        rows = read_rows(content)
        with job.lock:
            job.total = len(rows)
            if job.status == "queued":
                job.status = "running"
        for start in range(0, len(rows), BATCH):
            if not job.may_go_on():
                break
            lines = enumerate(rows[start : start + BATCH], start + 2)
            batch = [check(row, line) for line, row in lines]
            store(batch)
            job.done += len(batch)
        job.end("done")
    except BadFileError as error:
        log.warning("import %s: %s", job.import_id, error)
        job.end("failed", str(error))
    except Exception as error:
        log.exception("import %s", job.import_id)
        job.end("failed", repr(error))


@app.post("/imports", status_code=202)
def create_import(
    file: UploadFile, response: Response, background_tasks: BackgroundTasks
) -> dict[str, str | int | None]:
    job = Import(uuid4().hex)
    imports[job.import_id] = job
    background_tasks.add_task(run_import, job, file.file.read())
    response.headers["Location"] = f"/imports/{job.import_id}"
    return {"import_id": job.import_id}


@app.get("/imports/{id}")
def read_import(id: str) -> dict[str, str | int | None]:
    return find(id).shown()


@app.delete("/imports/{id}", status_code=202)
def cancel_import(id: str) -> dict[str, str | int | None]:
    job = find(id)
    with job.lock:
        if job.status in ("done", "failed", "cancelled"):
            raise HTTPException(409, f"the import is {job.status}")
        job.status = "cancelling"
    return job.shown()
