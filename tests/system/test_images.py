"""Images over HTTP: what is taken and what it becomes, what is refused, and what hostile files cost."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
from PIL import Image, ImageChops

from tests import pictures
from tests.pictures import flag, noise, saved
from tests.rig import People, Person, System, eventually, refused

NOTHING = "0" * 64
RED, BLUE = (254, 0, 0), (0, 0, 254)
Answer = tuple[int, Any]
Colour = tuple[int, int, int]


class Web:
    """HTTP to the gateways of a system, as one person."""

    def __init__(self, system: System, person: Person) -> None:
        self.person = person
        self._bases = [system.url(number).replace("ws:", "http:").removesuffix("/ws") for number in range(2)]
        self.session = aiohttp.ClientSession()

    def images(self, gateway: int = 0) -> str:
        return f"{self._bases[gateway]}/images"

    async def post(self, data: Any, token: str | None = None, **headers: str) -> Answer:
        """Status and JSON body."""
        given = {"Authorization": f"Bearer {token or self.person.token}", **headers}
        async with self.session.post(self.images(), data=data, headers=given) as response:
            return response.status, await response.json()

    async def upload(self, data: bytes) -> str:
        status, body = await self.post(data)
        assert status == 200, body
        assert body.keys() == {"image"}
        return str(body["image"])

    async def bytes_of(self, image: str, size: int | None = None, gateway: int = 1) -> bytes:
        query = "" if size is None else f"?size={size}"
        async with self.session.get(f"{self.images(gateway)}/{image}{query}") as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "image/webp"
            return await response.read()

    async def picture(self, image: str, size: int | None = None) -> Image.Image:
        shown = Image.open(io.BytesIO(await self.bytes_of(image, size)))
        shown.load()
        return shown


@pytest_asyncio.fixture
async def web(system: System, people: People) -> AsyncIterator[Web]:
    made = Web(system, await people.anybody("ann"))
    yield made
    await made.session.close()


def is_refusal(answer: Answer, status: int, reason: str, why: str | None = None) -> bool:
    """As any error of the wire: code, message, reason; and `why`."""
    got, body = answer
    error = body["error"]
    assert error.keys() == {"code", "message", "data"}
    assert (got, error["data"]["reason"], error["data"].get("why")) == (status, reason, why), error
    return True


def near(picture: Image.Image, at: tuple[int, int], colour: Colour) -> bool:
    """Whether it has this colour there, but for what compression loses."""
    found = picture.convert("RGB").getpixel(at)
    assert isinstance(found, tuple)
    assert all(abs(one - other) <= 6 for one, other in zip(found, colour, strict=True)), (found, colour)
    return True


# What becomes of it.


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
async def test_each_format_is_taken_and_says_nothing_of_where_it_comes_from(web: Web, kind: str) -> None:
    sent = pictures.with_secrets(kind)
    assert b"SECRET" in sent
    image = await web.upload(sent)
    shown = await web.bytes_of(image)
    assert hashlib.sha256(shown).hexdigest() == image
    assert not [word for word in (b"SECRET", b"EXIF", b"ICCP", b"XMP ", b"GPS") if word in shown]
    picture = Image.open(io.BytesIO(shown)).convert("RGB")
    assert picture.size == (40, 20)
    assert near(picture, (3, 10), RED)
    assert near(picture, (36, 10), BLUE)


@pytest.mark.parametrize(
    ("size", "expected"), [((1024, 300), (512, 150)), ((300, 1024), (150, 512)), ((700, 1), (512, 1))]
)
async def test_a_larger_one_is_scaled_and_keeps_its_ratio(
    web: Web, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert (await web.picture(await web.upload(saved(flag(*size), "PNG")))).size == expected


async def test_sizes_are_at_most_what_was_asked_for_and_never_more_than_there_was(web: Web) -> None:
    image = await web.upload(saved(flag(1000, 500), "JPEG"))
    sizes = {size: (await web.picture(image, size)).size for size in (64, 128, 256, 512)}
    assert sizes == {64: (64, 32), 128: (128, 64), 256: (256, 128), 512: (512, 256)}
    small = await web.upload(saved(flag(100, 100), "PNG"))
    assert [(await web.picture(small, size)).size for size in (64, 128, 512)] == [(64, 64), (100, 100), (100, 100)]


async def test_transparency_and_exact_colours_stay(web: Web) -> None:
    drawn = Image.new("RGBA", (30, 30), (10, 20, 30, 0))
    drawn.paste((201, 102, 3, 255), (10, 10, 20, 20))
    palette = drawn.convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    for sent in (saved(drawn, "PNG"), saved(palette, "GIF"), saved(noise(20, 20, "RGBA"), "PNG")):
        shown = (await web.picture(await web.upload(sent))).convert("RGBA")
        expected = Image.open(io.BytesIO(sent)).convert("RGBA")
        assert ImageChops.difference(shown.convert("RGBa"), expected.convert("RGBa")).getbbox() is None


async def test_unusual_modes_look_as_they_should(web: Web) -> None:
    grey = Image.frombytes("I;16", (2, 1), (0x8000).to_bytes(2, "little") * 2)
    for sent, expected in (
        (saved(grey, "PNG"), (128, 128, 128)),
        (saved(Image.new("1", (9, 9), 1), "PNG"), (255, 255, 255)),
        (saved(Image.new("LA", (9, 9), (77, 255)), "PNG"), (77, 77, 77)),
        (saved(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG"), (255, 0, 0)),
    ):
        assert near(await web.picture(await web.upload(sent)), (0, 0), expected)


async def test_it_stands_upright_without_the_metadata_that_said_so(web: Web) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right: what is on the left comes to the top
    shown = (await web.picture(await web.upload(saved(flag(80, 40), "JPEG", exif=exif.tobytes())))).convert("RGB")
    assert shown.size == (40, 80)
    assert near(shown, (20, 5), RED)
    assert near(shown, (20, 75), BLUE)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
async def test_of_an_animation_the_first_frame_is_taken(web: Web, kind: str) -> None:
    shown = await web.picture(await web.upload(pictures.animation(kind)))
    assert getattr(shown, "n_frames", 1) == 1
    assert near(shown, (50, 25), RED)


async def test_what_hangs_on_to_an_image_does_not_stay(web: Web) -> None:
    """A file that is an image and a web page: only the image is kept."""
    script = b"<script>alert(1)</script>"
    gif = saved(flag(8, 8), "GIF")
    for sent in (gif + script, saved(flag(8, 8), "PNG") + b"PK\x03\x04" + script, saved(flag(8, 8), "JPEG") + script):
        assert b"script" not in await web.bytes_of(await web.upload(sent))


async def test_the_content_says_what_it_is_and_no_header(web: Web) -> None:
    status, body = await web.post(saved(flag(8, 8), "JPEG"), **{"Content-Type": "text/html"})
    assert status == 200
    assert (await web.picture(body["image"])).format == "WEBP"


@pytest.mark.protocol("POST /images", "GET /images")
async def test_the_same_upload_is_stored_once(web: Web, system: System) -> None:
    sent = saved(noise(600, 600, seed=77), "JPEG")
    names = set(await asyncio.gather(*(web.upload(sent) for _ in range(3)), web.upload(sent)))
    assert len(names) == 1
    stored = system.db.images.find_one({"_id": names.pop()})
    assert stored is not None
    assert stored["type"] == "image/webp"
    assert set(stored["sizes"]) == {"512", "256", "128", "64"}
    again = Web(system, web.person)
    assert await again.upload(saved(noise(600, 600, seed=78), "JPEG")) != stored["_id"]
    await again.session.close()


# What is refused.


BROKEN = {
    "nothing": b"",
    "half a PNG": saved(noise(60, 60), "PNG")[:5000],
    "half a JPEG": saved(noise(90, 90), "JPEG")[:3000],
    "half a WebP": saved(noise(90, 90), "WEBP")[:3000],
    "half a GIF": saved(noise(90, 90).convert("P"), "GIF")[:1500],
    "a PNG's beginning": b"\x89PNG\r\n\x1a\n",
    "a JPEG's beginning": b"\xff\xd8\xff",
    "a WebP's beginning": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    "a GIF's beginning": b"GIF89a",
    "a bit turned": saved(noise(60, 60), "PNG").replace(b"IDAT", b"IDAU"),
    "a PNG that is none": b"\x89PNG\r\n\x1a\n" + b"\xff" * 1000,
    "no width": pictures.empty_png(0, 10),
    "compressed text": pictures.text_bomb(),
}
WRONG = {
    "text": b"hello",
    "a page": b"<!doctype html><script>alert(1)</script>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "BMP": saved(flag(8, 8), "BMP"),
    "TIFF": saved(flag(8, 8), "TIFF"),
    "ICO": saved(flag(16, 16), "ICO"),
    "a sound": b"RIFF\x10\x00\x00\x00WAVEfmt ",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
}
TOO_LARGE = {
    "50,000 by 50,000": pictures.empty_png(50_000, 50_000, rows=1),
    "one row too many": pictures.empty_png(4096, 4097),
    "GIF": pictures.giant_gif(),
    "a GIF's frame": pictures.gif_with_giant_frame(),
    "WebP": pictures.giant_webp(),
    "JPEG": pictures.giant_jpeg(),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_broken(web: Web, name: str) -> None:
    assert is_refusal(await web.post(BROKEN[name]), 400, "invalid_params", "broken")


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_no_image(web: Web, name: str) -> None:
    answer = await web.post(WRONG[name], **{"Content-Type": "image/png"})
    assert is_refusal(answer, 415, "invalid_params", "wrong_type")


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_what_has_too_many_pixels(web: Web, name: str) -> None:
    assert len(TOO_LARGE[name]) < 100_000
    assert is_refusal(await web.post(TOO_LARGE[name]), 413, "invalid_params", "too_large")


async def test_the_largest_that_is_taken(web: Web) -> None:
    """As many pixels as are allowed, two bytes for each of three colours; and a file of 1 MiB."""
    assert (await web.picture(await web.upload(pictures.empty_png(4096, 4096, bits=16)))).size == (512, 512)
    png = saved(flag(8, 8), "PNG")
    await web.upload(png + bytes((1 << 20) - len(png)))


async def test_a_byte_more_than_1_mib_is_refused_announced_or_not(web: Web) -> None:
    sent = saved(flag(8, 8), "PNG").ljust((1 << 20) + 1, b"\0")

    async def unannounced() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), 65_536):
            yield sent[start : start + 65_536]

    for data in (sent, unannounced()):
        assert is_refusal(await web.post(data), 413, "invalid_params", "too_large")


async def test_who_has_no_token_uploads_nothing(web: Web, people: People) -> None:
    png = saved(flag(8, 8), "PNG")
    left = await people.register()
    await (await people.connect(left)).call("logout")
    for given in (
        "Bearer wrong",
        f"Bearer {left.token}",
        f"Bearer {'x' * 300}",
        "Bearer ",
        "Bearer",
        f"Basic {web.person.token}",
    ):
        async with web.session.post(web.images(), data=png, headers={"Authorization": given}) as response:
            assert is_refusal((response.status, await response.json()), 401, "unauthenticated")
            assert response.headers["WWW-Authenticate"] == "Bearer"
    async with web.session.post(web.images(), data=png) as response:
        assert response.status == 401


async def test_other_methods_and_paths(web: Web) -> None:
    for method, path, status in (
        ("PUT", "", 405),
        ("GET", "", 405),
        ("POST", f"/{NOTHING}", 405),
        ("GET", "/a/b", 404),
    ):
        async with web.session.request(method, f"{web.images()}{path}") as response:
            assert response.status == status


# Showing it.


async def test_it_may_be_cached_for_ever_by_anybody(web: Web) -> None:
    image = await web.upload(saved(flag(300, 300), "PNG"))
    url = f"{web.images(1)}/{image}"
    async with web.session.get(url, headers={"Origin": "https://elsewhere.example"}) as response:
        whole, headers = await response.read(), response.headers
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Content-Type"] == "image/webp"
    assert int(headers["Content-Length"]) == len(whole)
    async with web.session.get(f"{url}?size=64") as response:
        assert response.headers["ETag"] != headers["ETag"]
    for known in (headers["ETag"], f'"x", W/{headers["ETag"]}'):
        async with web.session.get(url, headers={"If-None-Match": known}) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["ETag"] == headers["ETag"]
            assert response.headers["Cache-Control"] == headers["Cache-Control"]
    async with web.session.get(url, headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200
    async with web.session.head(url) as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["Content-Length"] == headers["Content-Length"]
        assert response.headers["ETag"] == headers["ETag"]


@pytest.mark.parametrize("image", [NOTHING, "x", "A" * 64, "0" * 63, "$ne", "ü" * 64])
async def test_what_there_is_not(web: Web, image: str) -> None:
    async with web.session.get(f"{web.images()}/{image}") as response:
        assert is_refusal((response.status, await response.json()), 404, "not_found")
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("size", ["0", "1", "63", "65", "1024", "-64", "64.0", "", "x", "٦٤", "9" * 5000, "064"])
async def test_sizes_that_there_are_not(web: Web, size: str) -> None:
    async with web.session.get(f"{web.images()}/{NOTHING}", params={"size": size}) as response:
        assert is_refusal((response.status, await response.json()), 400, "invalid_params")


# Who uses it.


@pytest.mark.protocol("add_server", "update_server", "update_user")
async def test_only_what_was_uploaded_can_be_named(web: Web, system: System, people: People) -> None:
    room = await people.room()
    image = await web.upload(saved(flag(30, 30), "PNG"))
    for method, params, field in (
        ("add_server", {"name": "x", "image": NOTHING}, "image"),
        ("update_server", {"server_id": room.server_id, "changes": {"image": NOTHING}}, "changes.image"),
        ("update_user", {"changes": {"image": NOTHING}}, "changes.image"),
    ):
        error = await refused(room.owner.call(method, **params))
        assert (error.reason, error.data["errors"][0]["field"]) == ("invalid_params", field)
    assert (await room.owner.call("add_server", name="x", image=image))["image"] == image
    changed = await room.owner.call("update_server", server_id=room.server_id, changes={"image": image})
    assert changed["image"] == image
    assert (await room.member.event("server_updated")).params["changes"] == {"image": image}
    await room.member.call("get_user", user_id=room.owner_is.id)
    for value in (image, None):
        assert (await room.owner.call("update_user", changes={"image": value}))["image"] == value
        await room.member.event("user_changed", changes={"image": value})
        assert (system.db.users.find_one({"_id": room.owner_is.id}) or {})["image"] == value


# What it costs.


def memory_of(system: System, name: str) -> int:
    """Bytes, of the process itself: those that decode are its children."""
    return int(psutil.Process(system.processes[name].pid).memory_info().rss)


@pytest.mark.slow
async def test_bombs_leave_the_service_as_it_was(web: Web, system: System) -> None:
    bombs = [*TOO_LARGE.values(), pictures.text_bomb(), pictures.empty_png(4096, 4096, bits=16)]
    await asyncio.gather(*(web.post(bomb) for bomb in bombs[:2]))
    before = memory_of(system, "guilds-0")
    for start in range(0, 52, 4):
        await asyncio.gather(*(web.post(bombs[number % len(bombs)]) for number in range(start, start + 4)))
    assert memory_of(system, "guilds-0") - before < 24 << 20
    assert psutil.Process(system.processes["guilds-0"].pid).children() == []


async def test_what_stalls_its_decoder_is_cut_short_and_others_go_on(
    make_system: Callable[..., System],
) -> None:
    """One that takes for ever, one that takes too much memory, one that arrives too slowly, and too many at once."""
    system = make_system(
        gateways=2,
        env={
            "guilds": {"IMAGE_SECONDS": "1"},
            "gateway-0": {"IMAGE_UPLOAD_TIMEOUT": "1.5", "IMAGE_UPLOADS": "5"},
        },
    ).start()
    people = People(system)
    web = Web(system, await people.register())
    status, body = await web.post(pictures.slow_jpeg())
    # Killed for its processor time, or, where others keep the processor busy, for the time it took.
    assert (status, body["error"]["data"]["reason"]) in {(400, "invalid_params"), (503, "unavailable")}
    guilds = psutil.Process(system.processes["guilds-0"].pid)
    await eventually(lambda: guilds.children() == [], "its process is gone")
    await web.upload(saved(flag(8, 8), "PNG"))
    await _slow_and_many(web, Web(system, await people.register()))
    await people.close()


async def _slow_and_many(web: Web, other: Web) -> None:
    png = saved(flag(8, 8), "PNG")

    async def slowly() -> AsyncIterator[bytes]:
        yield png[:20]
        await asyncio.sleep(30)

    slow = [asyncio.create_task(web.post(slowly())) for _ in range(6)]
    answers = [await task for task in slow]
    statuses = sorted(status for status, _ in answers)
    assert statuses == [408] * 4 + [429] * 2
    late = next(answer for answer in answers if answer[0] == 408)
    assert is_refusal(late, 408, "invalid_request", "too_slow")
    slow = [asyncio.create_task(each.post(slowly())) for each in (web, web, web, other, other, other)]
    assert sorted([(await task)[0] for task in slow]) == [408] * 5 + [503]
    await web.upload(png)
    await web.session.close()
    await other.session.close()
