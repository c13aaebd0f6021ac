"""An order, and its three jobs: each of them may fail, and takes no other along."""

import httpx
import pytest
from fastapi import HTTPException

from dojo.doubles.http import hung_up, silence, unreachable

WAREHOUSE = "https://warehouse.example.com/orders"
KINDS = ["receipt", "warehouse", "points"]
ORDERS = "SELECT id, email, total_cents FROM orders ORDER BY id"
STATUSES = "SELECT kind, status FROM jobs ORDER BY id"
ERRORS = "SELECT kind, error FROM jobs ORDER BY id"
POINTS = "SELECT email, points FROM points ORDER BY email"
DONE = [("receipt", "done"), ("warehouse", "done"), ("points", "done")]

# How many statements and commits of an order are looked at.
STEPS = 14


def order(customer="ada", total=1250):
    return {"email": f"{customer}@example.com", "total_cents": total}


def but(kind, status="failed"):
    """The statuses of an order of which one job went wrong."""
    return [(each, status if each == kind else "done") for each in KINDS]


@pytest.fixture
def warehouse(services):
    return services.on("POST", WAREHOUSE)


@pytest.fixture(autouse=True)
def shop(kata, database, mail_server, warehouse):
    """All that an order needs is there."""


def check_nothing_escaped(response):
    assert response.status_code == 200, "the client has its response, whatever becomes of the jobs"
    raised = response.exchange.raised
    assert raised is None, (
        f"after a 200 no exception may leave the app, and this one did: {raised!r}"
    )


async def test_the_client_gets_the_number_of_the_order(client):
    """The number is what the customer will ask about."""
    responses = [await client.post("/orders", json=order(name)) for name in ("ada", "grace")]

    assert [response.status_code for response in responses] == [200, 200], (
        "the responses' statuses must be 200"
    )
    assert [response.json() for response in responses] == [{"order_id": 1}, {"order_id": 2}], (
        "the responses' bodies must be this JSON"
    )


async def test_the_order_and_its_jobs_are_committed_before_the_response(client, database):
    """What is written down can be looked up, and done again by somebody, whatever happens next."""
    async with client.responded("POST", "/orders", json=order()) as exchange:
        number = exchange.response.field("order_id")

        assert database.rows(ORDERS) == [(number, "ada@example.com", 1250)], (
            "at the moment of the response the order must be committed: (id, email, total_cents)"
        )
        assert database.rows("SELECT order_id, kind, status, error FROM jobs ORDER BY id") == [
            (number, kind, "pending", None) for kind in KINDS
        ], (
            "at the moment of the response its jobs must be committed, `pending` and in the order "
            "of JOBS: (order_id, kind, status, error)"
        )


async def test_an_order_is_never_seen_without_its_jobs(client, database):
    """A server that dies between two commits leaves an order that nobody works on."""
    for step in range(STEPS):
        async with client.in_flight("POST", "/orders", json=order(f"ada{step}")) as exchange:
            with database.hold_step(step, in_task=False):
                held = await exchange.until_held()
                counts = (
                    len(database.rows("SELECT id FROM orders")) - step,
                    len(database.rows("SELECT id FROM jobs")) - 3 * step,
                )

        if not held:
            break
        assert counts in [(0, 0), (1, 3)], (
            "an order and its three jobs are committed in one transaction, and another connection saw "
            f"{counts[0]} order(s) with {counts[1]} job(s) before statement or commit number {step + 1}"
        )


@pytest.mark.parametrize("kind", KINDS)
async def test_there_is_no_order_where_a_job_cannot_be_stored(
    client, database, mail_server, warehouse, kind
):
    """Half an order is worse than none: the client would not know that it has to ask again."""
    database.refuse_rows("jobs", when=f"NEW.kind = '{kind}'")

    response = await client.post("/orders", json=order(), crashes=True)

    assert 500 <= response.status_code <= 599, (
        f"the status where the job `{kind}` cannot be stored must be a 5xx, "
        f"and it is {response.status_code:d}"
    )
    assert database.rows(ORDERS) == [], f"the orders, where the job `{kind}` cannot be stored"
    assert database.rows(STATUSES) == [], f"the jobs, where the job `{kind}` cannot be stored"
    assert (mail_server.mails, warehouse.calls, database.rows(POINTS)) == ([], [], []), (
        "nothing may be done for an order that does not exist: (mails, calls, points)"
    )


async def test_the_jobs_run_after_the_response_and_in_order(client, timeline):
    """First the customer, then the warehouse, then the points."""
    await client.post("/orders", json=order())

    happened = timeline.order("response", "mail", "call", "commit points")
    assert happened == ["response", "mail", "call", "commit points"]


async def test_the_receipt_is_mailed_to_the_customer(client, mail_server):
    """The total is written as people write it."""
    totals = [1250, 5, 100, 123456789, 0]
    for total in totals:
        await client.post("/orders", json=order(total=total))

    assert [(m.from_, m.to, m.subject, m.body) for m in mail_server.mails] == [
        ("noreply@example.com", "ada@example.com", "Receipt", f"Order {number}: {euros}")
        for number, euros in enumerate(["12.50", "0.05", "1.00", "1234567.89", "0.00"], 1)
    ], f"the mails that were sent: (From, To, Subject, body); the totals were {totals} cents"


async def test_the_warehouse_is_told_the_number_of_the_order_as_json(client, warehouse):
    """The warehouse packs what has this number."""
    await client.post("/orders", json=order())
    await client.post("/orders", json=order("grace"))

    assert [call.json for call in warehouse.calls] == [{"order_id": 1}, {"order_id": 2}], (
        f"the JSON bodies of all calls of POST {WAREHOUSE}"
    )
    kind = warehouse.calls[0].headers.get("content-type", "")
    assert kind.partition(";")[0] == "application/json", (
        "the header Content-Type of the call: `json=` sets it, `content=` does not"
    )


async def test_each_full_hundred_cents_is_a_point(client, database):
    """Points add up from order to order, and each customer has their own."""
    database.insert("points", {"email": "linus@example.com", "points": 40})
    for name, total in [("ada", 1250), ("grace", 199), ("ada", 1060), ("linus", 99), ("ada", 100)]:
        await client.post("/orders", json=order(name, total))

    assert database.rows(POINTS) == [
        ("ada@example.com", 23),
        ("grace@example.com", 1),
        ("linus@example.com", 40),
    ], (
        "the rows of `points`: ada's orders were 1250, 1060 and 100 cents, grace's 199; linus had 40 "
        "points, and his order was 99 cents. Each order is rounded down by itself"
    )


async def test_jobs_that_succeed_are_done(client, database, logs):
    """`done` says that nobody needs to look."""
    await client.post("/orders", json=order())

    assert database.rows(STATUSES) == DONE, "(kind, status) when all has finished"
    assert database.rows(ERRORS) == [(kind, None) for kind in KINDS], (
        "(kind, error): a job that succeeded has no error, null"
    )
    assert logs.failures == [], "nothing failed, so nothing is logged as WARNING or above"


@pytest.mark.parametrize("trouble", ["down", "refusing"])
async def test_a_receipt_that_fails_takes_no_other_job_along(
    client, database, mail_server, warehouse, logs, trouble
):
    """The first task that raises ends the list: the goods would stay where they are."""
    mail_server.go_down() if trouble == "down" else mail_server.refuse()

    response = await client.post("/orders", json=order())

    check_nothing_escaped(response)
    assert database.rows(STATUSES) == but("receipt"), "(kind, status): only the mail failed"
    assert database.rows(ERRORS)[0][1], "the job `receipt` failed, so it has an error"
    assert [call.json for call in warehouse.calls] == [{"order_id": 1}], "the warehouse is told"
    assert database.rows(POINTS) == [("ada@example.com", 12)], "and the points are added"
    assert logs.tracebacks, "the failure must be logged at ERROR, with its traceback"
    assert len(mail_server.sessions) == (0 if trouble == "down" else 1), (
        "no job is tried twice: the sessions with the mail server"
    )


@pytest.mark.parametrize(
    "reply",
    [
        *(pytest.param(status, id=f"status {status}") for status in (300, 304, 404, 429, 500, 503)),
        pytest.param(
            httpx.Response(307, headers={"location": "https://other.example.com/"}), id="redirect"
        ),
        pytest.param(unreachable, id="not reachable"),
        pytest.param(silence, id="no response in time"),
        pytest.param(hung_up, id="closed without a response"),
    ],
)
async def test_a_warehouse_that_fails_takes_no_other_job_along(
    client, database, mail_server, services, warehouse, logs, reply
):
    """Anything but 2xx is a failure, and the points are the customer's all the same."""
    other = services.on("POST", "https://other.example.com/")
    warehouse.replies_with(reply)

    response = await client.post("/orders", json=order())

    check_nothing_escaped(response)
    assert database.rows(STATUSES) == but("warehouse"), "(kind, status): only the call failed"
    assert database.rows(ERRORS)[1][1] is not None, (
        "the job `warehouse` failed, so its error is not null"
    )
    assert database.rows(POINTS) == [("ada@example.com", 12)], "the points must be added"
    assert logs.tracebacks, "the failure must be logged at ERROR, with its traceback"
    assert not warehouse.endless, (
        "the call has no time limit: with `timeout=None` it waits for ever"
    )
    assert (len(warehouse.calls), len(other.calls)) == (1, 0), (
        "no job is tried twice, and a redirect is no 2xx: the calls of the warehouse, and of the "
        "address that it redirects to"
    )


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_of_the_warehouse_is_good(client, database, warehouse, status):
    """Every status from 200 to 299 says that the warehouse knows."""
    warehouse.replies_with(httpx.Response(status))

    await client.post("/orders", json=order())

    assert database.rows(STATUSES) == DONE, f"(kind, status); the warehouse responded {status}"


@pytest.mark.parametrize("table", ["orders", "jobs"])
async def test_what_a_task_reads_first_may_fail_too(client, database, table):
    """A guard round each job is not enough where something stands before the first of them."""
    async with client.responded("POST", "/orders", json=order()) as exchange:
        database.fail_queries(table)

    check_nothing_escaped(exchange.response)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(HTTPException(409, "out of stock"), id="HTTPException"),
        pytest.param(KeyError("order_id"), id="KeyError"),
        pytest.param(RuntimeError("the belt is torn,\n" * 40), id="RuntimeError"),
        pytest.param(ValueError(), id="no text"),
    ],
)
@pytest.mark.parametrize("kind", ["warehouse", "points"])
async def test_any_exception_of_a_job_stays_with_it(
    client, database, mail_server, warehouse, logs, kind, error
):
    """In a task, nobody turns an HTTPException into a response."""
    await client.post("/orders", json=order("grace"))
    if kind == "warehouse":
        warehouse.replies_with(error)
    else:
        database.fail_changes("points", error)

    response = await client.post("/orders", json=order())

    check_nothing_escaped(response)
    assert database.rows(STATUSES) == DONE + but(kind), (
        f"(kind, status) of an order where all went well, and of the next one, whose {kind} raised "
        f"{error!r}"
    )
    errors = dict(database.rows(ERRORS)[3:])
    if str(error) or errors[kind] is None:
        assert errors == {each: str(error) if each == kind else None for each in KINDS}, (
            f"the errors by kind: str(exception) of the job that raised {error!r} (any text will do "
            "where that is empty, but null is no text), and null for the others"
        )
    expected = [("ada@example.com", 12)] if kind == "warehouse" else []
    assert (len(mail_server.mails), len(warehouse.calls), database.rows(POINTS)) == (
        2,
        2,
        [*expected, ("grace@example.com", 12)],
    ), "each job is tried once, and what did not fail is done: (mails, calls, points)"
    assert any(type(error).__name__ in text for text in logs.tracebacks), (
        "the failure must be logged at ERROR, with its traceback: `log.exception` does both; "
        f"the tracebacks that were logged: {logs.tracebacks}"
    )


async def test_when_every_job_fails_each_is_failed(client, database, mail_server, warehouse, logs):
    """A bad day is no reason to stop counting."""
    mail_server.go_down()
    warehouse.replies_with(500)
    database.fail_changes("points")

    response = await client.post("/orders", json=order())

    check_nothing_escaped(response)
    assert database.rows(STATUSES) == [(kind, "failed") for kind in KINDS], (
        "(kind, status) where all three failed"
    )
    assert len(logs.tracebacks) >= 3, (
        "each failure must be logged at ERROR, with its traceback; so many tracebacks were logged"
    )


async def test_the_status_of_a_job_is_committed_before_the_next_one_starts(
    client, database, mail_server, warehouse
):
    """Somebody who looks while a job takes its time sees what became of those before it."""
    mail_server.refuse()
    async with client.in_flight("POST", "/orders", json=order()):
        with warehouse.hold() as slow_call:
            await slow_call.until_reached()
            at_the_call = database.rows(STATUSES)
            with database.hold_changes("points") as slow_points:
                slow_call.release()
                await slow_points.until_reached()
                at_the_points = database.rows(STATUSES)

    assert at_the_call[:1] == [("receipt", "failed")], (
        "(kind, status) while the warehouse is called: the mail had failed by then"
    )
    assert at_the_points[:2] == [("receipt", "failed"), ("warehouse", "done")], (
        "(kind, status) just before the points are written: the call had succeeded by then"
    )
    assert not {("warehouse", "done"), ("points", "done")}.intersection(
        [*at_the_call[1:], *at_the_points[2:]]
    ), (
        "a job is `done` when it has succeeded, and not while it runs: (kind, status) while the "
        f"warehouse was called: {at_the_call}, and just before the points were written: {at_the_points}"
    )


async def test_a_job_waits_for_the_one_before_it(client, database, mail_server, warehouse):
    """One after the other: a job may rely on what was done before."""
    async with client.in_flight("POST", "/orders", json=order()):
        with mail_server.hold() as slow_mail:
            await slow_mail.until_reached()
            await client.give_turns()
            assert (len(warehouse.calls), database.rows(POINTS)) == (0, []), (
                "(calls, points) while the mail was still under way"
            )
            with warehouse.hold() as slow_call:
                slow_mail.release()
                await slow_call.until_reached()
                await client.give_turns()
                assert database.rows(POINTS) == [], (
                    "the points while the warehouse had not responded yet"
                )


async def test_a_status_that_cannot_be_stored_stops_no_job(
    client, database, mail_server, warehouse, logs
):
    """The note that a job is done is less than the job."""
    async with client.responded("POST", "/orders", json=order()) as exchange:
        database.fail_changes("jobs")

    check_nothing_escaped(exchange.response)
    assert (len(mail_server.mails), len(warehouse.calls)) == (1, 1), (
        "(mails, calls) where no status could be stored: each job is done, once"
    )
    assert database.rows(POINTS) in ([("ada@example.com", 12)], []), (
        "the points where no status could be stored: added once, or not at all by who commits them "
        "together with their status"
    )
    assert logs.failures, "a status that cannot be stored must be logged, as WARNING or above"


async def test_a_status_lost_leaves_the_others(client, database, warehouse):
    """The trouble of a moment is no reason to forget what comes after it."""
    async with client.responded("POST", "/orders", json=order()) as exchange:
        database.fail_changes("jobs")
        with warehouse.hold() as call:
            exchange.release()
            await call.until_reached()
            database.heal()

    check_nothing_escaped(exchange.response)
    assert database.rows(STATUSES)[1:] == DONE[1:], (
        "(kind, status) of the second and the third job: only the status of the first one could not be "
        "stored"
    )
    assert database.rows(POINTS) == [("ada@example.com", 12)], "the points, whose status was stored"


async def test_two_orders_of_one_customer_both_bring_their_points(client, database):
    """Between reading a number and writing it back, another order writes it too."""
    for step in range(STEPS):
        email = f"ada{step}@example.com"
        body = {"email": email, "total_cents": 1000}
        async with client.in_flight("POST", "/orders", json=body) as first:
            with database.hold_step(step):
                held = await first.until_held()
                second = client.begin("POST", "/orders", json=body)
                await client.finish_what_can([first, second])

        assert database.rows("SELECT points FROM points WHERE email = ?", email) == [(20,)], (
            "the points of a customer after two orders of 10.00 each: the task of the first was held at "
            f"its statement or commit number {step + 1}, while the second ran through. Let the database "
            "add (`SET points = points + 10`, or an upsert), do not read, add and write"
        )
        if not held:
            break


async def test_orders_in_flight_do_not_mix(client, database, mail_server, warehouse):
    """Requests overlap on any real server: nothing may be shared between them."""
    names = ["ada", "grace", "linus"]
    exchanges = await client.all_responded(
        client.begin("POST", "/orders", json=order(name, 100 * n), stop_at_response=True)
        for n, name in enumerate(names, 1)
    )
    await client.finish(reversed(exchanges))

    numbers = [exchange.response.field("order_id") for exchange in exchanges]
    assert sorted(numbers) == [1, 2, 3], "three orders in flight together have three numbers"
    assert sorted((mail.to, mail.body) for mail in mail_server.mails) == sorted(
        (f"{name}@example.com", f"Order {number}: {n}.00")
        for n, (name, number) in enumerate(zip(names, numbers, strict=True), 1)
    ), "each customer gets the receipt of their own order: (To, body)"
    assert sorted(str(call.json) for call in warehouse.calls) == [
        f"{{'order_id': {number}}}" for number in (1, 2, 3)
    ], "the warehouse must hear of each order once"
    assert database.rows(POINTS) == [
        (f"{name}@example.com", n) for n, name in enumerate(names, 1)
    ], "each customer gets the points of their own order"
    assert database.rows(STATUSES) == DONE * 3, "(kind, status): each order has jobs of its own"


async def test_other_requests_are_answered_while_the_jobs_run(
    client, mail_server, warehouse, timeline
):
    """The event loop serves everybody: nothing that waits or works may sit on it."""
    warehouse.replies_with(500)
    async with client.in_flight("POST", "/orders", json=order()) as first:
        with mail_server.hold() as slow_mail:
            await first.until_responded()
            await slow_mail.until_reached()
            await client.begin("POST", "/orders", json=order("grace")).until_responded()

    assert timeline.blocked() == [], (
        "a task worked on the event loop's thread, where every other request has to wait for it: "
        "an `async def` task runs on the loop, a `def` task runs in a worker thread"
    )


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"email": "not an address", "total_cents": 100}, id="no address"),
        pytest.param({"email": "", "total_cents": 100}, id="address empty"),
        pytest.param(order(total=-1), id="total -1"),
        pytest.param(order(total=-100_000), id="total -100000"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(
    client, database, mail_server, warehouse, bad
):
    """A request that is refused must not leave an order, a job or a mail."""
    refused = await client.post("/orders", json=bad)
    accepted = await client.post("/orders", json=order())

    assert (refused.status_code, accepted.status_code) == (422, 200), (
        "the statuses of a bad and a good one must be 422 and 200"
    )
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert len(database.rows(ORDERS)) == 1, "only the good one is stored"
    assert database.rows(STATUSES) == DONE, "only the good one has jobs"
    assert (len(mail_server.mails), len(warehouse.calls)) == (1, 1), (
        "only the good one is worked on"
    )


async def test_an_address_is_stored_as_emailstr_returns_it(client, database, mail_server):
    """The domain in lower case, the rest as it was typed: one customer, one row of points."""
    for email in ("Ada@EXAMPLE.com", "Ada@example.com"):
        await client.post("/orders", json={"email": email, "total_cents": 100})

    assert [row[1] for row in database.rows(ORDERS)] == ["Ada@example.com"] * 2, (
        "the addresses of the orders, as EmailStr returns them"
    )
    assert database.rows(POINTS) == [("Ada@example.com", 2)], "the points of both are one row's"
