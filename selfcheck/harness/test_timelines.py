"""The timelines of the reference answers are the same under a real server with real sockets."""

import asyncio
import http.client
import itertools
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import pytest
import uvicorn
from PIL import Image

from dojo.catalogue import read_catalogue
from dojo.harness.asgi import App, record_exchange
from dojo.harness.current import ExchangeState
from dojo.harness.environment import Environment, client_of, environment_in, loaded
from dojo.harness.holds import until

pytestmark = pytest.mark.fast
ROOT = Path(__file__).parents[2]
SOLUTIONS = ROOT / "solutions"
KATAS = read_catalogue(ROOT)
IDS = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
Story = dict[int | None, list[tuple[object, ...]]]
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=dojo"}


@dataclass
class Request:
    """What a client sends."""

    method: str
    url: str
    content: bytes = b""
    headers: dict[str, str] | None = None


def posted(url: str, **body: object) -> Request:
    return Request("POST", url, json.dumps(body).encode(), JSON)


def uploaded(url: str, content: bytes) -> Request:
    head = (
        '--dojo\r\nContent-Disposition: form-data; name="file"; filename="cat.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    return Request("POST", url, head.encode() + content + b"\r\n--dojo--\r\n", FORM)


def png() -> bytes:
    file = BytesIO()
    Image.new("RGB", (200, 100)).save(file, "PNG")
    return file.getvalue()


ORDER = posted(
    "/order-checkout",
    customer_email="ada@example.com",
    items=[{"sku": "tea", "quantity": 2}, {"sku": "jam", "quantity": 1}],
)

REQUESTS = {
    "k01_notification_log": [
        Request("POST", "/send-notification?email=ada@example.com"),
        Request("POST", "/send-notification"),
    ],
    "k02_welcome_email": [
        posted("/register", name="Ada", email="ada@example.com"),
        posted("/register", name="Ada", email="ada@example.com"),
        posted("/register", name="Eve", email="not an address"),
    ],
    "k03_order_checkout": [ORDER, posted("/order-checkout", customer_email="ada@example.com")],
    "k04_upload_image": [uploaded("/upload-image", b"a cat"), uploaded("/upload-image", b"a dog")],
    "k05_access_log": [Request("GET", "/items/1"), Request("GET", "/items/99")],
    "k06_thumbnails": [uploaded("/photos", png()), uploaded("/photos", b"no image")],
    "k07_sales_report": [
        posted("/reports", month="2026-01"),
        posted("/reports", month="January"),
    ],
    "k08_webhook": [
        posted("/payments", amount_cents=1200, callback_url="https://shop.example.com/hook"),
        posted("/payments", amount_cents=1200, callback_url="http://localhost/hook"),
    ],
    "k09_sales_summary": [
        Request("GET", "/summary"),
        Request("POST", "/summary/refresh"),
        Request("GET", "/summary"),
    ],
    "k10_keep_going": [
        posted("/orders", email="ada@example.com", total_cents=1250),
        posted("/orders", email="not an address", total_cents=1250),
    ],
    "k11_refused_but_not_silent": [
        posted("/redeem", code="TEA10", email="ada@example.com"),
        posted("/redeem", code="TEA10", email="not an address"),
    ],
    "k12_session_lifetime": [
        posted("/articles", title="Tea", body="Water and leaves."),
        Request("GET", "/articles/1"),
        posted("/articles", title="", body="No title."),
    ],
    "k13_request_context": [
        Request("POST", "/events", b"tea", {"X-Request-ID": "ada-1"}),
        Request("POST", "/events", b"", {"X-Request-ID": "not an id"}),
    ],
    "k14_download": [
        Request("GET", "/report"),
        Request("GET", "/report"),
    ],
    "k15_fan_out": [
        posted("/announcements", text="Fresh tea is in."),
        Request("GET", "/announcements/1"),
    ],
    "k16_outbox": [
        posted("/orders", email="ada@example.com"),
        posted("/orders", email="not an address"),
    ],
    "k17_import": [
        uploaded("/imports", b"sku,quantity\ntea,2\n"),
        uploaded("/imports", b"no header"),
    ],
    "k18_task_queue": [
        posted("/register", name="Ada", email="ada@example.com"),
        posted("/register", name="Eve", email="not an address"),
    ],
}


def set_the_scene(environment: Environment, kata: str) -> None:
    """Have the services and rows there that the requests of `kata` want."""
    on = environment.services.on
    on("POST", "https://warehouse.example.com/orders")
    on("POST", "https://ai-api.example.com/process").replies_with(
        httpx.Response(200, json={"label": "cat"}), 500
    )
    on("POST", "https://shop.example.com/hook").replies_with(503, 200)
    on("POST", "https://ai-api.example.com/summarise").replies_with(
        httpx.Response(200, json={"summary": "Leaves in water."})
    )
    on("POST", "https://hooks.example.com/events")
    on("POST", "https://ada.example.com/hook")
    if kata == "k15_fan_out":
        row = {"id": 1, "url": "https://ada.example.com/hook"}
        environment.database.insert("subscribers", row)
    if kata == "k03_order_checkout":
        rows = [{"sku": "jam", "quantity": 5}, {"sku": "tea", "quantity": 10}]
        environment.database.insert("inventory", *rows)


@contextmanager
def on_stage(kata: str, directory: Path) -> Iterator[tuple[App, Environment]]:
    """The reference answer of `kata`, on a stage of its own."""
    directory.mkdir()
    with (
        environment_in(directory) as environment,
        loaded(KATAS[kata], SOLUTIONS / kata / "app.py") as module,
    ):
        set_the_scene(environment, kata)
        yield module.app, environment


class Server:
    """A uvicorn in a thread of this process, which writes to the timeline of `environment`."""

    def __init__(self, app: App, environment: Environment) -> None:
        self._app = app
        self._timeline = environment.timeline
        self._numbers = itertools.count(1)
        self._finished = threading.Semaphore(0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(
            uvicorn.Config(self._serve, log_config=None, loop="asyncio", interface="asgi3")
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._listening],))

    async def _serve(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            state = ExchangeState(next(self._numbers))
            await record_exchange(self._app, state, self._timeline, scope, receive, send)
        finally:
            self._finished.release()

    def __enter__(self) -> "Server":
        self._thread.start()
        self._timeline.loop_thread = self._thread.ident or 0
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        assert not self._thread.is_alive(), "uvicorn did not stop"

    def answer_to(self, request: Request) -> tuple[int, bytes]:
        """Send a request and read the whole answer: its status and its body."""
        host, port = self._listening.getsockname()
        with closing(http.client.HTTPConnection(host, port, timeout=5)) as connection:
            connection.request(
                request.method, request.url, request.content, dict(request.headers or {})
            )
            response = connection.getresponse()
            return response.status, response.read()

    def wait_for_finish(self) -> None:
        assert self._finished.acquire(timeout=5), "the exchange did not finish"


def story(environment: Environment) -> Story:
    """Each exchange's events in order: kind, detail, on the loop, after the response, blocking."""
    told: Story = {}
    for event in environment.timeline:
        told.setdefault(event.exchange, []).append(
            (
                event.kind,
                IDS.sub("<id>", event.detail),
                event.on_loop,
                event.after_response,
                event.blocking,
            )
        )
    return told


async def by_exchange(kata: str, directory: Path) -> tuple[Story, list[tuple[int, bytes]]]:
    with on_stage(kata, directory) as (app, environment):
        async with client_of(app, environment) as client:
            answers = []
            for request in REQUESTS[kata]:
                response = await client.request(
                    request.method, request.url, content=request.content, headers=request.headers
                )
                answers.append((int(response.status_code), response.content))
        return story(environment), answers


def by_uvicorn(kata: str, directory: Path) -> tuple[Story, list[tuple[int, bytes]]]:
    with on_stage(kata, directory) as (app, environment):
        with Server(app, environment) as server:
            answers = []
            for request in REQUESTS[kata]:
                answers.append(server.answer_to(request))
                server.wait_for_finish()
        return story(environment), answers


def named(answers: list[tuple[int, bytes]]) -> list[tuple[int, str]]:
    """Answers without what differs from run to run: ids and times."""
    times = re.compile(r"\d{4}-\d\d-\d\dT[^\"]*")
    return [(status, times.sub("", IDS.sub("<id>", body.decode()))) for status, body in answers]


REFERENCES = sorted(folder.parent.name for folder in SOLUTIONS.glob("k*/app.py"))


@pytest.mark.parametrize("kata", REFERENCES)
def test_the_exchange_tells_the_timeline_that_uvicorn_does(kata, tmp_path):
    """What the specs are shown is what happens on a real server."""
    assert kata in REQUESTS, f"say in REQUESTS which requests show the timeline of {kata}"

    told, answers = asyncio.run(by_exchange(kata, tmp_path / "exchange"))
    seen, real_answers = by_uvicorn(kata, tmp_path / "uvicorn")

    assert told == seen
    assert named(answers) == named(real_answers)


# The web process of k18 leaves everything to a consumer.
AT_WORK = [kata for kata in REQUESTS if kata != "k18_task_queue"]


@pytest.mark.parametrize("kata", AT_WORK)
def test_the_requests_make_a_task_do_something(kata, tmp_path):
    """Two timelines that show nothing would be equal too."""
    told, _ = asyncio.run(by_exchange(kata, tmp_path / "exchange"))

    events = [event for events in told.values() for event in events]
    kinds = {kind for kind, _, _, after_response, _ in events if after_response}
    assert kinds - {"finished"}, f"nothing is seen after the answers: {events}"


async def test_the_client_has_the_whole_answer_while_the_mail_is_held(tmp_path):
    """That is what "after the response" means, on a real socket."""
    with on_stage("k02_welcome_email", tmp_path / "uvicorn") as (app, environment):
        with Server(app, environment) as server, environment.mail_server.hold() as slow_mail:
            answer = server.answer_to(REQUESTS["k02_welcome_email"][0])
            assert await until(lambda: slow_mail.reached == 1), "the mail never left"
            kinds = [event.kind for event in environment.timeline]
            slow_mail.release()
            server.wait_for_finish()

        assert answer == (200, b'{"status":"registered"}')
        assert kinds[-2:] == ["response", "held"], (
            "neither the mail nor the end had come while it was held"
        )
        assert environment.timeline.order("response", "mail", "finished") == [
            "response",
            "mail",
            "finished",
        ]


async def test_the_client_has_the_whole_answer_while_an_async_task_is_held(tmp_path):
    """A task that awaits does not keep the server from its other requests."""
    paid, refused = REQUESTS["k08_webhook"]
    with (
        environment_in(tmp_path) as environment,
        loaded(KATAS["k08_webhook"], SOLUTIONS / "k08_webhook" / "app.py") as module,
    ):
        callback = environment.services.on("POST", "https://shop.example.com/hook")
        with Server(module.app, environment) as server, callback.hold() as slow_call:
            first = server.answer_to(paid)
            assert await until(lambda: slow_call.reached == 1), "the callback was never called"
            second = server.answer_to(refused)
            server.wait_for_finish()
            finished = [
                event.exchange for event in environment.timeline if event.kind == "finished"
            ]
            slow_call.release()
            server.wait_for_finish()

        assert first == (202, b'{"payment_id":1}')
        assert second[0] == 422
        assert finished == [2], "only the second exchange may have finished while the call hung"
