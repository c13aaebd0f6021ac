"""k14: a file that does not outlive its download. The contract is in README.md beside this file."""

import csv
import logging
import os
from uuid import uuid4

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

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


@app.get("/report")
def report():
    raise NotImplementedError
