"""A coupon is redeemed or refused: what must be done all the same when a request is refused."""

import sqlite3
from datetime import datetime, timezone

import pytest

ATTEMPTS = "attempts.log"
SUSPICIOUS = "suspicious.log"
NOW = "2026-01-15T12:00:00+00:00"

# The coupons of the shop, and when they expire. It is NOW.
EXPIRY = datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
COUPONS = {"TEA10": EXPIRY.isoformat(), "OLD5": "2025-12-31T23:59:59+00:00"}

# A code, and the status and the body of the response to it.
OUTCOMES = [
    pytest.param("TEA10", 200, {"status": "redeemed"}, id="good"),
    pytest.param("OLD5", 410, {"detail": "expired"}, id="expired"),
    pytest.param("NONE", 404, {"detail": "unknown"}, id="unknown"),
]


def asked(code="TEA10", customer="ada"):
    return {"code": code, "email": f"{customer}@example.com"}


@pytest.fixture(autouse=True)
def coupons(kata, clock, database, mail_server):
    for code, expires_at in COUPONS.items():
        database.insert("coupons", {"code": code, "expires_at": expires_at})


@pytest.mark.parametrize(("code", "status", "body"), OUTCOMES)
async def test_the_client_is_told_what_became_of_the_coupon(client, code, status, body):
    """Good, expired or unknown: each has its own status."""
    response = await client.post("/redeem", json=asked(code))

    assert response.status_code == status, f"the response's status for the code {code}"
    assert response.json() == body, f"the response's body for the code {code} must be this JSON"


@pytest.mark.parametrize(("code", "status", "body"), OUTCOMES)
async def test_the_attempt_is_noted_after_every_response(
    client, disk, timeline, code, status, body
):
    """The refused attempts are the ones that people look for: a task that is added before an
    HTTPException is raised is lost with it."""
    async with client.responded("POST", "/redeem", json=asked(code)) as exchange:
        early = disk.lines(ATTEMPTS)
        assert early == [], timeline.early(
            "write attempts", f"the line in {ATTEMPTS} was written before the response"
        )

    assert exchange.response.status_code == status, f"the response's status for the code {code}"
    assert disk.lines(ATTEMPTS) == [f"tried {code}"], (
        f"the lines of {ATTEMPTS} after a response of {status}. Tasks that were injected are lost "
        "where an HTTPException is raised, and where a response has a `background` of its own"
    )


@pytest.mark.parametrize(
    ("code", "mail"),
    [
        pytest.param("TEA10", ("Redeemed", None), id="good"),
        pytest.param("OLD5", ("Expired", "OLD5"), id="expired"),
    ],
)
async def test_the_customer_gets_one_mail(client, mail_server, code, mail):
    """The mail says what became of the coupon, in case the page was closed."""
    await client.post("/redeem", json=asked(code, "Ada.Lovelace"))

    assert [(m.from_, m.to, m.subject) for m in mail_server.mails] == [
        ("noreply@example.com", "Ada.Lovelace@example.com", mail[0])
    ], f"the mails that were sent for the code {code}: (From, To, Subject)"
    if mail[1] is not None:
        assert mail_server.mails[0].body == mail[1], "the body of this mail must be the code"


@pytest.mark.parametrize(
    "code", [pytest.param("TEA10", id="good"), pytest.param("OLD5", id="expired")]
)
async def test_the_mail_leaves_only_after_the_response(client, timeline, code):
    """The client must not wait for a mail server, whatever it is told."""
    await client.post("/redeem", json=asked(code))

    assert timeline.order("response", "mail") == ["response", "mail"]


async def test_an_unknown_code_is_suspicious_and_gets_no_mail(client, disk, mail_server, timeline):
    """Somebody may be trying codes: that is noted, and nobody is mailed about it."""
    async with client.responded("POST", "/redeem", json=asked("NONE")) as exchange:
        early = disk.lines(SUSPICIOUS)
        assert early == [], timeline.early(
            "write suspicious", f"the line in {SUSPICIOUS} was written before the response"
        )

    assert exchange.response.status_code == 404, "the response's status must be 404"
    assert disk.lines(SUSPICIOUS) == ["unknown NONE"], (
        f"the lines of {SUSPICIOUS} after a response of 404"
    )
    assert mail_server.mails == [], "no mail is sent for a code that nobody knows"


async def test_a_known_code_is_not_suspicious(client, disk):
    """A list of suspects with every customer on it is no use."""
    for code in COUPONS:
        await client.post("/redeem", json=asked(code))

    assert disk.lines(SUSPICIOUS) == [], f"the lines of {SUSPICIOUS}: both codes are known"
    assert disk.lines(ATTEMPTS) == ["tried TEA10", "tried OLD5"], f"the lines of {ATTEMPTS}"


async def test_each_attempt_is_noted_once(client, disk):
    """Who counts the attempts wants each of them once, in whatever order they went."""
    codes = ["NONE", "TEA10", "OLD5", "NONE", "TEA10", "tea10", " TEA10", "TEA" * 100]
    for code in codes:
        await client.post("/redeem", json=asked(code))

    assert disk.lines(ATTEMPTS) == [f"tried {code}" for code in codes], f"the lines of {ATTEMPTS}"
    assert disk.lines(SUSPICIOUS) == [f"unknown {code}" for code in codes if code not in COUPONS], (
        f"the lines of {SUSPICIOUS}: `tea10` and ` TEA10` are other codes than `TEA10`, and the last one "
        "is a long one"
    )


async def test_a_coupon_is_not_spent(client, database, mail_server):
    """This shop gives the same coupon to everybody."""
    statuses = [
        (await client.post("/redeem", json=asked(customer=name))).status_code
        for name in ("ada", "ada", "grace")
    ]

    assert statuses == [200, 200, 200], "the statuses of a code that is redeemed three times"
    assert [mail.to for mail in mail_server.mails] == [
        f"{name}@example.com" for name in ("ada", "ada", "grace")
    ], "each of them gets a mail"
    assert len(database.rows("SELECT code FROM coupons")) == 2, "the coupons are still there"


@pytest.mark.parametrize(
    ("expires_at", "status"),
    [
        pytest.param(NOW, 200, id="now"),
        pytest.param("2026-01-15T12:00:01+00:00", 200, id="in a second"),
        pytest.param("2026-01-15T11:59:59+00:00", 410, id="a second ago"),
        pytest.param("2026-01-15T21:00:00+09:00", 200, id="now in Tokyo"),
        pytest.param("2026-01-15T20:59:59+09:00", 410, id="a second ago in Tokyo"),
        pytest.param("2026-01-15T07:00:00-05:00", 200, id="now in Lima"),
        pytest.param("2026-01-15T06:59:59-05:00", 410, id="a second ago in Lima"),
        pytest.param("2026-01-15T17:30:00+05:30", 200, id="now in Delhi"),
        pytest.param("2026-01-15T11:59:59.999000+00:00", 410, id="a millisecond ago"),
    ],
)
async def test_a_coupon_is_good_until_and_including_its_moment(
    client, database, zone, expires_at, status
):
    """A moment is the same all over the world, however it is written."""
    database.insert("coupons", {"code": "EDGE", "expires_at": expires_at})

    with zone.foreign():
        response = await client.post("/redeem", json=asked("EDGE"))

    assert response.status_code == status, (
        f"the status; it is {NOW}, the coupon expires at {expires_at}, and the machine's own zone "
        "is nine hours ahead of UTC"
    )


async def test_the_table_is_asked_each_time(client, database):
    """The shop adds coupons, and changes them, while the server runs."""
    statuses = [(await client.post("/redeem", json=asked("NEW"))).status_code]
    for expires_at in (COUPONS["TEA10"], COUPONS["OLD5"]):
        database.delete("coupons")
        database.insert("coupons", {"code": "NEW", "expires_at": expires_at})
        statuses.append((await client.post("/redeem", json=asked("NEW"))).status_code)

    assert statuses == [404, 200, 410], (
        "the statuses for a code that is in no row, then in one, and then in one that has expired"
    )


async def test_a_coupon_expires_while_the_server_runs(client, clock):
    """The time is asked for when it is needed."""
    before = await client.post("/redeem", json=asked())
    clock.let_pass((EXPIRY - clock.now).total_seconds())
    last = await client.post("/redeem", json=asked())
    clock.let_pass(0.25)
    after = await client.post("/redeem", json=asked())

    assert [response.status_code for response in (before, last, after)] == [200, 200, 410], (
        f"the statuses today, at {EXPIRY.isoformat()}, when the coupon expires, and a quarter of a "
        "second later"
    )


async def test_an_endpoint_that_crashes_leaves_its_attempt(client, database, disk, mail_server):
    """The attempts of a bad night are what somebody wants to see in the morning."""
    responses = []
    for error in (None, sqlite3.DatabaseError("database disk image is malformed")):
        database.fail_queries("coupons", error)
        responses.append(await client.post("/redeem", json=asked(), crashes=True))
        database.heal()
    good = await client.post("/redeem", json=asked())

    assert [response.status_code // 100 for response in responses] == [5, 5], (
        "the statuses while no coupon can be looked up must be 5xx, and they are "
        f"{[int(response.status_code) for response in responses]}"
    )
    assert good.status_code == 200, "the status when all is well again"
    assert disk.lines(ATTEMPTS) == ["tried TEA10"] * 3, (
        f"the lines of {ATTEMPTS}: two attempts that crashed, and one that did not. The tasks of an "
        "endpoint that crashes are lost: something outside it must see to this one"
    )
    assert (disk.lines(SUSPICIOUS), len(mail_server.mails)) == ([], 1), (
        f"(lines of {SUSPICIOUS}, mails): nobody knows what the code is when it cannot be looked up, "
        "so only the one that was redeemed has a mail"
    )


async def test_attempts_that_crash_together_are_both_noted(client, database, disk):
    """What sees to the attempt of a crash must know which request it belongs to."""
    async with client.in_flight("POST", "/redeem", json=asked("OLD5"), crashes=True) as first:
        with database.hold_step(0, in_task=False):
            database.fail_queries("coupons")
            await first.until_held()
            await client.post("/redeem", json=asked("TEA10"), crashes=True)

    assert sorted(disk.lines(ATTEMPTS)) == ["tried OLD5", "tried TEA10"], (
        f"the lines of {ATTEMPTS}: two requests in flight together, and both crashed"
    )


async def test_requests_in_flight_do_not_mix(client, database, disk, mail_server):
    """Requests overlap on any real server: nothing may be shared between them."""
    database.insert("coupons", {"code": "OLD9", "expires_at": COUPONS["OLD5"]})
    wanted = [
        ("TEA10", "ada"),
        ("OLD5", "grace"),
        ("NONE", "linus"),
        ("TEA10", "edsger"),
        ("OLD9", "barbara"),
    ]
    exchanges = await client.all_responded(
        client.begin("POST", "/redeem", json=asked(*each), stop_at_response=True) for each in wanted
    )
    await client.finish(reversed(exchanges))

    assert [int(exchange.response.status_code) for exchange in exchanges] == [
        200,
        410,
        404,
        200,
        410,
    ], "the statuses"
    assert sorted((mail.to, mail.subject) for mail in mail_server.mails) == [
        ("ada@example.com", "Redeemed"),
        ("barbara@example.com", "Expired"),
        ("edsger@example.com", "Redeemed"),
        ("grace@example.com", "Expired"),
    ], "five requests in flight together: (To, Subject) of the mails"
    assert sorted(mail.body for mail in mail_server.mails if mail.subject == "Expired") == [
        "OLD5",
        "OLD9",
    ], "the bodies of the two mails about an expired coupon"
    assert sorted(disk.lines(ATTEMPTS)) == sorted(f"tried {code}" for code, _ in wanted), (
        f"five requests in flight together: the lines of {ATTEMPTS}"
    )
    assert disk.lines(SUSPICIOUS) == ["unknown NONE"], f"the lines of {SUSPICIOUS}"


@pytest.mark.parametrize(
    "code", [pytest.param(code, id=code) for code in ("TEA10", "OLD5", "NONE")]
)
async def test_what_is_done_after_the_response_does_not_hold_up_the_event_loop(
    client, disk, timeline, code
):
    """While the loop is blocked, no other request gets a response."""
    await client.post("/redeem", json=asked(code))

    assert disk.lines(ATTEMPTS) == [f"tried {code}"], "the attempt must be noted"
    assert timeline.blocked() == [], (
        "a task or a middleware worked on the event loop's thread, where every other request has to "
        "wait for it: an `async def` task runs on the loop, a `def` task runs in a worker thread"
    )


async def test_other_requests_are_answered_while_the_mail_server_is_slow(client, mail_server):
    """One slow mail server must not stop the whole shop."""
    async with client.in_flight("POST", "/redeem", json=asked("OLD5")) as first:
        with mail_server.hold() as slow_mail:
            await first.until_responded()
            await slow_mail.until_reached()
            second = await client.begin("POST", "/redeem", json=asked()).until_responded()

    assert (first.response.status_code, second.response.status_code) == (410, 200), "the statuses"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"email": "eve@example.com"}, id="no code"),
        pytest.param({"code": "TEA10"}, id="no email"),
        pytest.param({"code": "TEA10", "email": "not an address"}, id="not an address"),
        pytest.param({"code": 10, "email": "eve@example.com"}, id="code is a number"),
        pytest.param({"code": None, "email": "eve@example.com"}, id="code is null"),
    ],
)
async def test_an_invalid_body_leaves_nothing(client, disk, mail_server, bad):
    """A request that makes no sense is no attempt."""
    refused = await client.post("/redeem", json=bad)
    accepted = await client.post("/redeem", json=asked())

    assert (refused.status_code, accepted.status_code) == (422, 200), (
        "the statuses of a bad and a good request must be 422 and 200"
    )
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert (disk.lines(ATTEMPTS), disk.lines(SUSPICIOUS)) == (["tried TEA10"], []), (
        f"the lines of {ATTEMPTS} and {SUSPICIOUS}: only the good one has left any"
    )
    assert [mail.to for mail in mail_server.mails] == ["ada@example.com"], (
        "only the good one gets a mail"
    )
