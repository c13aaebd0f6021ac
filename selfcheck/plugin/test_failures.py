"""The report of a red spec: what happened, what was expected, and the likely reason."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from dojo.harness import frames
from dojo.harness.current import ExchangeState
from dojo.harness.environment import Environment, client_of
from dojo.harness.timeline import MADE, Timeline
from dojo.plugin import render
from dojo.plugin.diagnosis import failure
from dojo.plugin.failures import Comparison, Failure, title_of
from dojo.plugin.rows import rows_of
from dojo.plugin.terminal import grouped
from dojo.plugin.values import compared, failed, plain
from selfcheck.projects import KATA, RIGHT, SPEC, Once, Project, changed, part, said
from selfcheck.worlds import answer

ADD = 'background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")'
WRONG = {
    "k01_argument_missing": (ADD, "background_tasks.add_task(write_log, email)"),
    "k02_called": (ADD, "background_tasks.add_task(write_log(LOG_FILE, email))"),
    "k03_no_annotation": ("background_tasks: BackgroundTasks", "background_tasks"),
    "k04_route_misspelt": ("/send-notification", "/send-notificaton"),
    "k05_get_for_post": ("app.post", "app.get"),
    "k06_name_in_task": ("    with open", "    mesage.strip()\n    with open"),
    "k08_only_logged": (
        "    with open",
        "    import logging\n"
        "    try:\n        mesage.strip()\n"
        '    except NameError as error:\n        logging.error("no: %s", error)\n        return\n'
        "    with open",
    ),
    "k09_thread": (
        ADD,
        "import threading\n    threading.Thread(target=write_log, args=(LOG_FILE, email)).start()",
    ),
    "k10_task": (
        ADD,
        "import asyncio\n    asyncio.create_task(asyncio.to_thread(write_log, LOG_FILE, email))",
    ),
}
WRONG["k07_never_attached"] = (ADD, ADD.replace("background_tasks", "BackgroundTasks()"))


@pytest.fixture
def wrong(project: Project, once: Once) -> pytest.RunResult:
    """A kata for each mistake, all of them shown."""

    def run() -> pytest.RunResult:
        for name, (old, new) in WRONG.items():
            project.add(name, changed(old, new, RIGHT))
        return project.run(*(f"tests/test_{name}.py" for name in WRONG))

    return once("messages", run)


def told(wrong: pytest.RunResult, name: str) -> str:
    """The report of one of the mistakes, in one line."""
    return " ".join(part(wrong, name[:3]).split())


def line_of(name: str, source: str) -> str:
    text = changed(*WRONG[name], RIGHT)
    number = next(n for n, line in enumerate(text.splitlines(), 1) if source in line)
    return f"katas/{name}/app.py:{number}"


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        (
            "k01_argument_missing",
            "add_task",
            "the background task write_log failed: TypeError: write_log() missing 1 required "
            "positional argument: 'message' likely the arguments of add_task do not fit "
            "write_log(filename: str, message: str) -> None: missing a required argument: "
            "'message'. The line: {line} `background_tasks.add_task(write_log, email)`",
        ),
        (
            "k02_called",
            "add_task",
            "add_task was given None and not a function: add_task(f(x)) calls f at once and hands "
            "over its result; write add_task(f, x). The line: {line} `",
        ),
        (
            "k06_name_in_task",
            "mesage.strip",
            "the background task write_log failed: NameError: name 'mesage' is not defined",
        ),
        (
            "k07_never_attached",
            "add_task",
            "the background task write_log was made and never ran likely only the BackgroundTasks "
            "that FastAPI hands to the endpoint, or that a response carries as its `background`, "
            "are run. The line: {line} `",
        ),
        (
            "k08_only_logged",
            "mesage.strip",
            "your code this exception was only logged: {line} in write_log: mesage.strip() "
            "NameError: name 'mesage' is not defined",
        ),
        (
            "k09_thread",
            "Thread(",
            "it ran in a thread that was started at {line}. What your code starts itself begins "
            "before the response, and nobody waits for it",
        ),
        (
            "k10_task",
            "create_task",
            "it ran in an asyncio task that was started at {line}. What your code starts itself "
            "begins before the response, and nobody waits for it",
        ),
    ],
)
def test_the_reason_is_what_was_seen_with_the_line(wrong, name, source, message):
    """A guess that is wrong sends people the wrong way."""
    assert message.format(line=line_of(name, source)) in told(wrong, name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "k03_no_annotation",
            "response 422 to POST /send-notification refused query.background_tasks: Field "
            "required likely `background_tasks` has no type, so FastAPI takes it for a part of the "
            "request: write `background_tasks: BackgroundTasks`",
        ),
        (
            "k04_route_misspelt",
            "POST /send-notification got 404: your app has no such route likely your app has "
            "POST /send-notificaton: is the path or the method another one?",
        ),
        (
            "k05_get_for_post",
            "POST /send-notification got 405: your app has no such route likely your app has "
            "GET /send-notification: is the path or the method another one?",
        ),
    ],
)
def test_a_request_that_is_refused_says_what_the_app_would_take(wrong, name, message):
    """A status alone explains nothing."""
    assert message in told(wrong, name)


@pytest.mark.parametrize(
    "name", ["k03_no_annotation", "k04_route_misspelt", "k06_name_in_task", "k07_never_attached"]
)
def test_one_reason_is_one_block(wrong, name):
    """Eight times the same is not eight times as helpful."""
    text = part(wrong, name[:3])

    assert text.count("✗ ") == 1
    assert re.search(r"  and \d+ more specs for the same reason \(-v names them\)", text)


def test_where_some_fail_for_another_reason_the_most_frequent_comes_first(wrong):
    """With the rest to be looked at when it is gone."""
    text = part(wrong, "k08")

    assert re.match(r"\s*\d+ of these \d+ fail for one reason\. Begin with it:", text)


@pytest.mark.parametrize("name", ["k09_thread", "k10_task"])
def test_a_likely_reason_is_said_once_in_each_block(wrong, name):
    """The spec and the tool come to the same reason."""
    blocks = re.split("run alone", told(wrong, name))

    assert any("nobody waits for it" in block for block in blocks)
    assert [
        block for block in blocks if block.count("What your code starts itself begins") > 1
    ] == []


def test_a_red_spec_says_how_it_is_run_alone(wrong):
    """Paths can be clicked, and the id can be copied."""
    text = part(wrong, "k09")
    spec = SPEC.replace(KATA, "k09_thread")

    assert f"  the spec   {spec}:" in text
    assert f"  run alone  pytest {spec}::test_the_line_is_written_only_after_the_response" in text


def test_twenty_requests_that_went_alike_are_three(wrong):
    """Sixty rows hide the one that matters."""
    text = part(wrong, "k09").partition("Twenty requests")[2].partition("✗")[0]

    assert re.search(r"… \d+ more requests like these", text)
    assert len(text.splitlines()) < 40


def test_no_path_of_the_tool_is_shown(wrong):
    """Only the learner's own."""
    assert "dojo/" not in said(wrong)
    assert "warnings summary" not in said(wrong)


# ----- reasons, one by one


async def red(environment: Environment, tmp_path, source: str, *names: str) -> Failure:
    """The failure when events did not come in this order, in an app with this source."""
    with answer(tmp_path, source) as module:
        async with client_of(module.app, environment) as client:
            await client.post("/")
        try:
            assert environment.timeline.order(*names) == list(names)
        except AssertionError as error:
            return failure("k99", "test_order", "", error, environment, "")
    raise AssertionError("the order is as it should be")


JOBS = """
    import asyncio
    from fastapi import BackgroundTasks, FastAPI
    app = FastAPI()

    def one() -> None:
        open("one", "w").close()

    def two() -> None:
        open("two", "w").close()
"""


async def test_jobs_at_the_same_time_are_not_called_another_order(environment, tmp_path):
    """Concurrency is another mistake than a wrong order."""
    found = await red(
        environment,
        tmp_path,
        JOBS
        + """
    async def both() -> None:
        one_ended = asyncio.create_task(asyncio.to_thread(two))
        await one_ended
        one()

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(both)
    """,
        "write one",
        "write two",
    )

    assert found.message == "the jobs came in another order"
    assert "ran in an asyncio task that was started at " in found.likely[0]
    assert "runs at the same time as the rest" in found.likely[0]


@pytest.mark.fast
async def test_another_order_shows_how_the_tasks_were_added(environment, tmp_path):
    """It is these lines that have to change places."""
    found = await red(
        environment,
        tmp_path,
        JOBS
        + """
    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(two)
        tasks.add_task(one)
    """,
        "write one",
        "write two",
    )

    assert found.message == "the jobs came in another order"
    assert re.search(r"`tasks\.add_task\(two\)`; .*`tasks\.add_task\(one\)`", found.likely[0])


@pytest.mark.fast
async def test_without_any_task_it_says_so(environment, tmp_path):
    """Advice about add_task's arguments would be no help."""
    found = await red(
        environment,
        tmp_path,
        JOBS + '\n    @app.post("/")\n    async def endpoint() -> None: pass\n',
        "response",
        "write one",
    )

    assert found.message == "there was no 'write one'"
    assert found.likely == ["no background task was made: add_task was never called"]


@pytest.mark.fast
async def test_a_fault_that_the_spec_made_is_called_one(environment, tmp_path):
    """Nobody should look for a broken disk."""
    environment.disk.fill_up("one")
    found = await red(
        environment,
        tmp_path,
        JOBS
        + """
    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(one)
    """,
        "response",
        "write one",
    )

    assert found.notes == [f"fault no writing of one: {MADE}"]
    assert found.cause == "", "the fault is no reason that other specs share"
    assert [row.kind for row in found.timeline if row.made] == ["fault"]


# ----- values


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime(2026, 1, 15, 12, 0, tzinfo=UTC), "2026-01-15 12:00:00+00:00"),
        ([("a", 1), None], "[('a', 1), None]"),
        ({False}, "False"),
        ({True, False}, "False and True"),
        (str, "str"),
        (object(), "<object object>"),
    ],
)
def test_values_are_shown_plainly(value, shown):
    """No `FakeDatetime(…)`, no `{False}`, no addresses."""
    assert plain(value) == shown


def test_frozen_time_is_shown_plainly():
    """The clock of a spec gives a subclass."""

    class FakeDatetime(datetime):
        def __repr__(self) -> str:
            return "FakeDatetime(...)"

    assert plain([FakeDatetime(2026, 1, 15, tzinfo=UTC)]) == "[2026-01-15 00:00:00+00:00]"


@pytest.mark.parametrize(
    ("op", "left", "right", "happened", "expected"),
    [
        ("==", 404, 200, "404", "200"),
        ("<=", 256, 129, "256", "at most 129"),
        (">=", -1, 0, "-1", "at least 0"),
        ("in", str, (int, float), "str", "one of int, float"),
        ("in", "detail", {}, "{}", "'detail' in it"),
        ("not in", "a", ["a"], "['a']", "no 'a' in it"),
        ("is", "x", None, "'x'", "None"),
        ("!=", 1, 1, "1, twice", "two that are different"),
    ],
)
def test_a_comparison_says_what_happened_and_what_was_expected(op, left, right, happened, expected):
    """So that the eye can compare them."""
    assert failed(op, left, right)
    assert compared(op, left, right) == Comparison(happened, expected)


def test_what_holds_is_not_explained():
    """pytest asks also about the true half of an `and`."""
    assert not failed("==", 1, 1)


def test_long_values_are_shown_where_they_begin_to_differ():
    """Nobody finds one letter in four hundred."""
    mails = [("noreply@example.com", f"{n}@example.com", "Order Confirmed") for n in "ab"]
    wanted = [mails[0], (*mails[1][:2], "Order confirmed")]

    found = compared("==", mails, wanted)

    assert found.part == "the first difference, at [1][2]"
    assert (found.happened, found.expected) == ("'Order Confirmed'", "'Order confirmed'")


def test_a_long_list_says_what_is_missing():
    """The index of the first difference says nothing where one is lost in the middle."""
    wanted = [f"Notified: user{number}@example.com" for number in range(20)]
    found = compared("==", [*wanted[:7], *wanted[8:]], wanted)

    assert (found.happened, found.expected) == ("19 of them", "20 of them")
    assert found.missing == ["'Notified: user7@example.com'"]


def test_the_value_is_not_cut_off_with_a_bracket(environment):
    """`assert (a or b == 409)` once said `expected 409)`."""
    with pytest.raises(AssertionError) as raised:
        assert environment is None or len([1]) == 409, "the status"

    found = failure("k99", "test_status", "", raised.value, environment, "")

    assert (found.message, found.happened, found.expected) == ("the status", "1", "409")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "None"), ("", "''"), ([], "[]")],
)
def test_what_should_be_there_shows_what_is(environment, value, shown):
    """A message alone leaves one guessing which value it was."""
    with pytest.raises(AssertionError) as raised:
        assert value, "there must be an id"

    found = failure("k99", "test_id", "", raised.value, environment, "")

    assert (found.happened, found.expected) == (shown, "something that is true")


def test_what_a_call_was_asked_about_is_shown(environment):
    """`False` is no value that says anything."""
    with pytest.raises(AssertionError) as raised:
        assert all([None, 1]), "each call must have a key"

    found = failure("k99", "test_keys", "", raised.value, environment, "")

    assert (found.happened, found.expected) == ("[None, 1]", "all of them to be there")


def test_an_exception_is_shown_whole():
    """`missing 1 required positiona…` helps nobody."""
    error = TypeError("write_log() missing 1 required positional argument: " + "x" * 300)

    assert failure("k99", "test_x", "", error, None, "").message == f"TypeError: {error}"


@pytest.mark.fast
def test_no_stand_in_shows_through():
    """A time of the spec's clock is called a datetime."""
    error = ValueError("FakeDatetime(2026, 1, 15) is not a text")

    found = failure("k99", "test_x", "", error, None, "")

    assert found.message == "ValueError: datetime(2026, 1, 15) is not a text"


@pytest.mark.fast
async def test_a_failure_is_data_that_json_holds(environment, tmp_path):
    """It goes through xdist, and out of the sandbox of a grader."""
    source = """
    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(two)
        tasks.add_task({}["no"])
    """
    with answer(tmp_path, JOBS + source) as module:
        async with client_of(module.app, environment) as client:
            with pytest.raises(AssertionError) as raised:
                await client.post("/")
        found = failure("k99", "test_x", "", raised.value, environment, "")

    again = Failure.read(json.loads(json.dumps(found.write())))

    assert again == found
    assert again.text() == found.text()
    assert (found.request, found.tracebacks[-1].kind) == ("POST /", "KeyError")
    assert found.line == found.tracebacks[-1].frames[-1].line > 0


@pytest.mark.fast
def test_a_failure_with_other_fields_is_not_read():
    """A release that does not know a field must not guess."""
    with pytest.raises(TypeError):
        Failure.read({**Failure("k99", "a title").write(), "colour": "red"})


# ----- timelines


def lines_of(timeline: Timeline) -> list[str]:
    return list(render.timeline_lines(rows_of(timeline)))


def test_a_spec_s_own_calls_are_on_the_timeline(environment, tmp_path):
    """Nothing happened, it said after two writes."""
    with answer(tmp_path, JOBS) as module:
        spec = compile("module.one()\nmodule.two()", "test_k99_at_hand.py", "exec")
        exec(spec, {"module": module})

    assert [(row.kind, row.detail, row.thread) for row in rows_of(environment.timeline)] == [
        ("write", "one", "event loop"),
        ("write", "two", "event loop"),
    ]


def test_marked_events_show_the_line_that_did_it():
    """And the mark is explained."""
    timeline = Timeline()
    here = (__file__, 3)
    timeline.marked.append(timeline.record("write", "log.txt", blocking=True, places=(here,)))
    timeline.record("response", "200 to POST /")

    marked, place, _, legend = render.timeline_lines(rows_of(timeline), 200)

    assert marked.startswith("> write ")
    assert place.strip() == f"at {frames.line_at(here)}"
    assert legend.strip() == "(> marks what the spec objects to)"


@pytest.mark.fast
def test_a_thousand_alike_are_three():
    """A loop fills any terminal."""
    timeline = Timeline()
    for _ in range(1_000):
        timeline.record("query", "orders")

    shown = lines_of(timeline)

    assert len(shown) == 4
    assert shown[-1] == "  … 997 more like these"


def test_a_loop_of_several_steps_is_shown_three_times():
    """Asking and sleeping in turn fills any screen, too."""
    timeline = Timeline()
    for _ in range(50):
        timeline.record("query", "orders")
        timeline.record("sleep", "1 s")

    shown = lines_of(timeline)

    assert len(shown) == 7
    assert shown[-1] == "  … 47 times the same 2 again"


def test_the_odd_request_out_is_shown():
    """It is the one that people look for."""
    timeline = Timeline()
    for number in range(1, 21):
        by = ExchangeState(number)
        timeline.record("request", f"GET /items/{number}", by=by)
        if number == 13:
            timeline.record("raised", "ValueError", by=by)

    shown = lines_of(timeline)

    assert [row[2:4] for row in shown[:6]] == [" 1", " 2", " 3", "… ", "13", "13"]
    assert shown[3] == "  … 16 more requests like these"


async def test_what_is_held_shows_when_it_is_held_and_released(environment, tmp_path):
    """Only so does one see what ran meanwhile."""
    source = """
    from fastapi import BackgroundTasks, FastAPI
    app = FastAPI()

    def write(name: str) -> None:
        open(name, "w").close()

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks, name: str) -> None:
        tasks.add_task(write, name)
    """
    with answer(tmp_path, source) as module:
        async with client_of(module.app, environment) as client:
            with environment.disk.hold("one") as held:
                first = client.begin("POST", "/?name=one")
                await held.until_reached()
                await client.post("/?name=two")
                held.release()
                await first.until_finished()

    assert environment.timeline.order("held", "write two", "released", "write one") == [
        "held",
        "write two",
        "released",
        "write one",
    ]


# ----- titles and groups


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("test_the_log_is_utf_8", "the log is UTF-8"),
        ("test_the_order_s_number_as_json", "the order's number as JSON"),
        ("test_each_smtp_session_ends[down]", "each SMTP session ends (down)"),
        ("test_the_id_is_kept", "the id is kept"),
        ("test_any_other_retry_after_counts_as_absent", "any other Retry-After counts as absent"),
    ],
)
def test_titles_are_sentences_that_people_write(name, title):
    """A name of a function is not quite one."""
    assert title_of(name) == title


def test_groups_do_not_break_on_addresses_ids_and_values():
    """The same mistake is never quite the same text."""
    texts = ["<Photo at 0x7f01> is 'a'", "<Photo at 0x7f02> is 'b'"]
    failures = [Failure("k99", f"spec {text}", message=text, where="t.py:1") for text in texts]

    assert grouped(failures) == [failures]
