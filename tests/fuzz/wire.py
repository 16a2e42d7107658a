"""Texts that are nearly JSON-RPC, bytes that are nearly WebSocket frames, files that are nearly images.

And what JSON-RPC says of a text, read anew from its specification.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.fuzz.hostile import HUGE, OPERATORS

BATCH = 50
LARGEST = 64 << 10
_OPCODES = [1, 2, 8, 9, 10]

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*OPERATORS, HUGE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(
    ["ping", "get_server", "login", "get_servers", "identify", "", "ping\x00", "rpc.ping", "*", ">"]
)
_FIELDS = {
    "jsonrpc": st.sampled_from(["2.0", "2.0", "2.0", "1.0", "", 2.0, None]),
    "id": st.integers() | st.text(max_size=8) | st.none() | st.sampled_from([HUGE, -HUGE, 1.5, True, [], {}]) | _JSON,
    "method": _NAMES | _JSON,
    "params": st.fixed_dictionaries({}, optional={"server_id": _JSON, "invite": _JSON, "name": _JSON}) | _JSON,
}
_REQUESTS = st.fixed_dictionaries({}, optional={**_FIELDS, "result": _JSON, "x": _JSON})
_RIGHT = st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "method": _NAMES}, optional={"id": _FIELDS["id"]})
_MESSAGES = _REQUESTS | _RIGHT | _JSON
_BATCHES = st.lists(_MESSAGES, max_size=6) | st.lists(_RIGHT, min_size=BATCH - 1, max_size=BATCH + 1)
_WRITTEN = st.builds(json.dumps, _MESSAGES | _BATCHES, ensure_ascii=st.booleans())
_SPLICES = st.sampled_from(
    ["", '"', "\\", "{", "}", "[", "]", ",", ":", "\x00", "\\ud800", "\\u0000", "\ufeff", "1e400", "-", "NaN", " ", "é"]
)


@st.composite
def _spliced(draw: DrawFn) -> str:
    text = draw(_WRITTEN)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(_SPLICES) + text[start + draw(st.integers(0, 3)) :]
    return text


_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_LONG = re.compile(r"[0-9]{300}")


def _sendable(text: str) -> bool:
    """No WebSocket carries half a surrogate pair as it is."""
    return not re.search("[\ud800-\udfff]", text)


TEXTS: SearchStrategy[str] = (_WRITTEN | _spliced() | st.text(max_size=40)).filter(_sendable)


def expected(text: str) -> list[tuple[str, Any]] | None:
    """Of each request, whether it is one, and its id: `parse_error`, `invalid_request` or `request`.

    None where JSON leaves it open: half a surrogate pair, a number beyond what doubles hold, hundreds of levels.
    """
    if _HALF.search(_PAIR.sub("", text)) or _LONG.search(text) or text.count("[") + text.count("{") > 200:
        return None
    try:
        message = json.loads(text, parse_constant=_refuse)
        if "Infinity" in json.dumps(message):
            return None
    except ValueError:
        return [("parse_error", None)]
    if not isinstance(message, list):
        return [_kind(message)]
    if not 0 < len(message) <= BATCH:
        return [("invalid_request", None)]
    return [_kind(each) for each in message]


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _kind(message: Any) -> tuple[str, Any]:
    if not isinstance(message, dict):
        return "invalid_request", None
    number = message.get("id")
    if number is not None and (isinstance(number, bool) or not isinstance(number, str | int | float)):
        return "invalid_request", None
    right = message.get("jsonrpc") == "2.0" and isinstance(message.get("method"), str)
    if right and isinstance(message.get("params", {}), dict | list):
        return "request" if "id" in message else "notification", number
    return "invalid_request", number


# Sockets.


@st.composite
def _frame(draw: DrawFn) -> bytes:
    """A client's frame after RFC 6455, section 5.2, or nearly one."""
    opcode = draw(st.sampled_from([*_OPCODES, 0, 1, 1, 3, 11]))
    payload = draw(_payloads)
    first = draw(st.sampled_from([0x80, 0x80, 0x80, 0x00, 0xC0, 0xA0, 0x90])) | opcode
    masked = draw(st.sampled_from([0x80, 0x80, 0x80, 0x80, 0]))
    claimed = draw(
        st.sampled_from([len(payload)] * 6 + [0, 125, 126, 65_535, LARGEST + 1, 2**32, 2**63 - 1, 2**64 - 1])
    )
    return bytes((first,)) + _length(claimed, masked) + _masked(payload, masked)


_payloads = (
    TEXTS.map(str.encode)
    | st.binary(max_size=140)
    | st.sampled_from([1000, 1001, 1002, 1005, 1006, 1015, 4001, 4999, 0, 65_535]).map(
        lambda code: code.to_bytes(2, "big")
    )
    | st.sampled_from([125, 126, LARGEST, LARGEST + 1]).map(lambda size: b" " * size)
)


def _length(size: int, masked: int) -> bytes:
    if size < 126:
        return bytes((masked | size,))
    if size < 1 << 16:
        return bytes((masked | 126,)) + size.to_bytes(2, "big")
    return bytes((masked | 127,)) + size.to_bytes(8, "big")


def _masked(payload: bytes, masked: int) -> bytes:
    """By a mask of zeros, which changes nothing."""
    return bytes(4) + payload if masked else payload


STREAMS: SearchStrategy[str] = st.lists(_frame() | st.binary(max_size=12), min_size=1, max_size=5).map(
    lambda parts: b"".join(parts).hex()
)


# Files.


@st.composite
def spoiled(draw: DrawFn, files: list[bytes]) -> str:
    """One of the files, in hex, with a few bytes changed, cut out or doubled."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.sampled_from([0, 1, 1, 2, 4, 16]))
        data[start:end] = draw(st.binary(max_size=4) | st.just(bytes(data[start : end + 8])))
    return data.hex()
