"""An order: its rows, its response, and its three jobs."""

import pytest

WAREHOUSE = "https://warehouse.example.com/orders"
JOBS = ("response", "mail", "call", "commit inventory")
STOCK = "SELECT sku, quantity FROM inventory ORDER BY sku"
ITEMS = "SELECT order_id, sku, quantity FROM order_items ORDER BY order_id, sku"

# How many statements and commits of an order are looked at.
STEPS = 10


def order(customer="ada", **items):
    return {
        "customer_email": f"{customer}@example.com",
        "items": [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()],
    }


@pytest.fixture
def warehouse(services):
    return services.on("POST", WAREHOUSE)


@pytest.fixture(autouse=True)
def stock(kata, database, mail_server, warehouse):
    database.insert("inventory", {"sku": "jam", "quantity": 5}, {"sku": "tea", "quantity": 10})


async def test_the_client_gets_the_number_of_the_order(client):
    """The number is what the customer will ask about."""
    first = await client.post("/order-checkout", json=order(tea=2))
    second = await client.post("/order-checkout", json=order("grace", jam=1))

    assert (first.status_code, second.status_code) == (200, 200), "both statuses must be 200"
    assert first.json() == {"order_id": 1, "status": "processing"}, (
        "the first response's body must be this JSON"
    )
    assert second.json() == {"order_id": 2, "status": "processing"}, (
        "the second response's body must be this JSON"
    )


async def test_the_number_is_the_orders_own_whatever_the_table_held_before(
    client, database, mail_server, warehouse
):
    """A shop that has been open for years does not begin with order 1."""
    database.insert(
        "orders",
        {"id": 41, "customer_email": "linus@example.com"},
        {"id": 7, "customer_email": "linus@example.com"},
    )

    response = await client.post("/order-checkout", json=order(tea=2))

    number = response.field("order_id")
    assert database.rows("SELECT id FROM orders WHERE customer_email = 'ada@example.com'") == [
        (number,)
    ], (
        "the id of the order in the table, and the number in the response; orders 7 and 41 were there"
    )
    assert database.rows(ITEMS) == [(number, "tea", 2)], (
        "its items must be stored: (order_id, sku, quantity)"
    )
    assert [mail.body for mail in mail_server.mails] == [f"Order {number} confirmed"], (
        "the mail must name the order"
    )
    assert [call.json for call in warehouse.calls] == [{"order_id": number}], (
        "the warehouse must be told the number of the order"
    )


async def test_the_order_and_its_items_are_committed_before_the_response(client, database):
    """A customer who has the number of an order may ask for it at once."""
    async with client.responded("POST", "/order-checkout", json=order(tea=2, jam=1)) as exchange:
        number = exchange.response.field("order_id")

        assert database.rows("SELECT id, customer_email FROM orders") == [
            (number, "ada@example.com")
        ], (
            "at the moment of the response, the order with the number in the response must be committed"
        )
        assert database.rows(ITEMS) == [(number, "jam", 1), (number, "tea", 2)], (
            "at the moment of the response, the items (order_id, sku, quantity) must be committed"
        )


async def test_the_jobs_run_after_the_response_and_in_order(client, timeline):
    """First the customer, then the warehouse, then the stock: tasks run in the order they are added."""
    await client.post("/order-checkout", json=order(tea=2))

    assert timeline.order(*JOBS) == ["response", "mail", "call", "commit inventory"]


async def test_nothing_is_done_for_an_order_before_its_response(
    client, database, mail_server, warehouse
):
    """The client waits for the order to be stored, and for nothing else."""
    async with client.responded("POST", "/order-checkout", json=order(tea=2)):
        assert mail_server.mails == [], "a mail left before the response"
        assert warehouse.calls == [], "the warehouse was called before the response"
        assert database.rows(STOCK) == [("jam", 5), ("tea", 10)], (
            "the stock was changed before the response"
        )

    assert database.rows(STOCK) == [("jam", 5), ("tea", 8)], "the stock when all has finished"


async def test_the_warehouse_waits_until_the_mail_has_left(
    client, mail_server, warehouse, database
):
    """A job starts only when the one before has ended."""
    async with client.in_flight("POST", "/order-checkout", json=order(tea=2)):
        with mail_server.hold() as slow_mail:
            await slow_mail.until_reached()
            await client.give_turns()

            assert warehouse.calls == [], (
                "the warehouse was called while the mail was still under way"
            )
            assert database.rows(STOCK) == [("jam", 5), ("tea", 10)], (
                "the stock was changed while the mail was still under way"
            )

    assert len(warehouse.calls) == 1, "the warehouse must be called in the end"


async def test_the_stock_waits_until_the_warehouse_has_answered(client, warehouse, database):
    """A job starts only when the one before has ended."""
    async with client.in_flight("POST", "/order-checkout", json=order(tea=2)):
        with warehouse.hold() as slow_call:
            await slow_call.until_reached()
            await client.give_turns()

            assert database.rows(STOCK) == [("jam", 5), ("tea", 10)], (
                "the stock was changed while the warehouse had not yet answered"
            )

    assert database.rows(STOCK) == [("jam", 5), ("tea", 8)], "the stock when all has finished"


async def test_the_mail_confirms_the_order(client, mail_server):
    """The customer reads which order it is about."""
    await client.post("/order-checkout", json=order("ada", tea=2, jam=1))
    await client.post("/order-checkout", json=order("grace", jam=1))

    assert {mail.sender for mail in mail_server.mails} == {"noreply@example.com"}, (
        "whom the mail server was told as the sender (MAIL FROM), which is where mails that bounce go"
    )
    assert [(mail.from_, mail.to, mail.subject, mail.body) for mail in mail_server.mails] == [
        ("noreply@example.com", "ada@example.com", "Order Confirmed", "Order 1 confirmed"),
        ("noreply@example.com", "grace@example.com", "Order Confirmed", "Order 2 confirmed"),
    ], "the mails that were sent: (From, To, Subject, body)"


async def test_the_warehouse_is_told_the_number_of_the_order_as_json(client, warehouse):
    """The warehouse packs what has this number, and reads JSON only where it is called JSON."""
    await client.post("/order-checkout", json=order(tea=2, jam=1))

    assert [call.json for call in warehouse.calls] == [{"order_id": 1}], (
        f"the JSON bodies of all calls of POST {WAREHOUSE}"
    )
    sent_as = warehouse.calls[0].headers.get("content-type", "")
    assert sent_as.partition(";")[0] == "application/json", (
        "the header Content-Type of the call: `json=` sets it, `content=` does not"
    )


async def test_what_is_ordered_is_taken_off_the_stock(client, database):
    """Each line of the order counts, also when two name the same thing."""
    pens = {f"pen {number}": number for number in range(1, 31)}
    database.insert("inventory", *({"sku": sku, "quantity": 100} for sku in pens))
    body = order(tea=2, jam=1, **pens)
    body["items"].append({"sku": "tea", "quantity": 3})

    await client.post("/order-checkout", json=body)

    assert dict(database.rows(STOCK)) == {
        "jam": 4,
        "tea": 5,
        **{sku: 100 - quantity for sku, quantity in pens.items()},
    }, (
        "the stock was 5 jam, 10 tea and 100 of each of thirty pens; ordered were 2 tea, 1 jam, 1 of the first pen to 30 "
        "of the last, and 3 tea more"
    )
    stored = database.rows("SELECT sku, sum(quantity) FROM order_items GROUP BY sku")
    assert dict(stored) == {"jam": 1, "tea": 5, **pens}, (
        "the items that were stored, added up for each sku"
    )


async def test_only_what_is_ordered_is_taken_off_the_stock(client, database):
    """`Tea`, `tea` and `te_` are three different skus."""
    database.insert("inventory", {"sku": "Tea", "quantity": 7}, {"sku": "te_", "quantity": 900})

    await client.post("/order-checkout", json=order(Tea=1, te_=250))

    assert database.rows(STOCK) == [("Tea", 6), ("jam", 5), ("te_", 650), ("tea", 10)], (
        "the stock was 7 Tea, 5 jam, 900 te_ and 10 tea; ordered were 1 Tea and 250 te_"
    )
    assert database.rows(ITEMS) == [(1, "Tea", 1), (1, "te_", 250)], (
        "the items that were stored, as they were ordered: (order_id, sku, quantity)"
    )


async def test_an_order_held_up_does_not_undo_the_stock_of_another(client, database, warehouse):
    """Between reading a number and writing it back, others write it too."""
    async with client.in_flight("POST", "/order-checkout", json=order("ada", tea=2)):
        with warehouse.hold() as slow_call:
            await slow_call.until_reached()
            second = client.begin("POST", "/order-checkout", json=order("grace", tea=3))
            await second.until_responded()
            await client.finish_what_can([second])

            assert not second.finished or database.rows(STOCK) == [("jam", 5), ("tea", 7)], (
                "of 10 tea, 2 and 3 were ordered; the second order has finished, and the first is held up at the "
                "warehouse: only the items of the second may be taken off by now"
            )

    assert database.rows(STOCK) == [("jam", 5), ("tea", 5)], (
        "of 10 tea, 2 and 3 were ordered; the second order came while the first was held up at the warehouse. "
        "Let the database subtract, do not write a number that was read before"
    )


async def test_two_orders_at_the_same_moment_both_come_off_the_stock(client, database):
    """Between reading a number and writing it back, others write it too."""
    database.insert("inventory", {"sku": "ink", "quantity": 500}, {"sku": "pen", "quantity": 500})
    for step in range(STEPS):
        ada, grace = order("ada", ink=2, pen=4), order("grace", ink=3, pen=5)
        async with client.in_flight("POST", "/order-checkout", json=ada) as first:
            with database.hold_step(step):
                held = await first.until_held()
                second = client.begin("POST", "/order-checkout", json=grace)
                await client.finish_what_can([first, second])

        left = 500 - 5 * (step + 1), 500 - 9 * (step + 1)
        assert database.rows("SELECT sku, quantity FROM inventory WHERE sku IN ('ink', 'pen')") == [
            ("ink", left[0]),
            ("pen", left[1]),
        ], (
            "the stock after two orders of 2 and 3 ink, 4 and 5 pen: the tasks of the first were held at their "
            f"statement or commit number {step + 1}, while the second ran through. "
            "Let the database subtract (`SET quantity = quantity - 2`), do not read, subtract and write"
        )
        if not held:
            break


async def test_orders_in_flight_do_not_mix(client, database, mail_server, warehouse):
    """Requests overlap on any real server: nothing may be shared between them."""
    names = ["ada", "grace", "linus", "ada"]
    exchanges = await client.all_responded(
        client.begin("POST", "/order-checkout", json=order(name, tea=1), stop_at_response=True)
        for name in names
    )
    await client.finish(reversed(exchanges))

    numbers = [exchange.response.field("order_id") for exchange in exchanges]
    assert sorted(numbers) == [1, 2, 3, 4], "four orders in flight together must have four numbers"
    assert sorted((mail.to, mail.body) for mail in mail_server.mails) == sorted(
        (f"{name}@example.com", f"Order {number} confirmed")
        for name, number in zip(names, numbers, strict=True)
    ), "each customer must get the mail about their own order: (To, body)"
    assert sorted(str(call.json) for call in warehouse.calls) == [
        "{'order_id': 1}",
        "{'order_id': 2}",
        "{'order_id': 3}",
        "{'order_id': 4}",
    ], "the warehouse must hear of each order once"
    assert database.rows(STOCK) == [("jam", 5), ("tea", 6)], (
        "four orders of one tea each must be taken off the stock"
    )


async def test_two_orders_at_the_same_moment_keep_their_numbers_and_items_apart(client, database):
    """A number that is counted or looked up, and not given by the database, is soon given twice."""
    for step in range(STEPS):
        ada, grace = order(f"ada{step}", tea=1), order(f"grace{step}", jam=1)
        async with client.in_flight("POST", "/order-checkout", json=ada, crashes=True) as first:
            with database.hold_step(step, in_task=False):
                held = await first.until_held()
                second = client.begin("POST", "/order-checkout", json=grace, crashes=True)
                await client.finish_what_can([first, second])

        numbers = [exchange.response.field("order_id") for exchange in (first, second)]
        stored = database.rows(
            "SELECT customer_email, orders.id, sku FROM orders LEFT JOIN order_items "
            "ON order_id = orders.id WHERE customer_email LIKE ? ORDER BY 1",
            f"%{step}@%",
        )
        assert stored == [
            (f"ada{step}@example.com", numbers[0], "tea"),
            (f"grace{step}@example.com", numbers[1], "jam"),
        ], (
            "two orders: (customer_email, number, sku), with the numbers that their responses say; the first was held "
            f"at its statement or commit number {step + 1}, while the second ran through"
        )
        if not held:
            break


async def test_other_requests_are_answered_while_the_jobs_run(client, mail_server, timeline):
    """The event loop serves everybody: nothing that waits or works may sit on it."""
    async with client.in_flight("POST", "/order-checkout", json=order(tea=2)) as first:
        with mail_server.hold() as slow_mail:
            await first.until_responded()
            await slow_mail.until_reached()
            await client.begin("POST", "/order-checkout", json=order(tea=1)).until_responded()

    assert timeline.blocked() == [], (
        "a task or a middleware worked on the event loop's thread, where every other request has to wait for it: "
        "an `async def` task runs on the loop, a `def` task runs in a worker thread"
    )


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"customer_email": "eve@example.com", "items": []}, id="no items"),
        pytest.param({"customer_email": "eve@example.com"}, id="items missing"),
        pytest.param(order("eve", tea=0), id="quantity 0"),
        pytest.param(order("eve", tea=-1), id="quantity -1"),
        pytest.param(order("eve", jam=3, tea=0), id="quantity 0 in the second line"),
        pytest.param(order("eve", jam=-1, tea=3), id="quantity -1 in the first line"),
        pytest.param({"items": [{"sku": "tea", "quantity": 1}]}, id="no address"),
        pytest.param({**order(tea=1), "customer_email": None}, id="address null"),
        pytest.param({**order(tea=1), "customer_email": ""}, id="address empty"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(
    client, database, mail_server, warehouse, bad
):
    """A request that is refused must not leave an order, a mail or a call."""
    refused = await client.post("/order-checkout", json=bad)
    accepted = await client.post("/order-checkout", json=order(tea=2))

    assert (refused.status_code, accepted.status_code) == (422, 200), (
        "the statuses of a bad and a good one must be 422 and 200"
    )
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert len(database.rows("SELECT id FROM orders")) == 1, "only the good one is stored"
    assert len(database.rows(ITEMS)) == 1, "only the good one's items are stored"
    assert (len(mail_server.mails), len(warehouse.calls)) == (1, 1), (
        "only the good one has its jobs"
    )
    assert database.rows(STOCK) == [("jam", 5), ("tea", 8)], "only the good one is taken off"
