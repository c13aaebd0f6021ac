"""What must happen to a photo that was uploaded, and what the client is told meanwhile."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageOps

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 30), (30, 30, 200), (250, 250, 250)


def photo(size=(400, 200), mode="RGB", kind="PNG", orientation=None):
    """A picture with a colour in each corner: red, green, below them blue, white."""
    width, height = size[0] // 2, size[1] // 2
    image = Image.new("RGB", size)
    for number, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        image.paste(colour, (number % 2 * width, number // 2 * height, size[0], size[1]))
    image = image.convert("L").convert(mode) if mode in ("I", "F", "I;16") else image.convert(mode)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
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
    assert accepted.status == 202, "the status of the upload"
    return await state_of(client, accepted)


def another(accepted):
    """An id that nobody was given, in the same shape as one that somebody was."""
    known = str((accepted.json() or {}).get("photo"))
    return known[:-1] + ("1" if known.endswith("0") else "0")


async def state_of(client, accepted):
    number = (accepted.json() or {}).get("photo")
    response = await client.get(f"/photos/{number}")
    assert response.status == 200, f"the status of GET /photos/{number}"
    return response.json() or {}


def thumbnail(disk, state):
    """The thumbnail that a photo's state names, with its pixels."""
    assert state.get("status") == "done", f"the photo must be done, and its state is {state}"
    assert state.get("thumbnail") == f"thumbnails/{state.get('photo')}.png", "the thumbnail's path"
    content = disk.bytes(state["thumbnail"])
    assert content, f"there must be a file {state['thumbnail']}"
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG", "the format of the thumbnail"
    image.load()
    return image


async def test_the_client_is_told_that_the_photo_is_queued(client):
    """The response is all that the client waits for."""
    exchange = await client.post("/photos", **upload(photo()))

    body = exchange.json() or {}
    assert exchange.status == 202, "the response's status: accepted, not done"
    assert body.get("status") == "queued", "the response's `status`"
    assert body.get("photo"), "the response's `photo` must be an id"


async def test_the_thumbnail_is_made_only_after_the_response(client, disk, timeline):
    """Whoever uploads a photo wants to go on with the next."""
    async with client.responded("POST", "/photos", **upload(photo())) as exchange:
        state = await state_of(client, exchange)
        assert timeline.of("decode") == [], "the photo was decoded before the response"
        assert disk.files() == [] or not any("thumbnails/" in f for f in disk.files()), (
            "the thumbnail was there before the response"
        )
        assert (state.get("status"), state.get("thumbnail")) == ("queued", None), (
            "what GET says between the response and the task: (status, thumbnail)"
        )

    thumbnail(disk, await state_of(client, exchange))


@pytest.mark.parametrize("moment", ["decoded", "written"])
async def test_a_photo_is_queued_until_its_thumbnail_is_there(client, darkroom, disk, moment):
    """A client that reads `done` fetches the thumbnail at once."""
    exchange = client.begin("POST", "/photos", **upload(photo()), stop_at_response=True)
    await exchange.until_responded()
    with darkroom.hold() if moment == "decoded" else disk.hold("*"):
        await client.finish_what_can([exchange])
        state = None if exchange.finished else await state_of(client, exchange)
    await exchange.until_finished()

    assert state is None or (state.get("status"), state.get("thumbnail")) == ("queued", None), (
        f"what GET says while the photo is being {moment}: (status, thumbnail), and it is {state}"
    )
    thumbnail(disk, await state_of(client, exchange))


async def test_each_upload_has_an_id_of_its_own(client, disk):
    """Also two uploads of the very same file."""
    first = await client.post("/photos", **upload(photo()))
    second = await client.post("/photos", **upload(photo()))

    assert first.json() != second.json(), "two uploads of one file must have two ids"
    thumbnail(disk, await state_of(client, first))
    thumbnail(disk, await state_of(client, second))


async def test_photos_in_flight_do_not_mix(client, disk):
    """Requests overlap on any real server: nothing may be shared between them."""
    sizes = [(400, 200), (200, 400), (300, 300)]
    exchanges = [
        client.begin("POST", "/photos", **upload(photo(size)), stop_at_response=True)
        for size in sizes
    ]
    for exchange in exchanges:
        await exchange.until_responded()
    for exchange in reversed(exchanges):
        await exchange.until_finished()

    shapes = [thumbnail(disk, await state_of(client, exchange)).size for exchange in exchanges]
    assert [(width > height) - (width < height) for width, height in shapes] == [1, -1, 0], (
        f"a wide, a tall and a square photo in flight together; their thumbnails are {shapes}"
    )


@pytest.mark.parametrize("size", [(400, 200), (150, 600), (1000, 999)])
async def test_the_thumbnail_fits_and_keeps_its_proportions(client, disk, size):
    """128 by 128 is the frame, and nobody likes to be stretched or cropped."""
    made = thumbnail(disk, await uploaded(client, photo(size)))

    assert max(made.size) <= 129, f"the thumbnail of {size} must fit in 128x128: {made.size}"
    wide, high = made.size
    assert abs(wide * size[1] - high * size[0]) <= 2 * max(size), (
        f"the thumbnail of {size} must keep its proportions: {made.size}"
    )
    assert corners(made) == corners(Image.open(io.BytesIO(photo(size)))), (
        "all four corners of the photo must be there (red, green, blue, white)"
    )


async def test_a_small_photo_is_not_enlarged(client, disk):
    """Pixels cannot be invented."""
    made = thumbnail(disk, await uploaded(client, photo((40, 20))))

    assert made.size[0] <= 40, f"a photo of 40x20 must not grow: {made.size}"
    assert made.size[1] <= 20, f"a photo of 40x20 must not grow: {made.size}"


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
async def test_the_orientation_of_the_camera_is_applied(client, disk, orientation):
    """A phone held upright writes a wide photo, and a note that says how to turn it."""
    sent = photo((400, 200), kind="JPEG", orientation=orientation)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(sent)))

    made = thumbnail(disk, await uploaded(client, sent, name="photo.jpg", kind="image/jpeg"))

    assert (made.width > made.height) == (turned.width > turned.height), (
        f"EXIF orientation {orientation}: the photo must be turned, and is {made.size}"
    )
    assert corners(made) == corners(turned), (
        f"EXIF orientation {orientation}: the colours of the corners, clockwise from the upper left"
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
    ],
)
async def test_a_photo_of_any_mode_gets_a_thumbnail(client, disk, mode, kind):
    """Scanners, printers and old cameras have colours of their own."""
    made = thumbnail(disk, await uploaded(client, photo(mode=mode, kind=kind)))

    assert max(made.size) <= 129, f"the thumbnail must fit in 128x128: {made.size}"


async def test_other_requests_are_answered_while_a_photo_is_decoded(client, darkroom, timeline):
    """A large photo takes a second of work, and everybody would wait for it."""
    with darkroom.hold() as large_photo:
        first = await client.begin("POST", "/photos", **upload(photo())).until_responded()
        await large_photo.until_reached()
        second = await client.begin("GET", f"/photos/{another(first)}").until_responded()
        large_photo.release()
        await first.until_finished()
        await second.until_finished()

    assert (first.status, second.status) == (202, 404), "the statuses"
    assert timeline.blocked() == [], (
        "image work was done on the event loop's thread: let a `def` task do it, "
        "or `await run_in_threadpool(...)`"
    )


@pytest.mark.parametrize("kind", ["image/png", "text/plain"])
async def test_what_is_no_image_is_accepted_and_then_failed(client, kind, timeline):
    """The client has its response before anybody looks, and can ask what came of it."""
    state = await uploaded(client, b"this is no image", name="notes.txt", kind=kind)

    assert (state.get("status"), state.get("thumbnail")) == ("failed", None), "(status, thumbnail)"


@pytest.mark.parametrize("size", [(10_000, 5_001), (50_000_001, 1), (20_000, 10_000)])
async def test_a_photo_of_too_many_pixels_is_failed_without_being_decoded(client, timeline, size):
    """Some fifty bytes can say "I have a billion pixels", and eat all memory."""
    state = await uploaded(client, header_only(*size))

    assert timeline.of("decode") == [], (
        f"the pixels of a photo of {size} were decoded: look at `image.size` before anything else"
    )
    assert (state.get("status"), state.get("thumbnail")) == ("failed", None), "(status, thumbnail)"


async def test_a_photo_of_exactly_as_many_pixels_as_allowed_passes(client, disk):
    """A limit is what is still allowed."""
    file = io.BytesIO()
    Image.new("1", (10_000, 5_000)).save(file, "PNG")

    made = thumbnail(disk, await uploaded(client, file.getvalue()))

    assert max(made.size) <= 129, f"the thumbnail must fit in 128x128: {made.size}"


async def test_an_unknown_photo_is_not_found(client):
    """A client that mistypes an id must not wait for ever."""
    accepted = await client.post("/photos", **upload(photo()))
    unknown = await client.get(f"/photos/{another(accepted)}")

    assert accepted.status == 202, "the status of an upload"
    assert unknown.status == 404, "the status of GET for an id that nobody was given"
    assert "detail" in (unknown.json() or {}), "FastAPI's usual {'detail': ...}"


def corners(image):
    """The names of the colours in the four corners, clockwise from the upper left."""
    image = image.convert("RGB")
    right, low = image.width * 7 // 8, image.height * 7 // 8
    left, high = image.width // 8, image.height // 8
    return [
        nearest(image.getpixel(place))
        for place in ((left, high), (right, high), (right, low), (left, low))
    ]


def nearest(pixel):
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}

    def distance(name):
        return sum(abs(a - b) for a, b in zip(pixel, names[name], strict=True))

    return min(names, key=distance)
