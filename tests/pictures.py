"""Image files, honest and hostile, that tests upload."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms

LARGEST = 4096 * 4096
"""Pixels."""


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """What compresses badly, another one for each seed."""
    values = random.Random(seed).randbytes(width * height * len(mode))
    return Image.frombytes(mode, (width, height), values)


def flag(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new(mode, (width, height), "red")
    image.paste(Image.new(mode, (width - width // 2, height), "blue"), (width // 2, 0))
    return image


def with_secrets(kind: str) -> bytes:
    """A flag that says where it was taken and by whom, in all the ways its format has."""
    exif = Image.Exif()
    exif[0x013B] = "SECRET artist"
    exif.get_ifd(0x8825)[1] = "SECRET"  # GPS
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, Any] = {"exif": exif.tobytes(), "icc_profile": profile}
    if kind == "GIF":
        options = {"comment": b"SECRET comment"}
    elif kind == "JPEG":
        options |= {"comment": b"SECRET comment", "xmp": b"<x>SECRET</x>"}
    elif kind == "WEBP":
        options |= {"xmp": b"<x>SECRET</x>"}
    return saved(flag(40, 20), kind, **options)


def swapped_colours() -> bytes:
    """sRGB, but that what it calls red is blue, and the other way round."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = made.index(b"rXYZ"), made.index(b"bXYZ")
    made[red : red + 4], made[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(made)


def animation(kind: str, frames: int = 3) -> bytes:
    """Its first frame is red."""
    colours = ["red", *["blue"] * (frames - 1)]
    first, *others = [Image.new("RGB", (100, 50), colour) for colour in colours]
    return saved(first, kind, save_all=True, append_images=others, duration=50, loop=0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def empty_png(width: int, height: int, *, rows: int | None = None, bits: int = 8) -> bytes:
    """A black PNG without its picture having been in memory; with fewer rows than it says, if so wanted."""
    row = bytes(1 + width * 3 * bits // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height if rows is None else rows)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def giant_gif() -> bytes:
    """60,000 by 60,000, many frames, in a few hundred bytes."""
    small = saved(Image.new("P", (1, 1)), "GIF")
    frame = small[small.index(b"\x2c") : -1]
    return small[:6] + struct.pack("<HH", 60_000, 60_000) + small[10:-1] + frame * 50 + b";"


def gif_with_giant_frame() -> bytes:
    """The screen is small, its first frame is not."""
    small = bytearray(saved(Image.new("P", (1, 1)), "GIF"))
    at = small.index(b"\x2c")
    small[at + 5 : at + 9] = struct.pack("<HH", 60_000, 60_000)
    return bytes(small)


def giant_webp() -> bytes:
    """An animation whose canvas is 16,384 by 16,384."""
    made = bytearray(animation("WEBP"))
    assert made[12:16] == b"VP8X"
    made[24:30] = b"\xff\x3f\x00" * 2
    return bytes(made)


def giant_jpeg() -> bytes:
    made = bytearray(saved(flag(64, 64), "JPEG"))
    at = made.index(b"\xff\xc0")
    made[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(made)


def text_bomb() -> bytes:
    """A PNG with 400 MB of compressed text in front of its picture."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(400)) + packer.flush()
    made = saved(flag(8, 8), "PNG")
    return made[:33] + chunk(b"zTXt", b"a\0\0" + packed) + made[33:]


def slow_jpeg() -> bytes:
    """Sixteen million pixels in thousands of passes: a minute of work in less than 1 MiB."""
    made = saved(Image.new("L", (4096, 4096), 128), "JPEG", progressive=True)
    begins = [at for at in range(len(made) - 1) if made[at : at + 2] == b"\xff\xda"]
    last = made[begins[-1] : -2]
    return made[:-2] + last * ((1_000_000 - len(made)) // len(last)) + made[-2:]
