"""Files that are nearly images: the decoder refuses them, or makes of them what it makes of an image."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from services.guilds import decoder
from tests.fuzz.hunt import hunt, kept, read
from tests.fuzz.wire import spoiled
from tests.pictures import animation, flag, saved, with_secrets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

FILES = [saved(flag(24, 16), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP")]
FILES += [with_secrets(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP")] + [animation("GIF"), animation("WEBP")]


def decode(file: str) -> None:
    made: dict[int, bytes] = {}
    with suppress(decoder.Refused):
        made = decoder.reencoded(bytes.fromhex(file))
    for size, data in made.items():
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            image.load()
            assert max(image.size) <= size
            assert not {"exif", "icc_profile", "xmp"} & image.info.keys()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a header claims is unpacked before anything fails: many images a second are looked for here."""
    monkeypatch.setattr(decoder, "MAX_PIXELS", 256 * 256)
    # The decoder, a process of its own elsewhere, sets Pillow's limit too: here it must be as before for other tests.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.mark.parametrize("path", kept("images"), ids=lambda path: path.stem)
def test_what_was_kept(path: Path) -> None:
    decode(read(path))


def test_files() -> None:
    hunt("images", spoiled(FILES), decode, examples=60, share=0.1)
