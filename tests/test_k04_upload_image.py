"""What must happen to an image that was uploaded, and to what the AI service says about it."""

import inspect
import json

import httpx
import pytest

from dojo.services import silence, unreachable

AI = "https://ai-api.example.com/process"
CAT = b"\x89PNG a cat \x00\xff\r\n"
SEEN = {"label": "cat", "score": 0.98, "note": "très chat"}
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


@pytest.fixture
def service(services):
    return services.on("POST", AI).replies_with(httpx.Response(200, json=SEEN))


async def test_the_file_is_there_before_the_response(client, disk):
    """Whoever reads the name may ask for the file at once."""
    large_cat = CAT * 15_000
    async with client.responded("POST", "/upload-image", **upload(content=large_cat)) as exchange:
        assert exchange.status == 200, "the response's status"
        assert exchange.json() == {"filename": "uploads/cat.png"}, "the response's body"
        there = disk.bytes("uploads/cat.png")
        assert len(there) == len(large_cat), (
            "at the moment of the response the whole file must lie under uploads/: its size in bytes"
        )
        assert there == large_cat, "the file must be what was uploaded, byte for byte"


async def test_the_service_is_called_only_after_the_response(client, timeline):
    """The client must not wait for a machine that thinks."""
    await client.post("/upload-image", **upload())

    assert timeline.order("response", "call") == ["response", "call"]


async def test_the_service_gets_the_image_as_a_form_field(client, service):
    """What was uploaded is what is looked at."""
    await client.post("/upload-image", **upload())

    assert [call.fields.get("image") for call in service.calls] == [CAT], (
        f"POST {AI} must be called once, as a multipart form whose field `image` holds the bytes of the file"
    )


async def test_what_the_service_says_is_stored(client, database):
    """The row is where everybody else looks the result up."""
    exchange = await client.post("/upload-image", **upload())
    rows = database.rows(IMAGES)

    assert [row[:2] for row in rows] == [((exchange.json() or {}).get("filename"), "done")], (
        "when the task has ended there must be exactly one row: (path, status)"
    )
    assert json.loads(rows[0][2] or "null") == SEEN, "`result` must be the service's JSON, as text"


async def test_process_image_is_a_coroutine_function(client, kata):
    """An async call to a service belongs in an async task."""
    await client.post("/upload-image", **upload())

    assert inspect.iscoroutinefunction(kata.process_image), (
        "the contract says `async process_image(image_path: str) -> None`"
    )


async def test_other_requests_are_answered_while_the_service_thinks(client, service, disk):
    """The call is awaited: meanwhile the event loop serves others."""
    with service.hold() as thinking:
        cat = await client.begin("POST", "/upload-image", **upload()).until_responded()
        await thinking.until_reached()
        dog = await client.begin("POST", "/upload-image", **upload("dog.png")).until_responded()
        thinking.release()
        await cat.until_finished()
        await dog.until_finished()

    assert (cat.status, dog.status) == (200, 200), "the statuses"
    assert disk.files() == ["uploads/cat.png", "uploads/dog.png"], "the files that were uploaded"


async def test_the_task_does_not_block_the_event_loop(client, database, timeline):
    """An async task shares its thread with every request: what blocks belongs in a worker thread."""
    await client.post("/upload-image", **upload())

    assert [row[1] for row in database.rows(IMAGES)] == ["done"], "the row's status"
    assert timeline.blocked() == [], (
        "inside the async task something blocked the event loop: use httpx.AsyncClient for the call, "
        "and `await run_in_threadpool(...)` for files and the database"
    )


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(500, id="status 500"),
        pytest.param(404, id="status 404"),
        pytest.param(silence, id="no response in time"),
        pytest.param(unreachable, id="not reachable"),
        pytest.param(httpx.Response(200, text="<html>Welcome!"), id="not JSON"),
    ],
)
async def test_a_service_in_trouble_is_a_failed_image(
    client, database, logs, service, timeline, trouble
):
    """Services fail every day. The row says so, the log says so, and nothing else breaks."""
    service.replies_with(trouble)

    exchange = await client.post("/upload-image", **upload())

    assert exchange.status == 200, "the client has its response all the same"
    assert exchange.raised is None, (
        "no exception may escape the task: it would end up in nobody's hands"
    )
    assert not service.endless, "the call has no time limit: with `timeout=None` it waits for ever"
    assert database.rows(IMAGES) == [("uploads/cat.png", "failed", None)], (
        "when the task has ended there must be exactly one row: (path, status, result)"
    )
    assert logs.failures, "the failure must be logged to the logger `kata`, as WARNING or above"
    assert timeline.blocked() == [], "a failure must not block the event loop either"


@pytest.mark.parametrize("name", ["../../evil.png", "..\\..\\evil.png", "/etc/evil.png"])
async def test_a_name_with_folders_is_saved_by_its_last_part(client, disk, name):
    """The name is the client's to choose, and clients are not all nice."""
    exchange = await client.post("/upload-image", **upload(name))

    assert exchange.json() == {"filename": "uploads/evil.png"}, "the response's body"
    assert disk.files() == ["uploads/evil.png"], "the files that were written"
    assert disk.bytes("uploads/evil.png") == CAT, "its content"


async def test_a_name_with_nothing_left_is_refused(client, database, disk, service):
    """What is refused leaves no trace."""
    refused = await client.post("/upload-image", **upload(".."))
    accepted = await client.post("/upload-image", **upload())

    assert (refused.status, accepted.status) == (422, 200), "the statuses of `..` and of `cat.png`"
    assert "detail" in (refused.json() or {}), "FastAPI's usual {'detail': ...}"
    assert disk.files() == ["uploads/cat.png"], "only the good one is stored"
    assert len(service.calls) == 1, "only the good one is looked at"
    assert len(database.rows(IMAGES)) == 1, "only the good one has a row"


async def test_each_image_gets_its_own_result(client, database, service):
    """Uploads overlap on any real server: nothing may be shared between them."""
    service.replies_with(httpx.Response(200, json="a cat"), httpx.Response(200, json="a dog"))
    with service.hold() as thinking:
        cat = client.begin("POST", "/upload-image", **upload("cat.png"))
        await thinking.until_reached()
        await client.post("/upload-image", **upload("dog.png"))
        thinking.release()
        await cat.until_finished()

    assert sorted(database.rows(IMAGES)) == [
        ("uploads/cat.png", "done", '"a cat"'),
        ("uploads/dog.png", "done", '"a dog"'),
    ], "the service thought longer about the cat than about the dog: (path, status, result)"


async def test_uploads_of_one_name_do_not_overwrite_each_other(client, database, disk, service):
    """Everybody's camera calls the first picture the same."""
    contents = [CAT, b"another cat", b"a third one"]
    with service.hold() as thinking:
        first = await client.begin("POST", "/upload-image", **upload()).until_responded()
        await thinking.until_reached()
        later = [
            await client.post("/upload-image", **upload(content=content))
            for content in contents[1:]
        ]
        thinking.release()
        await first.until_finished()

    names = [str((exchange.json() or {}).get("filename")) for exchange in (first, *later)]
    assert names[0] == "uploads/cat.png", "the first keeps its name"
    assert len(set(names)) == 3, (
        f"each of the others must get a name of its own, and they are {names}"
    )
    assert all(name.startswith("uploads/") for name in names), "all must lie under uploads/"
    assert [disk.bytes(name) for name in names] == contents, "each has its own content"
    assert sorted(call.fields.get("image", b"") for call in service.calls) == sorted(contents), (
        "the service must see each of them"
    )
    assert sorted(row[0] for row in database.rows(IMAGES)) == sorted(names), "a row each, by path"
