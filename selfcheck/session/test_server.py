"""The routes of a session: who may see and change it, and what bad input gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dojo.session import stream
from dojo.session.guard import MOST_BYTES, is_ours
from dojo.session.room import LETTERS
from dojo.session.settings import Settings
from selfcheck.session.rooms import HOST, K01, Evening, light_json

pytestmark = pytest.mark.fast
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def evening(tmp_path: Path) -> Evening:
    """A session that only this machine reaches."""
    return Evening(tmp_path)


@pytest.fixture
def lan(tmp_path: Path) -> Evening:
    """A session that the network reaches."""
    return Evening(tmp_path, lan=True)


async def become_facilitator(browser: Any, evening: Evening) -> None:
    response = await browser.post("/facilitator", data={"word": evening.row.token})
    assert response.status_code == 303


# ----- who may see


PATHS = ["/", "/events", "/film", "/film.json", "/qr.svg"]


@pytest.mark.parametrize("path", PATHS)
async def test_on_a_network_nothing_is_seen_without_the_code(lan, path):
    async with lan.browser() as browser:
        response = await browser.get(path)
        wrong = await browser.get(path, headers={"Cookie": "dojo-viewer=AAAAAA"})

    assert (response.status_code, response.headers["location"]) == (303, "/enter")
    assert wrong.status_code == 303
    assert lan.row.code not in response.text


async def test_the_code_opens_the_pages_and_changes_nothing(lan):
    async with lan.browser() as browser:
        wrong = await browser.post("/enter", data={"word": "WRONG2"})
        right = await browser.post("/enter", data={"word": f" {lan.row.code.lower()} "})
        page = await browser.get("/")
        act = await browser.post("/act", data={"kind": "turn"})

    assert (wrong.status_code, right.status_code, page.status_code) == (403, 303, 200)
    assert act.status_code == 403
    assert 'action="/act"' not in page.text
    assert lan.room.plan.actions == []


async def test_a_phone_comes_in_by_the_qr_code(lan):
    async with lan.browser() as browser:
        assert (await browser.get("/code/WRONG2")).status_code == 403
        await browser.get(f"/code/{lan.row.code}")
        page = await browser.get("/")
        picture = await browser.get("/qr.svg")

    assert page.status_code == 200
    assert picture.headers["content-type"] == "image/svg+xml"
    assert b"<path" in picture.content


async def test_without_a_network_the_page_is_there_at_once(evening):
    async with evening.browser() as browser:
        assert (await browser.get("/")).status_code == 200


async def test_codes_are_not_guessed_through_the_page(lan):
    async with lan.browser() as browser:
        tries = [await browser.post("/enter", data={"word": "WRONG2"}) for _ in range(15)]
        cookies = [
            await browser.get("/", headers={"Cookie": "dojo-viewer=WRONG2"}) for _ in range(15)
        ]

    assert tries[-1].status_code == cookies[-1].status_code == 429
    assert int(tries[-1].headers["retry-after"]) >= 1


# ----- who may change


async def test_only_the_facilitators_token_changes_the_session(evening):
    async with evening.browser() as browser:
        assert (await browser.post("/act", data={"kind": "turn"})).status_code == 403
        wrong = await browser.post("/facilitator", data={"word": evening.row.code})
        assert wrong.status_code == 403
        await become_facilitator(browser, evening)
        assert (await browser.post("/act", data={"kind": "turn"})).status_code == 303

    assert [action.kind for action in evening.room.plan.actions] == ["turn"]


async def test_the_token_is_on_no_page_and_in_no_address(lan):
    """Everything that is projected can be read by everybody."""
    async with lan.browser() as browser:
        response = await browser.post("/facilitator", data={"word": lan.row.token})
        pages = [await browser.get(path) for path in ("/", "/film", "/film.json")]

    assert response.headers["location"] == "/"
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert [page.status_code for page in pages] == [200, 200, 200]
    assert not any(lan.row.token in page.text for page in pages)


async def test_a_request_from_another_page_is_refused(evening):
    async with evening.browser() as browser:
        await become_facilitator(browser, evening)
        for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
            other = await browser.post("/act", data={"kind": "turn"}, headers={"Origin": origin})
            assert other.status_code == 403
        own = await browser.post("/act", data={"kind": "turn"}, headers={"Origin": HOST})

    assert own.status_code == 303


async def test_a_name_that_somebody_has_pointed_here_is_refused(evening):
    """Else a page elsewhere could read the session through the visitor's browser."""
    async with evening.browser() as browser:
        response = await browser.get("/", headers={"Host": "evil.example:8700"})

    assert response.status_code == 421


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8700", True),
        ("[::1]:8700", True),
        ("192.168.1.5", True),
        ("localhost:8700", True),
        ("ada-laptop.local", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_hosts(host, ours):
    assert is_ours(host, {"localhost", "ada-laptop.local"}) is ours


# ----- what runs in the page


async def test_nothing_runs_in_a_page_but_its_own_files(evening):
    async with evening.browser() as browser:
        await become_facilitator(browser, evening)
        pages = [await browser.get(path) for path in ("/", "/film", "/facilitator", "/enter")]

    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        scripts = re.findall(r"<script([^>]*)>", page.text)
        assert all("src=" in s or 'type="application/json"' in s for s in scripts)
        assert not re.search(r"<style|\sstyle=|\son\w+=|https?://(?!127)", page.text)


async def test_markup_is_shown_as_text_wherever_a_name_comes_from(tmp_path):
    settings = Settings((K01,), names=(SCRIPT, "Grace"))
    evening = Evening(tmp_path, settings)
    token = evening.team(SCRIPT)
    evening.light(token)
    async with evening.browser() as browser:
        await become_facilitator(browser, evening)
        pages = [(await browser.get(path)).text for path in ("/", "/film")]

    assert not any(SCRIPT in page for page in pages)
    assert "&lt;script&gt;alert(1)" in pages[0]
    data = re.search(r'id="frames">(.*?)</script>', pages[1], re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["teams"] == [SCRIPT]


# ----- teams: what is malformed


async def send(evening: Evening, content: object, token: str = "", **headers: str) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    async with evening.browser() as browser:
        return await browser.post(
            "/api/lights",
            content=body,
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {token}",
                **headers,
            },
        )


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"light": "purple"}, "light"),
        ({"passed": -1}, "passed"),
        ({"passed": "3"}, "passed"),
        ({"passed": 10**30}, "passed"),
        ({"total": True}, "total"),
        ({"seconds": -0.5}, "seconds"),
        ({"kata": "../../etc/passwd"}, "kata"),
        ({"kata": "k01_" + "x" * 200}, "kata"),
        ({"id": "short"}, "id"),
        ({"id": "x" * 1000}, "id"),
        ({"code": "print('hello')"}, "code"),
        ({"ago": "yesterday"}, "ago"),
        ({"ago": None}, "ago"),
    ],
)
async def test_a_malformed_light_is_refused_and_named(evening, wrong, named):
    token = evening.team()
    response = await send(evening, {"lights": [light_json(), light_json(**wrong)]}, token)

    assert response.status_code == 422
    assert f"lights.1.{named}" in response.json()["detail"]
    assert evening.room.teams[1].lights == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"lights": []}',
        b'{"lights": 7}',
        b"\xff\xfe",
        b'{"lights": [{"seconds": NaN}]}',
        b"[" * 30_000,
        {"lights": [light_json() for _ in range(101)]},
    ],
)
async def test_a_malformed_message_is_refused(evening, content):
    response = await send(evening, content, evening.team())

    assert response.status_code in (400, 422)
    assert len(response.text) < 1000


async def test_a_message_that_is_too_large_is_refused(evening):
    """By what it says of its length, and by what then comes."""
    token = evening.team()
    large = json.dumps({"lights": [light_json(id="x" * MOST_BYTES)]}).encode()

    async def pieces() -> Any:
        for start in range(0, len(large), 10_000):
            yield large[start : start + 10_000]

    said = await send(evening, large, token)
    async with evening.browser() as browser:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        unsaid = await browser.post("/api/lights", content=pieces(), headers=headers)
        liar = await browser.post("/api/lights", content=b"{}", headers={"Content-Length": "-1"})

    assert (said.status_code, unsaid.status_code, liar.status_code) == (413, 413, 413)
    assert await status_of_a_good_light(evening, token) == 200


async def status_of_a_good_light(evening: Evening, token: str) -> int:
    response = await send(evening, {"lights": [light_json("green", 9)]}, token)
    status: int = response.status_code
    return status


@pytest.mark.parametrize("token", ["", "x" * 100, "ÿ"])
async def test_a_team_that_is_not_known_is_told(evening, token):
    evening.team()
    async with evening.browser() as browser:
        response = await browser.post(
            "/api/lights",
            json={"lights": [light_json()]},
            headers={"Authorization": f"Bearer {token}".encode("latin-1")},
        )

    assert response.status_code == 401
    assert "dojo join" in response.json()["detail"]


async def test_joining_over_the_network(lan):
    async with lan.browser() as browser:
        wrong = await browser.post("/api/join", json={"code": "WRONG2", "team": "Tea"})
        right = await browser.post("/api/join", json={"code": lan.row.code, "team": "Tea"})
        taken = await browser.post("/api/join", json={"code": lan.row.code, "team": "tea"})
        named = await browser.post("/api/join", json={"code": lan.row.code, "team": "x" * 300})

    assert [r.status_code for r in (wrong, right, taken, named)] == [403, 200, 409, 422]
    assert await status_of_a_good_light(lan, right.json()["token"]) == 200


async def test_an_action_says_why_it_is_refused(evening):
    async with evening.browser() as browser:
        await become_facilitator(browser, evening)
        refused = await browser.post("/act", data={"kind": "kata", "value": "k99"})
        long = await browser.post("/act", data={"kind": "x" * 100})

    assert (refused.status_code, long.status_code) == (422, 422)
    assert refused.json() == {"detail": "kata cannot be 'k99'"}


# ----- the stream


async def collect(evening: Evening, version: int, count: int) -> list[Any]:
    """The first events of a stream from a version on."""
    board, signal = evening.app.state.board, evening.app.state.signal
    found = []
    events = stream.events(board, signal, version)
    async for event in events:
        found.append(event)
        if len(found) == count:
            await events.aclose()
            break
    return found


async def test_a_page_that_comes_back_gets_what_it_has_missed(evening):
    """Whatever it was: it gets the parts as they are now."""
    token, other = evening.team("Tea"), evening.team("Coffee")
    evening.light(other)
    board = evening.app.state.board
    version = board.since(0)[0]
    for passed in range(30):
        evening.light(token, "red", passed % 9)
    (event,) = await collect(evening, version, 1)
    said = json.loads(event.raw_data or "")

    assert set(said["parts"]) == {"team-1"}
    assert event.id == f"{board.epoch}.{board.version}"
    assert stream.version_in(event.id, board) == board.version


async def test_a_page_of_an_earlier_run_of_the_server_gets_everything(evening):
    evening.team()
    before = evening.app.state.board
    event_id = f"{before.epoch}.{before.version}"
    evening.restart()
    board = evening.app.state.board

    assert stream.version_in(event_id, board) == 0
    assert set(board.since(0)[1]) == set(board.names())
    for garbage in ("", ".", "x.y", f"{board.epoch}.-1", f"{board.epoch}.²"):
        assert stream.version_in(garbage, board) == 0


async def test_a_page_hears_of_a_light_while_it_waits(evening):
    token = evening.team()
    board, signal = evening.app.state.board, evening.app.state.signal
    events = stream.events(board, signal, board.version)
    first = await anext(events)
    evening.light(token, "green", 9)
    second = await anext(events)
    signal.close()

    assert json.loads(first.raw_data or "")["parts"] == {}
    assert 'class="light green"' in json.loads(second.raw_data or "")["parts"]["team-1"]
    assert [event async for event in events] == []


async def test_nothing_is_kept_for_a_page_that_sleeps(evening):
    """A hundred lights later it gets one event with each part once."""
    token = evening.team()
    board, signal = evening.app.state.board, evening.app.state.signal
    events = stream.events(board, signal, board.version)
    await anext(events)
    for passed in range(100):
        evening.light(token, "red", passed % 9)
    event = await anext(events)
    await events.aclose()

    assert set(json.loads(event.raw_data or "")["parts"]) == {"team-1"}
    assert signal._waiting == set()


def test_words_to_type_have_no_letters_that_look_alike():
    assert not set("O0I1L") & set(LETTERS)
