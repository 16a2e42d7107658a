"""Frames against an independent implementation of RFC 6455."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from services.gateway.frames import EntryFrames, text_frame
from shared.journal.entry import Entry
from shared.scopes import channel_scope


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


def params(frame: bytes) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(bytes(decode(frame).data))
    return dict(message["params"])


def test_only_its_author_is_shown_the_nonce() -> None:
    own = {"user_id": "ann", "params": {"message": {"nonce": "n"}}}
    event = {"name": "message_added", "params": {"message": {"id": 1}}, "own": own}
    frames = EntryFrames(Entry(channel_scope("c", "s"), 7, [event]))
    assert params(frames.frame(0, "ann", more=False))["message"] == {"id": 1, "nonce": "n"}
    assert params(frames.frame(0, "bob", more=False)) == {"scope": "channel:c", "rev": 7, "message": {"id": 1}}


def test_a_frame_is_built_once_for_all_who_see_the_same() -> None:
    frames = EntryFrames(Entry(channel_scope("c", "s"), 7, [{"name": "message_deleted", "params": {"message_id": 1}}]))
    assert frames.frame(0, "ann", more=False) is frames.frame(0, "bob", more=False)


def test_all_but_the_last_of_one_revision_say_more() -> None:
    events = [{"name": "message_deleted", "params": {"message_id": each}} for each in (1, 2)]
    frames = EntryFrames(Entry(channel_scope("c", "s"), 7, events))
    assert params(frames.frame(0, "ann", more=True))["more"] is True
    assert "more" not in params(frames.frame(1, "ann", more=False))
