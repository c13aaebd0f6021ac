"""The state is a row of a table, and changes in one transaction with the rows of a batch."""

import csv
import io
import logging
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response, UploadFile
from sqlalchemy import create_engine, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

BATCH = 10
ENDED = ("done", "failed", "cancelled")

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Stock(Base):
    __tablename__ = "inventory"

    sku: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]


class Import(Base):
    __tablename__ = "imports"

    id: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes]
    status: Mapped[str] = mapped_column(default="queued")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    error: Mapped[str | None]


Base.metadata.create_all(engine)
with Session(engine) as at_start:  # nobody works on what an earlier process has left
    at_start.execute(
        update(Import)
        .where(Import.status.not_in(ENDED))
        .values(status="failed", error="the server was started again")
    )
    at_start.commit()

app = FastAPI()


class StoppedError(Exception):
    """Somebody has said stop."""


def go_on(session: Session, import_id: str, expected: str, **values: object) -> None:
    """Change an import that has this status. Raises `StoppedError` where it has another one."""
    changed = session.execute(
        update(Import).where(Import.id == import_id, Import.status == expected).values(**values)
    )
    if not changed.rowcount:
        raise StoppedError


def end(import_id: str, status: str, error: str | None = None) -> None:
    with Session(engine) as session:
        session.execute(
            update(Import).where(Import.id == import_id).values(status=status, error=error)
        )
        session.commit()


def read_rows(content: bytes) -> list[list[str]]:
    """The rows behind the header. Raises `ValueError`."""
    header, *rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    if header != ["sku", "quantity"]:
        raise ValueError("the header is not sku,quantity")
    return rows


def check(line: int, row: list[str]) -> dict[str, str | int]:
    """What is to be stored of a row. Raises `ValueError`."""
    match row:
        case [sku, quantity] if sku and quantity.isascii() and quantity.isdecimal():
            return {"sku": sku, "quantity": int(quantity)}
    raise ValueError(f"line {line} is not a sku and a whole number: {','.join(row)}")


def run_import(import_id: str) -> None:
    """Put the rows into `inventory`, batch by batch, until all are there or somebody says stop."""
    try:
        with Session(engine) as session:
            content = session.get_one(Import, import_id).content
        rows = read_rows(content)
        with Session(engine) as session:
            go_on(session, import_id, "queued", status="running", total=len(rows))
            session.commit()
        for start in range(0, len(rows), BATCH):
            lines = enumerate(rows[start : start + BATCH], start + 2)
            store(import_id, [check(line, row) for line, row in lines])
        with Session(engine) as session:
            go_on(session, import_id, "running", status="done")
            session.commit()
    except StoppedError:
        end(import_id, "cancelled")
    except Exception as error:
        log.exception("import %s", import_id)
        end(import_id, "failed", str(error) or repr(error))


def store(import_id: str, batch: list[dict[str, str | int]]) -> None:
    """Commit a batch together with the number of rows; a sku that is there is replaced."""
    statement = upsert(Stock).values(batch)
    statement = statement.on_conflict_do_update(
        index_elements=["sku"], set_={"quantity": statement.excluded.quantity}
    )
    with Session(engine) as session:
        go_on(session, import_id, "running", done=Import.done + len(batch))
        session.execute(statement)
        session.commit()


@app.post("/imports", status_code=202)
def create_import(
    file: UploadFile, response: Response, background_tasks: BackgroundTasks
) -> dict[str, str]:
    import_id = str(uuid4())
    with Session(engine) as session:
        session.add(Import(id=import_id, content=file.file.read()))
        session.commit()
    background_tasks.add_task(run_import, import_id)
    response.headers["Location"] = f"/imports/{import_id}"
    return {"import_id": import_id}


def shown(session: Session, import_id: str) -> dict[str, str | int | None]:
    """What a client sees. Raises `HTTPException`."""
    row = session.get(Import, import_id)
    if row is None:
        raise HTTPException(404, "no such import")
    return {
        "import_id": row.id,
        "status": row.status,
        "done": row.done,
        "total": row.total,
        "error": row.error,
    }


@app.get("/imports/{id}")
def read_import(id: str) -> dict[str, str | int | None]:
    with Session(engine) as session:
        return shown(session, id)


@app.delete("/imports/{id}", status_code=202)
def cancel_import(id: str) -> dict[str, str | int | None]:
    with Session(engine) as session:
        stopped = session.execute(
            update(Import)
            .where(Import.id == id, Import.status.not_in(ENDED))
            .values(status="cancelling")
        )
        session.commit()
        state = shown(session, id)
    if not stopped.rowcount:
        raise HTTPException(409, f"the import is {state['status']}")
    return state
