"""A download: its file, its pieces, and what is left of them."""

import email.message
import re

import pytest

URL = "/report"
LOG = "downloads.log"
HALF = "sale,sku,quantity\n" * 1_000


REPORT = "sale,sku,quantity\n{number},th\u00e9,2\n" + "{number},jam,1\n" * 25_000


def content(number):
    """A report of about 200 kB that can be told from the others."""
    return REPORT.replace("{number}", str(number))


def number_reports(given):
    """Let each report be another one; a list that gets the paths that they are written to."""
    return given.writes("write_report", REPORT)


def left(disk):
    """What is left in the folder `reports/`."""
    folder = disk.directory / "reports"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def bytes_logged(disk):
    """The numbers on each line of the log."""
    return [[int(number) for number in re.findall(r"\d+", line)] for line in disk.lines(LOG)]


async def test_the_client_gets_the_whole_file(kata, client, disk):
    """Not a byte less, and none more."""
    kata.write_report("expected.csv")
    response = await client.get(URL)

    assert response.status_code == 200, "the response's status must be 200"
    assert len(response.content) == len(disk.bytes("expected.csv")), "how many bytes there are"
    assert response.content == disk.bytes("expected.csv"), (
        "the body must be what `write_report` writes, byte for byte"
    )


async def test_a_browser_saves_it_as_a_csv(client, given):
    """With the name that it is to have."""
    number_reports(given)
    response = await client.get(URL)

    said = email.message.Message()
    said["Content-Type"] = response.headers.get("content-type", "")
    said["Content-Disposition"] = response.headers.get("content-disposition", "")
    assert said.get_content_type() == "text/csv", "the content type must be text/csv"
    assert said.get_content_disposition() == "attachment", (
        "the header Content-Disposition must say `attachment`, and it is "
        f"{said['Content-Disposition']!r}"
    )
    assert said.get_filename() == "report.csv", "the file name in Content-Disposition"


async def test_the_file_is_sent_in_pieces(client, given):
    """A file that is sent in one piece is in memory as a whole, once for each client."""
    number_reports(given)
    response = await client.get(URL)

    assert response.exchange.pieces > 1, (
        f"the body has {len(response.content)} bytes, and it was sent in this many pieces"
    )


async def test_write_report_does_not_hold_up_the_event_loop(client, given, disk):
    """It is slow, and everybody else would have to wait for it."""
    client.add_route("/ping")
    with given.hold("write_report") as slow:
        async with client.in_flight("GET", URL) as first:
            await slow.until_reached()
            other = await client.begin("GET", "/ping").until_responded()
            early = first.responded
            slow.release()

    assert (early, int(other.response.status_code)) == (False, 200), (
        "whether the download was complete before its file was written, and the status of another "
        "request meanwhile"
    )


async def test_each_download_has_a_file_of_its_own_under_reports(client, disk, given):
    """One name for all is one file for all."""
    reports = number_reports(given)
    for _ in range(2):
        await client.get(URL)

    folder = (disk.directory / "reports").resolve()
    places = [(disk.directory / path).resolve() for path in reports]
    assert [folder in place.parents for place in places] == [True, True], (
        f"both files must be written under reports/, and `write_report` was given {reports}"
    )
    assert len(set(places)) == 2, f"each must have a name of its own: {reports}"


async def test_nothing_is_left_when_the_download_has_finished(client, disk, given):
    """Two hundred kilobytes a click fill any disk."""
    reports = number_reports(given)
    await client.get(URL)

    assert len(reports) == 1, "`write_report` must be called once"
    assert left(disk) == [], "what is left in reports/ once the exchange has finished"
    assert [name for name in disk.open_files() if name.startswith("reports/")] == [], (
        "no file may be left open either"
    )


async def test_while_it_is_sent_the_file_is_there_or_read_and_closed(client, disk, given):
    """On some systems a file that is open cannot be removed; on others one that was removed is
    still on the disk."""
    number_reports(given)
    async with client.in_flight("GET", URL, pauses_after=1, crashes=True) as exchange:
        await exchange.until_paused()
        opened = [name for name in disk.open_files() if name.startswith("reports/")]
        removed = [name for name in opened if name not in disk.files()]
    response = exchange.response

    assert removed == [], (
        "the files that are still read from, and were removed before they were sent"
    )
    assert response.status_code == 200, "the response's status must be 200"
    assert response.content.decode() == content(1), "the body must be the whole file"


async def test_downloads_at_the_same_time_do_not_get_in_each_others_way(client, disk, given):
    """A slow client reads for minutes, and others come and go meanwhile."""
    number_reports(given)
    async with client.in_flight("GET", URL, pauses_after=1) as first:
        await first.until_paused()
        async with client.in_flight("GET", URL, pauses_after=2) as second:
            await second.until_paused()
            third = await client.get(URL)
            opened = [name for name in disk.open_files() if name.startswith("reports/")]
            removed = [name for name in opened if name not in disk.files()]

    assert removed == [], (
        "the files that are still read from, and were removed when another download had finished"
    )
    downloads = [first.response, second.response, third]
    assert [int(response.status_code) for response in downloads] == [200] * 3, "the statuses"
    assert [response.content.decode() == content(n) for n, response in enumerate(downloads, 1)] == [
        True
    ] * 3, "whether each client has its own report, whole: three downloads at the same time"
    assert left(disk) == [], "what is left in reports/"
    assert sorted(bytes_logged(disk)) == sorted([[len(r.content)] for r in downloads]), (
        f"the numbers on the lines of {LOG}: each download's bytes"
    )


async def test_reports_written_at_the_same_time_are_each_their_own(client, disk, given):
    """One that takes longer must not find another one's file in its place."""
    number_reports(given)
    with given.hold("write_report") as slow:
        async with client.in_flight("GET", URL) as first:
            await slow.until_reached()
            second = await client.get(URL)
            slow.release()

    bodies = sorted(response.content.decode()[:25] for response in (first.response, second))
    assert bodies == sorted(content(number)[:25] for number in (1, 2)), (
        "the beginnings of two reports: the first was about to be written while the second was made "
        "and sent"
    )
    assert left(disk) == [], "what is left in reports/"


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_client_that_goes_away_leaves_nothing(client, disk, pieces, given):
    """People close a tab, trains enter tunnels, and the file must go all the same."""
    number_reports(given)
    response = await client.get(URL, leaves_after=pieces)

    assert response.exchange.gone, (
        f"the client goes away after {pieces} piece(s), and the body was sent in "
        f"{response.exchange.pieces}"
    )
    raised = response.exchange.raised
    assert raised is None, f"nothing may escape when a client goes away, and this did: {raised!r}"
    assert left(disk) == [], "what is left in reports/ of a download that was broken off"
    assert disk.lines(LOG) == [], f"the lines of {LOG}: a download that was broken off has none"


async def test_a_complete_download_leaves_a_line_after_its_last_byte(client, disk, given, timeline):
    """Who counts downloads wants those that arrived."""
    number_reports(given)
    first = await client.get(URL)
    lines = disk.lines(LOG)
    last = first.exchange.pieces
    async with client.in_flight("GET", URL, pauses_after=last) as exchange:
        await exchange.until_paused()
        assert disk.lines(LOG) == lines, timeline.early(
            f"write {LOG}",
            f"the line in {LOG} was written before the last of {last} pieces had been sent",
        )

    assert bytes_logged(disk) == [[len(first.content)], [len(exchange.response.content)]], (
        f"the numbers on the lines of {LOG}, {disk.lines(LOG)}: how many bytes were sent, a line for "
        "each complete download"
    )


async def test_downloads_that_end_together_have_a_line_each(client, disk, given):
    """A line goes missing where the whole log is read and written anew."""
    number_reports(given)
    with disk.hold(LOG), disk.hold(LOG, step=2):
        exchanges = [client.begin("GET", URL) for _ in range(5)]
        await client.finish_what_can(exchanges)
    await client.finish(exchanges)

    sizes = sorted([len(exchange.response.content)] for exchange in exchanges)
    assert sorted(bytes_logged(disk)) == sizes, (
        f"the numbers on the lines of {LOG}: five downloads ended together"
    )


async def test_only_complete_downloads_are_counted(client, disk, given):
    """One was broken off, one failed, and one arrived."""
    number_reports(given)
    await client.get(URL, leaves_after=1)
    good = await client.get(URL)
    given.fails("write_report", RuntimeError("no sales today"))
    await client.get(URL, crashes=True)

    assert bytes_logged(disk) == [[len(good.content)]], (
        f"the numbers on the lines of {LOG}, {disk.lines(LOG)}: of three downloads one was broken off, "
        "one was complete, and one failed"
    )


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError(28, "No space left"), id="OSError"),
        pytest.param(RuntimeError("no sales today"), id="RuntimeError"),
    ],
)
@pytest.mark.parametrize("written", [pytest.param("", id="at once"), pytest.param(HALF, id="half")])
async def test_a_report_that_fails_is_a_500_and_leaves_nothing(
    client, disk, given, logs, written, error
):
    """Half a report looks like a whole one, and nobody would notice."""
    given.fails("write_report", error, written)
    exchange = client.begin("GET", URL, crashes=True)
    await client.until(lambda: exchange.finished)

    assert exchange.responded, (
        "the response had begun when the report failed, so it broke off: write the file before"
    )
    response = exchange.response
    assert response.status_code == 500, "the response's status must be 500"
    assert response.field("detail"), "the response has FastAPI's usual body, {'detail': ...}"
    assert left(disk) == [], "what is left in reports/ of a report that could not be written"
    assert disk.lines(LOG) == [], f"the lines of {LOG}: a download that failed has none"
    assert logs.failures, "the failure must be logged to the logger `kata`, as WARNING or above"


async def test_what_is_done_after_the_response_does_not_hold_up_the_event_loop(
    client, disk, timeline, given
):
    """While the loop is blocked, no other request gets a response."""
    number_reports(given)
    await client.get(URL)
    await client.get(URL, leaves_after=1)

    assert (len(disk.lines(LOG)), left(disk)) == (1, []), (
        f"how many lines {LOG} has, and what is left in reports/: one download was complete, the other "
        "was broken off"
    )
    assert timeline.blocked() == [], (
        "a task or a middleware used a file on the event loop's thread, where every other request has to "
        "wait for the disk: what is `async def` runs on the loop, a `def` task runs in a worker thread"
    )
