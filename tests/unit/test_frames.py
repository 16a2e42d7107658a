"""Frames against an independent implementation of RFC 6455."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from services.gateway.frames import text_frame


def decode(frame: bytes) -> Frame:
    reader = StreamReader()
    reader.feed_data(frame)
    with pytest.raises(StopIteration) as done:
        next(Frame.parse(reader.read_exact, mask=False))
    decoded: Frame = done.value.value
    return decoded


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_every_length_is_read_back(size: int) -> None:
    frame = decode(text_frame(b"x" * size))
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, b"x" * size)
