"""Images over HTTP: what an upload becomes, how it is shown, and who may name it."""

from __future__ import annotations

import asyncio
import hashlib
import io

import pytest
from PIL import Image, ImageChops, ImageCms

from tests import pictures
from tests.pictures import flag, noise, saved
from tests.rig import People, System, refused
from tests.web import NOTHING, Web, is_refusal

RED, BLUE = (254, 0, 0), (0, 0, 254)
Colour = tuple[int, int, int]


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


async def test_a_colour_profile_is_obeyed_and_not_kept(web: Web) -> None:
    """And one that nobody can read is no more than metadata."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for profile, left in ((b"SECRET profile", RED), (lab, RED), (pictures.swapped_colours(), BLUE)):
        shown = await web.bytes_of(await web.upload(saved(flag(40, 20), "PNG", icc_profile=profile)))
        assert b"ICCP" not in shown
        assert b"SECRET" not in shown
        assert near(Image.open(io.BytesIO(shown)), (3, 10), left)


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
