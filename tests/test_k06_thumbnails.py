"""A photo that is uploaded, and what the client is told of it meanwhile."""

import io
import struct
import zlib

import pytest
from PIL import Image

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 30), (30, 30, 200), (250, 250, 250)
ORIENTATION = 0x0112
QUEUED = {"status": "queued", "thumbnail": None}
FAILED = {"status": "failed", "thumbnail": None}
# What is to be seen in the corners of a photo with each orientation, clockwise from the upper left.
UPRIGHT = {
    1: ["red", "green", "white", "blue"],
    2: ["green", "red", "blue", "white"],
    3: ["white", "blue", "red", "green"],
    4: ["blue", "white", "green", "red"],
    5: ["red", "blue", "white", "green"],
    6: ["blue", "red", "green", "white"],
    7: ["white", "green", "red", "blue"],
    8: ["green", "white", "blue", "red"],
}


def photo(size=(400, 200), mode="RGB", kind="PNG", orientation=None):
    """A picture with a colour in each corner: red, green, below them blue, white."""
    width, height = size[0] // 2, size[1] // 2
    image = Image.new("RGB", size)
    for number, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        image.paste(colour, (number % 2 * width, number // 2 * height, size[0], size[1]))
    image = image.convert("L").convert(mode) if mode in ("I", "F", "I;16") else image.convert(mode)
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, kind, **({"exif": exif} if orientation is not None else {}))
    return file.getvalue()


def header_only(width, height):
    """A PNG of any size in some fifty bytes; its pixels are missing."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def upload(content, name="photo.png", kind="image/png"):
    return {"files": {"file": (name, content, kind)}}


async def uploaded(client, content, **how):
    """Upload a photo, wait for its tasks, and ask what has become of it."""
    accepted = await client.post("/photos", **upload(content, **how))
    assert accepted.status_code == 202, "the status of the upload must be 202"
    return await state_of(client, accepted)


def another(accepted):
    """An id that nobody was given, in the same shape as one that somebody was."""
    known = str(accepted.field("photo"))
    return known[:-1] + ("1" if known.endswith("0") else "0")


async def state_of(client, accepted):
    number = accepted.field("photo")
    response = await client.get(f"/photos/{number}")
    assert response.status_code == 200, f"the status of GET /photos/{number}"
    state = response.json()
    missing = sorted({"photo", "status", "thumbnail"}.difference(state or ()))
    assert missing == [], f"GET must say each of these, also where it is null; its body is {state}"
    return state


def said_of(state):
    return {"status": state.get("status"), "thumbnail": state.get("thumbnail")}


def thumbnail(disk, state):
    """The thumbnail that a photo's state names, with its pixels."""
    assert state.get("status") == "done", f"the photo must be done, and its state is {state}"
    assert state.get("thumbnail") == f"thumbnails/{state.get('photo')}.png", (
        "the thumbnail's path must be thumbnails/{id}.png"
    )
    content = disk.bytes(state["thumbnail"])
    assert content, f"the photo is done, so there must be a whole file {state['thumbnail']}"
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG", "the format of the thumbnail must be PNG"
    image.load()
    return image


def check_proportions(made, size):
    """A thumbnail has the proportions of its photo, give or take a pixel."""
    wide, high = made.size
    assert abs(wide * size[1] - high * size[0]) <= 2 * max(size), (
        f"the thumbnail of {size[0]}x{size[1]} must keep its proportions, and is {wide}x{high}"
    )


async def test_the_client_is_told_that_the_photo_is_queued(client):
    """The response is all that the client waits for."""
    response = await client.post("/photos", **upload(photo()))

    assert response.status_code == 202, "the response's status must be 202: accepted, not done"
    assert response.field("status") == "queued", "the response's `status` must be `queued`"
    assert response.field("photo"), "the response's `photo` must be an id"


async def test_the_thumbnail_is_made_only_after_the_response(client, disk, timeline):
    """A client that has uploaded one photo wants to go on with the next."""
    async with client.responded("POST", "/photos", **upload(photo())) as exchange:
        state = await state_of(client, exchange.response)
        assert timeline.of("decode") == [], "the photo was decoded before the response"
        assert [file for file in disk.files() if "thumbnails/" in file] == [], (
            "the thumbnail was there before the response"
        )
        assert said_of(state) == QUEUED, (
            "what GET /photos/{id} says between the response and the task"
        )

    thumbnail(disk, await state_of(client, exchange.response))


async def test_a_photo_is_queued_until_its_thumbnail_is_there(client, disk, steps):
    """A client that reads `done` fetches the thumbnail at once."""
    async with client.responded("POST", "/photos", **upload(photo())) as exchange:
        async for step in steps.of(exchange):
            state = await state_of(client, exchange.response)
            if state.get("status") == "done":
                thumbnail(disk, state)
            else:
                assert said_of(state) == QUEUED, (
                    f"what GET /photos/{{id}} says while the photo is being worked on, just before {step}"
                )

    for _ in range(2):  # a page that is reloaded asks again
        thumbnail(disk, await state_of(client, exchange.response))


async def test_each_upload_has_an_id_of_its_own(client, clock, disk):
    """Also two uploads of the very same file, and at the very same moment."""
    first = await client.post("/photos", **upload(photo()))
    second = await client.post("/photos", **upload(photo()))

    bodies = f"{first.json()} and {second.json()}"
    assert first.json() != second.json(), (
        f"two uploads of one file at one moment must have two ids, and the responses are {bodies}"
    )
    thumbnail(disk, await state_of(client, first))
    thumbnail(disk, await state_of(client, second))


async def test_photos_in_flight_do_not_mix(client, disk):
    """Requests overlap on any real server: nothing may be shared between them."""
    sizes = [(400, 200), (200, 400), (300, 300)]
    exchanges = await client.all_responded(
        client.begin("POST", "/photos", **upload(photo(size)), stop_at_response=True)
        for size in sizes
    )
    first, *others = exchanges
    await client.finish(reversed(others))

    assert said_of(await state_of(client, first.response)) == QUEUED, (
        "the state of the photo that came first, when the two behind it are done and it has not begun"
    )
    await client.finish([first])
    states = [await state_of(client, exchange.response) for exchange in exchanges]
    made = [thumbnail(disk, state).size for state in states]
    assert [shape(*size) for size in made] == ["wide", "tall", "square"], (
        f"a wide, a tall and a square photo in flight together; their thumbnails are {made}"
    )


def shape(width, height):
    return "square" if width == height else "wide" if width > height else "tall"


@pytest.mark.parametrize("size", [(400, 200), (150, 600), (1000, 999)])
async def test_the_thumbnail_fits_and_keeps_its_proportions(client, disk, size):
    """128 by 128 is the frame, and nobody likes to be stretched or cropped."""
    made = thumbnail(disk, await uploaded(client, photo(size)))

    assert max(made.size) <= 129, f"the thumbnail of {size} must fit in 128x128: {made.size}"
    check_proportions(made, size)
    assert corners(made) == UPRIGHT[1], (
        "all four corners of the photo must be there, clockwise from the upper left"
    )


@pytest.mark.parametrize("size", [(1000, 1), (1, 1000)], ids=["wide", "tall"])
async def test_a_very_flat_photo_gets_a_thumbnail(client, disk, size):
    """128 x 0.128 is what arithmetic says, and no image is 0 pixels high."""
    file = io.BytesIO()
    Image.new("RGB", size, RED).save(file, "PNG")

    made = thumbnail(disk, await uploaded(client, file.getvalue()))

    assert max(made.size) <= 129, f"the thumbnail of {size} must fit in 128x128: {made.size}"
    check_proportions(made, size)


async def test_a_small_photo_is_not_enlarged(client, disk):
    """Pixels cannot be invented."""
    made = thumbnail(disk, await uploaded(client, photo((40, 20))))

    assert made.size[0] <= 40, f"a photo of 40x20 must not grow: {made.size}"
    assert made.size[1] <= 20, f"a photo of 40x20 must not grow: {made.size}"


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
async def test_the_orientation_of_the_camera_is_applied(client, disk, orientation):
    """A phone held upright writes a wide photo, and a note that says how to turn it."""
    sent = photo((400, 200), kind="JPEG", orientation=orientation)

    made = thumbnail(disk, await uploaded(client, sent, name="photo.jpg", kind="image/jpeg"))

    check_turned(made, orientation)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("RGB", "TIFF")],
)
async def test_the_orientation_is_applied_once_in_any_mode_and_format(client, disk, mode, kind):
    """Not only JPEGs in RGB have an orientation. Pillow turns a TIFF by itself when it decodes it,
    and nothing else."""
    for orientation in (6, 8):
        sent = photo((400, 200), mode, kind, orientation)

        made = thumbnail(disk, await uploaded(client, sent))

        check_turned(made, orientation, mode)


def check_turned(made, orientation, mode="RGB"):
    """A thumbnail of a wide photo shows it as it has to be seen, and says so."""
    assert shape(*made.size) == ("tall" if orientation > 4 else "wide"), (
        f"the photo is 400x200 with EXIF orientation {orientation}, and its thumbnail is "
        f"{made.width}x{made.height}"
    )
    check_proportions(made, (200, 400) if orientation > 4 else (400, 200))
    assert corners(made, mode) == UPRIGHT[orientation], (
        f"EXIF orientation {orientation}: the colours in the corners of the thumbnail, "
        "clockwise from the upper left"
    )
    assert made.getexif().get(ORIENTATION, 1) == 1, (
        f"EXIF orientation {orientation}: the thumbnail is turned already, and must not have the "
        "orientation of the photo, or a viewer turns it once more"
    )


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("1", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("P", "GIF"),
        ("RGBA", "PNG"),
        ("I;16", "PNG"),
        ("I", "TIFF"),
        ("F", "TIFF"),
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("YCbCr", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
async def test_a_photo_of_any_mode_gets_a_thumbnail(client, disk, mode, kind):
    """Scanners, printers and old cameras have colours of their own."""
    made = thumbnail(disk, await uploaded(client, photo(mode=mode, kind=kind)))

    assert max(made.size) <= 129, f"the thumbnail must fit in 128x128: {made.size}"
    check_proportions(made, (400, 200))


async def test_other_requests_are_answered_while_a_photo_is_decoded(
    client, image_decoder, timeline
):
    """A large photo takes a second of work, and everybody would wait for it."""
    turned = photo(kind="JPEG", orientation=6)
    async with client.in_flight("POST", "/photos", **upload(turned)) as first:
        with image_decoder.hold() as large_photo:
            await first.until_responded()
            await large_photo.until_reached()
            unknown = another(first.response)
            second = await client.begin("GET", f"/photos/{unknown}").until_responded()

    assert (first.response.status_code, second.response.status_code) == (202, 404), (
        "the statuses of the upload and of an unknown photo must be 202 and 404"
    )
    assert timeline.blocked() == [], (
        "work on images or files was done on the event loop's thread: let a `def` task do it, "
        "or `await run_in_threadpool(...)`"
    )


@pytest.mark.parametrize("kind", ["image/png", "text/plain"])
async def test_a_file_that_is_no_image_is_accepted_and_then_failed(client, kind, timeline):
    """The client has its response before anybody looks, and can ask what came of it."""
    state = await uploaded(client, b"this is no image", name="notes.txt", kind=kind)

    assert said_of(state) == FAILED, "what GET /photos/{id} says of it when the task has ended"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"P1 what we want to do first", id="ValueError"),
        pytest.param(b"BM: a note by Berta Maier, from her desk", id="OSError"),
    ],
)
async def test_the_photo_is_failed_whatever_pillow_raises(client, content):
    """Pillow has an exception for what is no image, and others for what only begins like one:
    a text that begins with `P1` is a ValueError."""
    state = await uploaded(client, content, name="notes.txt", kind="text/plain")

    assert said_of(state) == FAILED, (
        f"what GET /photos/{{id}} says of a file that is no image: {content!r}"
    )


async def test_a_failure_is_logged_on_the_logger_kata_or_not_at_all(client, logs):
    """People look for the reason of a failure on that logger. (Nothing has to be logged here.)"""
    logs.listen_to_all()

    state = await uploaded(client, b"this is no image")

    assert state.get("status") == "failed", "the status of a file that is no image"
    assert logs.elsewhere == [], (
        'your code must log with logging.getLogger("kata"), and it logged on another logger'
    )
    assert logs.failures or logs.too_low == [], (
        "a failure that is logged must be logged as WARNING or above"
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({}, id="empty"),
        pytest.param({"files": {"photo": ("cat.png", b"cat")}}, id="another field"),
    ],
)
async def test_a_form_without_a_file_is_refused(client, disk, content):
    """A form without a photo must not leave a photo that is queued."""
    before = disk.files()
    refused = await client.post("/photos", **content)
    after = disk.files()
    accepted = await client.post("/photos", **upload(photo()))

    body = refused.json()
    assert accepted.status_code == 202, "the status of a form with a photo as `file` must be 202"
    assert 400 <= refused.status_code < 500, (
        f"a form without `file` must be refused with a 4xx, and the response is {refused.status_code}"
    )
    assert "detail" in body, f"FastAPI's usual {{'detail': ...}}, and the body is {body}"
    assert "photo" not in body, f"nothing may be queued for it, and the body is {body}"
    assert after == before, "no file may be left of it: the files after it and before it"


@pytest.mark.parametrize("size", [(10_000, 5_001), (50_000_001, 1), (20_000, 10_000)])
async def test_a_photo_of_too_many_pixels_is_failed_without_being_decoded(
    client, image_decoder, timeline, size
):
    """Some fifty bytes can say "I have a billion pixels", and eat all memory."""
    image_decoder.go_dark()

    state = await uploaded(client, header_only(*size))

    assert timeline.of("decode") == [], (
        f"the pixels of a photo of {size} were decoded: look at `image.size` before anything else"
    )
    assert said_of(state) == FAILED, "what GET /photos/{id} says of it when the task has ended"


@pytest.mark.parametrize("size", [(10_000, 5_000), (1, 50_000_000)], ids=["wide", "tall"])
async def test_a_photo_of_exactly_as_many_pixels_as_allowed_passes(
    client, image_decoder, timeline, size
):
    """A limit is what is still allowed. (There is only the header of this photo: nobody has to
    decode 50 million pixels to show that they would be.)"""
    image_decoder.go_dark()

    await uploaded(client, header_only(*size))

    assert timeline.of("decode") != [], (
        f"a photo of {size[0]:,}x{size[1]:,}, exactly 50,000,000 pixels, must be decoded, "
        "and it was not: compare with `>`, and with MAX_PIXELS itself"
    )


async def test_an_unknown_photo_is_not_found(client):
    """A client that mistypes an id must not wait for ever."""
    accepted = await client.post("/photos", **upload(photo()))
    unknown = await client.get(f"/photos/{another(accepted)}")

    assert accepted.status_code == 202, "the status of an upload must be 202"
    assert unknown.status_code == 404, "the status of GET for an id that nobody was given"
    assert "detail" in unknown.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"


def corners(image, mode="RGB"):
    """The names of the colours in the four corners, clockwise from the upper left, as a photo in
    `mode` has them."""
    shades = {name: shade(colour, mode) for name, colour in COLOURS.items()}
    image = image.convert("RGB")
    right, low = image.width * 7 // 8, image.height * 7 // 8
    left, high = image.width // 8, image.height // 8
    return [
        nearest(image.getpixel(place), shades)
        for place in ((left, high), (right, high), (right, low), (left, low))
    ]


COLOURS = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}


def shade(colour, mode):
    return Image.new("RGB", (1, 1), colour).convert(mode).convert("RGB").getpixel((0, 0))


def nearest(pixel, shades):
    def distance(name):
        return sum(abs(a - b) for a, b in zip(pixel, shades[name], strict=True))

    return min(shades, key=distance)
