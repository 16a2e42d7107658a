"""The program that decodes one image and ends: `python decoder.py SECONDS MEMORY`, the image on stdin.

It stands alone, away from our packages and from any secret: bytes from strangers may crash, stall or fill what decodes
them, and then it is only this process. It limits its processor time and its memory before it reads the first byte.

On stdout is one line of JSON: `{"why", "problem"}` when the image is refused, else `{"sizes": {size: length}}`, with
the encoded images after it in that order.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import sys
import warnings

from PIL import Image, ImageCms

MAX_PIXELS = 4096 * 4096
SIZES = (512, 256, 128, 64)
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_BEGINNINGS = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF.{4}WEBP|GIF8[79]a", re.DOTALL)
_WITHOUT_LOSS = {"PNG", "GIF"}
_WITHOUT_LOSS_MOST = 256 << 10
_QUALITY = 88
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to show an image upright, by its EXIF orientation (EXIF 2.32, 4.6.4 A)."""


class Refused(Exception):
    """`why` is `too_large`, `wrong_type` or `broken`; the text ends a sentence about the image."""

    def __init__(self, why: str, problem: str) -> None:
        super().__init__(problem)
        self.why = why


def reencoded(data: bytes) -> dict[int, bytes]:
    """The first frame as WebP without any metadata, for each size that is smaller than the image, and the largest."""
    if not data:
        raise Refused("broken", "is empty")
    if not _BEGINNINGS.match(data):
        raise Refused("wrong_type", "is no PNG, JPEG, WebP or GIF")
    # Pillow warns above its limit, and refuses only at the double: here a warning is as good as an error.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        image, lossless = _upright(data)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Refused("too_large", f"has more than {MAX_PIXELS} pixels") from None
    except (MemoryError, Refused):
        raise
    except Exception as error:  # decoders raise whatever a broken file makes them stumble over
        raise Refused("broken", "is broken or cut off") from error
    longest = max(image.size)
    return {size: _encoded(image, size, lossless) for size in SIZES if size == SIZES[0] or size < longest}


def _upright(data: bytes) -> tuple[Image.Image, bool]:
    """The picture as it is meant to be seen, in sRGB, not above the largest size; whether it came without loss."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.draft("RGB", (2 * SIZES[0], 2 * SIZES[0]))
        image.load()
        turn = _turn(image)
        profile, without_loss = image.info.get("icc_profile"), image.format in _WITHOUT_LOSS
        small = _scaled(_plain(image), SIZES[0])
    small = _in_srgb(small, profile)
    return (small.transpose(turn) if turn is not None else small), without_loss


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - broken metadata is no reason to refuse a picture
        return None


def _plain(image: Image.Image) -> Image.Image:
    """In a mode that can be scaled, with its transparency."""
    if image.mode.startswith("I"):
        # Sixteen bits of grey: Pillow would cut off instead of scale.
        return image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


def _scaled(image: Image.Image, size: int) -> Image.Image:
    """Its longest side at most `size`, its ratio kept; a copy in any case."""
    longest = max(image.size)
    if longest <= size:
        return image.copy()
    width, height = (max(1, round(side * size / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """What a colour profile says is put into the colours, since the profile itself does not stay."""
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
            assert made is not None  # noqa: S101 - it is None only when asked to work in place
            return made
    return image.convert(mode)


def _encoded(image: Image.Image, size: int, without_loss: bool) -> bytes:
    scaled = _scaled(image, size)
    if without_loss and len(encoded := _webp(scaled, lossless=True)) <= _WITHOUT_LOSS_MOST:
        return encoded
    return _webp(scaled, lossless=False)


def _webp(image: Image.Image, *, lossless: bool) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=50 if lossless else _QUALITY, lossless=lossless, method=4)
    return out.getvalue()


def _limit(seconds: int, memory: int) -> None:
    """Past its processor time the kernel kills it; past its memory, allocations fail. Everyone else goes first."""
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _answer(head: dict[str, object], *parts: bytes) -> None:
    sys.stdout.buffer.write(b"".join([json.dumps(head).encode(), b"\n", *parts]))


def main() -> None:
    _limit(int(sys.argv[1]), int(sys.argv[2]))
    try:
        encoded = reencoded(sys.stdin.buffer.read())
    except Refused as refused:
        _answer({"why": refused.why, "problem": str(refused)})
    except MemoryError:
        _answer({"why": "too_large", "problem": "takes too much memory to decode"})
    else:
        _answer({"sizes": {str(size): len(data) for size, data in encoded.items()}}, *encoded.values())


if __name__ == "__main__":
    main()
