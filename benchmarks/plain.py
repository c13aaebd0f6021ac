"""Requests like those of the specs, tested with `TestClient`, a fake SMTP and respx.

The file is copied as `test_plain.py` into a folder of its own, beside a `plain.json` that lists
the tests.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REQUESTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "k01_notification_log": lambda n: {
        "method": "POST",
        "url": "/send-notification",
        "params": {"email": f"ada{n}@example.com"},
    },
    "k02_welcome_email": lambda n: {
        "method": "POST",
        "url": "/register",
        "json": {"name": "Ada", "email": f"ada{n}@example.com"},
    },
    "k03_order_checkout": lambda n: {
        "method": "POST",
        "url": "/order-checkout",
        "json": {
            "customer_email": f"ada{n}@example.com",
            "items": [{"sku": "tea", "quantity": 2}],
        },
    },
    "k04_upload_image": lambda n: {
        "method": "POST",
        "url": "/upload-image",
        "files": {"file": (f"cat{n}.png", b"\x89PNG a cat", "image/png")},
    },
    "k05_access_log": lambda n: {"method": "GET", "url": f"/items/{n % 9 + 1}"},
    "k06_thumbnails": lambda n: {
        "method": "POST",
        "url": "/photos",
        "files": {"file": (f"cat{n}.png", _picture(), "image/png")},
    },
    "k07_sales_report": lambda n: {
        "method": "POST",
        "url": "/reports",
        "json": {"month": f"2026-{n % 12 + 1:02}"},
    },
    "k08_webhook": lambda n: {
        "method": "POST",
        "url": "/payments",
        "json": {"amount_cents": n, "callback_url": "https://shop.example.com/hook"},
    },
    "k09_sales_summary": lambda _n: {"method": "POST", "url": "/summary/refresh"},
}

CALLING = ("k03_order_checkout", "k04_upload_image", "k08_webhook")


def _picture() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (200, 100)).save(file, "PNG")
    return file.getvalue()


if __name__ == "test_plain":
    import respx
    from fastapi.testclient import TestClient

    PLAN = json.loads(Path(__file__).with_name("plain.json").read_text(encoding="utf-8"))
    for name in PLAN["modules"]:
        importlib.import_module(name)

    class FakeSMTP:
        """Takes every mail."""

        def __init__(self, *_args: object, **_options: object) -> None:
            self.sent: list[object] = []

        def __enter__(self) -> FakeSMTP:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def send_message(self, message: object) -> None:
            """Keep the mail."""
            self.sent.append(message)

    def load(kata: str) -> ModuleType:
        """Load the reference as a fresh module."""
        file = Path(PLAN["solutions"], kata, "app.py")
        spec = importlib.util.spec_from_file_location(f"solution_{kata}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module
        spec.loader.exec_module(module)
        return module

    @pytest.fixture
    def client(
        request: pytest.FixtureRequest, kata: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[TestClient]:
        """Give a client of the reference, with doubles for mail and HTTP."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("smtplib.SMTP", FakeSMTP)
        if kata in CALLING:
            respx_mock: respx.MockRouter = request.getfixturevalue("respx_mock")
            respx_mock.route(method="POST").respond(200, json={"label": "cat"})
        module = load(kata)
        with TestClient(module.app) as client:
            yield client
        sys.modules.pop(module.__name__)

    @pytest.mark.respx(assert_all_called=False)
    @pytest.mark.parametrize(("kata", "requests"), PLAN["cases"])
    def test_requests_are_successful(client: TestClient, kata: str, requests: int) -> None:
        """The status of each response is one of success."""
        for number in range(requests):
            assert client.request(**REQUESTS[kata](number)).is_success
