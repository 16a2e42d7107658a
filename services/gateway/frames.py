"""WebSocket frames and JSON-RPC messages as bytes, built once and shared by all who get them."""

from __future__ import annotations

from typing import Any

import orjson

from shared.journal.entry import Entry

_TEXT = 0x81  # FIN and opcode 1 (RFC 6455, section 5.2); a server does not mask


def text_frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented text frame."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


def notification(method: str, params: dict[str, Any]) -> bytes:
    return text_frame(orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params}))


def result(request_id: Any, payload: bytes) -> bytes:
    """A response around a result that is JSON already."""
    return b'{"jsonrpc":"2.0","id":' + orjson.dumps(request_id) + b',"result":' + payload + b"}"


def failure(request_id: Any, error: dict[str, Any]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "error": error})


class EntryFrames:
    """The frames of one entry, each built when first wanted and then shared.

    One entry may hold several events, of which a connection sees some: all but its last carry `more`. An event may
    show its own author more than others: that variant is built apart.
    """

    __slots__ = ("_built", "entry")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._built: dict[tuple[int, bool, bool], bytes] = {}

    def frame(self, index: int, user_id: str, *, more: bool) -> bytes:
        own = self.entry.events[index].get("own")
        mine = own is not None and own["user_id"] == user_id
        key = (index, more, mine)
        if key not in self._built:
            self._built[key] = self._build(index, more=more, mine=mine)
        return self._built[key]

    def _build(self, index: int, *, more: bool, mine: bool) -> bytes:
        event = self.entry.events[index]
        params: dict[str, Any] = {"scope": self.entry.scope.name, "rev": self.entry.rev, **event["params"]}
        if mine:
            for name, extra in event["own"]["params"].items():
                params[name] = {**params[name], **extra}
        if more:
            params["more"] = True
        return notification(event["name"], params)
