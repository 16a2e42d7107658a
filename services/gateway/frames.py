"""WebSocket frames and JSON-RPC messages as bytes, built once and shared by all who get them."""

from __future__ import annotations

from typing import Any

import orjson

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
