"""A `FileResponse` that watches the connection by itself, counts, and tidies up when it is left."""

import csv
import logging
import os
from functools import partial
from pathlib import Path
from uuid import uuid4

import anyio
from fastapi import FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

CHUNK = 64 * 1024
HEADERS = {"Content-Disposition": 'attachment; filename="report.csv"'}

log = logging.getLogger("kata")
app = FastAPI()

os.makedirs("reports", exist_ok=True)


def write_report(path: str) -> None:
    """Write a CSV of about 200 kB to `path`; this takes a while, and may raise."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sale", "sku", "quantity", "price_cents"])
        rows.writerows([n, f"tea-{n % 50}", n % 7 + 1, 250 + n % 90] for n in range(12_000))


def remove(path: str) -> None:
    """Remove a file that may not be there."""
    Path(path).unlink(missing_ok=True)


def note(sent: int) -> None:
    """Note a download that is complete."""
    with open("downloads.log", "a", encoding="utf-8") as file:
        file.write(f"{sent}\n")


def make_report() -> str:
    """Write a report of its own for a download, and give its path. Raises `HTTPException`."""
    path = f"reports/{uuid4()}.csv"
    try:
        write_report(path)
    except Exception as error:
        log.exception("the report could not be written")
        remove(path)
        raise HTTPException(500, "the report could not be written") from error
    return path


class OneTimeFile(FileResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent, complete = 0, False

        async def count(message: Message) -> None:
            nonlocal sent, complete
            if message["type"] == "http.response.body":
                sent += len(message["body"])
                complete = not message.get("more_body", False)
            await send(message)

        async def never() -> Message:
            await anyio.sleep_forever()
            raise AssertionError

        send_all = partial(super().__call__, scope, never, count)
        try:
            async with anyio.create_task_group() as group:

                async def send_it() -> None:
                    await send_all()
                    group.cancel_scope.cancel()

                group.start_soon(send_it)
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(remove, str(self.path))
        if complete:
            await run_in_threadpool(note, sent)


@app.get("/report")
def report() -> OneTimeFile:
    return OneTimeFile(make_report(), media_type="text/csv", filename="report.csv")
