"""An image that is uploaded, and the result that an AI service has for it."""

import inspect
import json

import httpx
import pytest

from dojo.doubles.http import silence, unreachable

AI = "https://ai-api.example.com/process"
CAT = b"\x89PNG a cat \x00\xff\r\n"
LARGE_CAT = CAT * 15_000
SEEN = {"label": "cat", "score": 0.98, "note": "très chat"}
WHAT = ["cat", "dog", "hen", "pig"]
SAID = [SEEN, ["cat", "chat"], "chat à poil", {}, [], 0, False, None, "cat " * 200]
pytestmark = pytest.mark.usefixtures("service")

IMAGES = "SELECT path, status, result FROM processed_images ORDER BY id"


def upload(name="cat.png", content=CAT):
    """A multipart body as a browser sends it: backslashes in the name stay what they are."""
    head = (
        f'--dojo\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    return {
        "content": head.encode() + content + b"\r\n--dojo--\r\n",
        "headers": {"content-type": "multipart/form-data; boundary=dojo"},
    }


def read(text):
    """The `result` of a row as JSON, in a list; an empty list where it is no JSON."""
    try:
        return [json.loads(text)]
    except (TypeError, ValueError):
        return []


class BrokenOff(httpx.AsyncByteStream, httpx.SyncByteStream):
    """The body of a response whose connection breaks in the middle."""

    def __iter__(self):
        yield b'{"label": '
        raise httpx.ReadError("the connection was reset")

    async def __aiter__(self):
        for piece in self:
            yield piece


def broken_off():
    return httpx.Response(200, headers={"content-type": "application/json"}, stream=BrokenOff())


@pytest.fixture
def service(services):
    return services.on("POST", AI).replies_with(httpx.Response(200, json=SEEN))


async def test_the_file_is_there_before_the_response(client, disk):
    """A client that reads the name may ask for the file at once."""
    async with client.responded("POST", "/upload-image", **upload(content=LARGE_CAT)) as exchange:
        assert exchange.response.status_code == 200, "the response's status must be 200"
        assert exchange.response.json() == {"filename": "uploads/cat.png"}, (
            "the response's body must be this JSON"
        )
        there = disk.bytes("uploads/cat.png")
        assert len(there) == len(LARGE_CAT), (
            "at the moment of the response the whole file must lie under uploads/: its size in bytes"
        )
        assert there == LARGE_CAT, "the file must be what was uploaded, byte for byte"


async def test_the_first_of_a_name_keeps_it(client, database, disk):
    """A client expects its file under the name that it gave it."""
    names = ["CAT.PNG", "my cat.jpeg", "README", "chaton_né.tar.gz", "50%41 (1).png", "a..b.gif"]
    names.append(f"{'a very ' * 12}long name.png")
    bodies = [(await client.post("/upload-image", **upload(name))).json() for name in names]

    paths = [f"uploads/{name}" for name in names]
    assert bodies == [{"filename": path} for path in paths], (
        "the bodies of the responses must name the files as they were uploaded"
    )
    assert disk.files() == sorted(paths), "the files that were written"
    assert [row[0] for row in database.rows(IMAGES)] == paths, (
        "the rows must have the paths of the files"
    )


async def test_the_service_is_called_only_after_the_response(client, timeline):
    """The client must not wait for a machine that thinks."""
    await client.post("/upload-image", **upload())

    assert timeline.order("response", "call") == ["response", "call"]


async def test_the_service_gets_the_image_as_a_form_field(client, service):
    """The service must get the bytes that were uploaded, and no others."""
    await client.post("/upload-image", **upload(content=LARGE_CAT))

    images = [call.fields.get("image", b"") for call in service.calls]
    assert [len(image) for image in images] == [len(LARGE_CAT)], (
        f"POST {AI} must be called once, as a multipart form whose field `image` holds the whole file: its size in bytes"
    )
    assert images == [LARGE_CAT], "the service must get the file byte for byte"


async def test_what_the_service_says_is_stored(client, database, service):
    """The row is where everybody else looks the result up, whatever kind of JSON it is."""
    service.replies_with(*(httpx.Response(200, text=json.dumps(said)) for said in SAID))

    paths = [
        (await client.post("/upload-image", **upload(f"{number}.png"))).field("filename")
        for number in range(len(SAID))
    ]
    rows = database.rows(IMAGES)

    assert [row[:2] for row in rows] == [(path, "done") for path in paths], (
        f"when a task has ended there must be exactly one row for its upload, (path, status), and all of these are JSON: {SAID[:-1]} and a long text"
    )
    assert [read(row[2]) for row in rows] == [[said] for said in SAID], (
        "`result` must be the service's JSON, as text"
    )


async def test_a_row_is_done_only_when_the_service_has_responded(client, database, service):
    """People who see `done` take the result, and there is none yet."""
    async with client.in_flight("POST", "/upload-image", **upload()) as exchange:
        with service.hold() as thinking:
            await exchange.until_responded()
            await thinking.until_reached()
            early = [row for row in database.rows(IMAGES) if row[1] == "done"]

    assert early == [], (
        "the service was still thinking, and the row was `done`: (path, status, result); "
        "until the service has responded there may be no row, or one with another status"
    )
    assert [row[1] for row in database.rows(IMAGES)] == ["done"], (
        "the row's status must be `done` in the end"
    )


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(httpx.Response(201, json=SEEN), id="status 201"),
        pytest.param(
            httpx.Response(200, text=json.dumps(SEEN), headers={"content-type": "text/plain"}),
            id="JSON as text or plain",
        ),
    ],
)
async def test_json_is_json_however_it_comes(client, database, service, reply):
    """Only 4xx and 5xx are failures, and JSON is told by its text, not by a header."""
    service.replies_with(reply)

    await client.post("/upload-image", **upload())

    assert [(row[1], read(row[2])) for row in database.rows(IMAGES)] == [("done", [SEEN])], (
        "(status, result) of the row must be `done` and the service's JSON"
    )


async def test_process_image_is_a_coroutine_function(client, kata):
    """An async call to a service belongs in an async task."""
    await client.post("/upload-image", **upload())

    assert inspect.iscoroutinefunction(kata.process_image), (
        "the contract says `async process_image(image_path: str) -> None`"
    )


async def test_other_requests_are_answered_while_the_service_thinks(client, service, disk):
    """The call is awaited: meanwhile the event loop serves others."""
    async with client.in_flight("POST", "/upload-image", **upload()) as cat:
        with service.hold() as thinking:
            await cat.until_responded()
            await thinking.until_reached()
            dog = await client.begin("POST", "/upload-image", **upload("dog.png")).until_responded()

    assert (cat.response.status_code, dog.response.status_code) == (200, 200), (
        "both statuses must be 200"
    )
    assert disk.files() == ["uploads/cat.png", "uploads/dog.png"], "the files that were uploaded"


async def test_the_task_does_not_block_the_event_loop(client, database, timeline):
    """An async task shares its thread with every request: what blocks belongs in a worker thread."""
    await client.post("/upload-image", **upload())

    assert [row[1] for row in database.rows(IMAGES)] == ["done"], "the row's status must be `done`"
    assert timeline.blocked() == [], (
        "inside the async task something blocked the event loop: use httpx.AsyncClient for the call, "
        "and `await run_in_threadpool(...)` for files and the database"
    )


@pytest.mark.parametrize(
    "trouble",
    [
        *(pytest.param(status, id=f"status {status}") for status in (400, 404, 500, 503)),
        pytest.param(httpx.Response(400, json=SEEN), id="status 400 with JSON"),
        pytest.param(silence, id="no response in time"),
        pytest.param(httpx.ConnectTimeout("no connection in time"), id="no connection in time"),
        pytest.param(httpx.WriteTimeout("not sent in time"), id="not sent in time"),
        pytest.param(httpx.PoolTimeout("none free in time"), id="no free connection in time"),
        pytest.param(unreachable, id="not reachable"),
        pytest.param(httpx.RemoteProtocolError("it hung up"), id="no response at all"),
        pytest.param(broken_off, id="broken off in the middle"),
        pytest.param(httpx.Response(200, text="<html>Welcome!"), id="not JSON"),
        pytest.param(httpx.Response(200, text='{"label": '), id="half of a JSON"),
        pytest.param(httpx.Response(200, content=b"\xff\xfe\x00"), id="not even text"),
        pytest.param(httpx.Response(200, text=""), id="an empty body"),
        pytest.param(
            httpx.Response(200, text="cat", headers={"content-type": "application/json"}),
            id="called JSON and none",
        ),
    ],
)
async def test_a_service_in_trouble_is_a_failed_image(
    client, database, logs, service, timeline, trouble
):
    """Services fail every day. The row says so, the log says so, and nothing else breaks."""
    service.replies_with(trouble() if trouble is broken_off else trouble)

    response = await client.post("/upload-image", **upload())

    assert response.status_code == 200, "the client has its response all the same"
    assert response.exchange.raised is None, (
        "no exception may escape the task: it would end up in nobody's hands"
    )
    assert not service.endless, "the call has no time limit: with `timeout=None` it waits for ever"
    assert database.rows(IMAGES) == [("uploads/cat.png", "failed", None)], (
        "when the task has ended there must be exactly one row: (path, status, result)"
    )
    assert logs.failures, "the failure must be logged to the logger `kata`, as WARNING or above"
    assert timeline.blocked() == [], "a failure must not block the event loop either"


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.png",
        "..\\..\\evil.png",
        "/etc/evil.png",
        "../..\\evil.png",
        "..\\../evil.png",
        "photos/evil.png",
    ],
)
async def test_a_name_with_folders_is_saved_by_its_last_part(client, disk, timeline, name):
    """The name is the client's to choose, and clients are not all nice."""
    response = await client.post("/upload-image", crashes=True, **upload(name))

    assert timeline.of("refused") == [], "nothing may be written outside uploads/"
    assert response.json() == {"filename": "uploads/evil.png"}, (
        "the response's body must name the file by its last part"
    )
    assert [file for file in timeline.of("write") if not file.startswith("uploads/")] == [], (
        "nothing may be written outside uploads/, not even for a moment"
    )
    assert disk.files() == ["uploads/evil.png"], "the files that were written"
    assert disk.bytes("uploads/evil.png") == CAT, "the file must be what was uploaded"


async def test_a_name_is_not_decoded(client, disk, timeline):
    """A name in which `%2F` stands has no folder in it, and nobody may make one of it."""
    response = await client.post("/upload-image", crashes=True, **upload("..%2F..%2Fevil.png"))

    assert timeline.of("refused") == [], "nothing may be written outside uploads/"
    assert response.json() == {"filename": "uploads/..%2F..%2Fevil.png"}, (
        "the response's body must have the name as it came"
    )
    assert disk.files() == ["uploads/..%2F..%2Fevil.png"], "the files that were written"


@pytest.mark.parametrize("name", ["..", "../..", "..\\..", "/"])
async def test_a_name_with_nothing_left_is_refused(client, database, disk, service, timeline, name):
    """A request that is refused must not leave a file, a row or a call."""
    refused = await client.post("/upload-image", **upload(name))
    traces = disk.files(), timeline.of("write"), database.rows(IMAGES), len(service.calls)
    accepted = await client.post("/upload-image", **upload())

    assert (refused.status_code, accepted.status_code) == (422, 200), (
        f"the statuses of `{name}` and of `cat.png`"
    )
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert traces == ([], [], [], 0), (
        "what is refused is not stored, queued or sent: the files that are there, the files that were written, "
        "the rows, the number of calls"
    )
    assert disk.files() == ["uploads/cat.png"], "only the good one is stored"
    assert len(service.calls) == 1, "only the good one is looked at"
    assert len(database.rows(IMAGES)) == 1, "only the good one has a row"


async def test_each_image_gets_its_own_result(client, database, service, services):
    """Uploads overlap on any real server: nothing may be shared between them."""
    service.replies_with(*(httpx.Response(200, json=f"a {what}") for what in WHAT))
    async with client.in_flight("POST", "/upload-image", **upload("cat.png")):
        with service.hold() as thinking:
            await thinking.until_reached()
            dog = await client.begin("POST", "/upload-image", **upload("dog.png")).until_responded()
            await client.finish_what_can([dog])
    async with client.in_flight("POST", "/upload-image", **upload("hen.png")) as hen:
        with services.hold_each() as calls:
            await calls.until(1)
            pig = await client.begin("POST", "/upload-image", **upload("pig.png")).until_responded()
            await client.finish_what_can([hen, pig])
            calls.release()
            await client.finish_what_can([hen])

    assert sorted(database.rows(IMAGES)) == [
        (f"uploads/{what}.png", "done", f'"a {what}"') for what in WHAT
    ], (
        "the service thought longer about the cat than about the dog that came after it, "
        "and longer about the pig than about the hen that came before it: (path, status, result)"
    )


async def test_uploads_of_one_name_do_not_overwrite_each_other(client, database, disk, service):
    """Everybody's camera calls the first picture the same."""
    contents = [CAT, *(f"cat number {number}".encode() for number in range(2, 6))]
    async with client.in_flight("POST", "/upload-image", **upload()) as first:
        with service.hold() as thinking:
            await first.until_responded()
            await thinking.until_reached()
            later = [
                await client.begin(
                    "POST", "/upload-image", **upload(content=each)
                ).until_responded()
                for each in contents[1:]
            ]
            await client.finish_what_can(later)

    names = [str(exchange.response.field("filename")) for exchange in (first, *later)]
    assert names[0] == "uploads/cat.png", "the first must keep its name"
    assert len(set(names)) == len(contents), (
        f"each of the others must get a name of its own, and they are {names}"
    )
    assert {name.partition("/")[0] for name in names} == {"uploads"}, "all must lie under uploads/"
    assert [disk.bytes(name) for name in names] == contents, "each has its own content"
    assert sorted(call.fields.get("image", b"") for call in service.calls) == sorted(contents), (
        "the service must see each of them"
    )
    assert sorted(row[0] for row in database.rows(IMAGES)) == sorted(names), (
        "each upload must have a row with its path"
    )


@pytest.mark.parametrize("place", ["uploads", "uploads/cat.png"])
async def test_two_uploads_of_one_name_at_the_same_moment_get_two_paths(
    client, database, disk, service, place
):
    """Between looking whether a name is free and taking it, somebody else may take it."""
    contents = [CAT, b"another cat"]
    async with client.in_flight("POST", "/upload-image", crashes=True, **upload()) as first:
        with disk.hold(place):
            await client.finish_what_can([first])
            other = upload(content=contents[1])
            second = client.begin("POST", "/upload-image", crashes=True, **other)
            await client.finish_what_can([second])

    assert (first.response.status_code, second.response.status_code) == (200, 200), (
        f"the statuses of two uploads; the first was held just before it made {place}, the second came in between"
    )
    names = [str(exchange.response.field("filename")) for exchange in (first, second)]
    assert len(set(names)) == 2, (
        f"both got the name {names[0]}: the first was held just before it wrote, the second came in between"
    )
    assert [disk.bytes(name) for name in names] == contents, "each has its own content"
    assert sorted(row[0] for row in database.rows(IMAGES)) == sorted(names), (
        "each upload must have a row with its path"
    )


async def test_a_restart_does_not_let_an_upload_be_overwritten(client, disk, restart):
    """Names kept in memory are gone when the server is restarted; the files are still there."""
    await client.post("/upload-image", **upload())
    again = await restart.client()
    response = await again.post("/upload-image", **upload(content=b"another cat"))

    name = str(response.field("filename"))
    assert response.status_code == 200, "the status of the upload after the restart must be 200"
    assert name.startswith("uploads/"), "it must lie under uploads/"
    assert name != "uploads/cat.png", "that name was taken before the restart"
    assert disk.bytes("uploads/cat.png") == CAT, "the first upload must be as it was"
    assert disk.bytes(name) == b"another cat", "the second upload must be what was uploaded"
