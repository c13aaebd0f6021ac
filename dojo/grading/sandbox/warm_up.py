"""Do once, before a server forks, what the first request of every solution would do again.

Each spec has a process of its own, and libraries do much at their first use: compile queries and
regular expressions, build validators, read certificates. What is here is no kata: a solution finds
nothing in its memory that it could use.
"""

import asyncio
import contextlib
import csv
import io
import logging
import os
import tempfile
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse
from PIL import Image, ImageOps
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, func, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from dojo.doubles.clock import frozen_clock
from dojo.harness.environment import Environment, client_of, environment_in
from dojo.harness.steps import Steps


class _Base(DeclarativeBase):
    pass


class _Thing(_Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    note: Mapped[str | None]


class _Part(_Base):
    __tablename__ = "parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[int] = mapped_column(ForeignKey("things.id"))
    quantity: Mapped[int]


class _Line(BaseModel):
    sku: str
    quantity: int = Field(gt=0)


class _Body(BaseModel):
    name: str
    email: EmailStr
    lines: list[_Line] = Field(min_length=1)


def warm_up() -> None:
    """Send some requests to an app that uses what solutions use."""
    before = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(Exception),
    ):
        directory = Path(folder)
        services: list[Any] = []
        with environment_in(directory) as environment:
            environment.services.on("POST", "https://service.example.com/")
            services.append(environment.services)
            asyncio.run(_requests(environment))
    os.chdir(before)


def _app(environment: Environment) -> FastAPI:
    engine = create_engine(f"sqlite:///{environment.directory}/shop.db")
    _Base.metadata.create_all(engine)
    app = FastAPI()
    log = logging.getLogger("kata")

    def session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    def write(name: str) -> None:
        with open("log.txt", "a", encoding="utf-8") as file:
            file.write(f"{name}\n")
        with Path("report.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([name, 1])
        with Session(engine) as own, own.begin():
            own.execute(update(_Thing).values(note=name))
            own.execute(select(_Part.thing_id, func.sum(_Part.quantity)).group_by(_Part.thing_id))
            own.execute(text("SELECT count(*) FROM things WHERE name = :name"), {"name": name})
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", name
        message.set_content(name)
        message.as_bytes()
        log.warning("%s", name, exc_info=ValueError(name))

    async def call(name: str) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            (await client.post("https://service.example.com/", json={"name": name})).json()
            files = {"image": ("a.png", b"a")}
            await client.post("https://service.example.com/", files=files)
        httpx.Client().close()
        await asyncio.sleep(1)
        write(name)

    @app.middleware("http")
    async def middleware(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response

    @app.post("/things")
    def make(
        body: _Body, tasks: BackgroundTasks, session: Annotated[Session, Depends(session)]
    ) -> dict[str, Any]:
        thing = _Thing(name=body.name)
        session.add(thing)
        session.flush()
        session.add(_Part(thing_id=thing.id, quantity=body.lines[0].quantity))
        session.commit()
        if session.scalar(select(_Thing).where(_Thing.name == "none")):
            raise HTTPException(409)
        tasks.add_task(write, body.name)
        tasks.add_task(call, body.name)
        return {"id": thing.id}

    @app.post("/files", status_code=202)
    async def upload(file: UploadFile, tasks: BackgroundTasks) -> JSONResponse:
        content = await file.read()

        def shrink() -> None:
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
            image.thumbnail((16, 16))
            image.convert("RGB").save("small.png")

        tasks.add_task(shrink)
        return JSONResponse({"name": file.filename}, background=tasks)

    @app.get("/things/{number}")
    async def look(number: int, email: str | None = None) -> FileResponse:
        if number != 1 or email:
            raise HTTPException(404, "no such thing")
        return FileResponse("log.txt", media_type="text/plain")

    return app


async def _requests(environment: Environment) -> None:
    photo = io.BytesIO()
    Image.new("RGB", (40, 20)).save(photo, "PNG")
    body = {"name": "a", "email": "a@example.com", "lines": [{"sku": "a", "quantity": 1}]}
    async with client_of(_app(environment), environment) as client:
        with frozen_clock(), contextlib.suppress(AssertionError):
            await client.post("/things", json=body, crashes=True)
        with contextlib.suppress(AssertionError):
            await client.post("/things", json={**body, "name": "b", "email": "b"}, crashes=True)
        files = {"file": ("a.png", photo.getvalue(), "image/png")}
        async with client.responded("POST", "/files", files=files) as exchange:
            async for _ in Steps(environment).of(exchange):
                pass
        for path in ("/things/1", "/things/2?email=a", "/things/a", "/nowhere"):
            await client.get(path, crashes=True)
