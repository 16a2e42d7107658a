"""JSON-RPC 2.0 (https://www.jsonrpc.org/specification) as it comes in: frames to requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from shared.errors import GuildwireError, InvalidParams, InvalidRequest, MethodNotFound, ParseError
from shared.protocol import METHODS
from shared.protocol.contract import Method

BATCH_LIMIT = 50
_PUBLIC = {name: method for name, method in METHODS.items() if not method.internal}


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request of a frame. Without an id it runs and gets no answer; with `error` it does not run."""

    request_id: Any
    answered: bool
    method: Method[Any, Any] | None
    params: dict[str, Any]
    error: GuildwireError | None = None

    @property
    def named_scopes(self) -> tuple[str, ...]:
        """The channel and the server it names: what it must not overtake others in."""
        named = {kind: self.params.get(f"{kind}_id") for kind in ("server", "channel")}
        return tuple(f"{kind}:{name}" for kind, name in named.items() if isinstance(name, str))


@dataclass(frozen=True, slots=True)
class Frame:
    """All that one WebSocket message asks. A batch is answered by an array, anything else by an object."""

    requests: list[Incoming]
    batch: bool


def parse(text: str) -> Frame:
    """Never raises: what is wrong becomes a request that is answered with an error."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Frame([_wrong(None, ParseError("This is not JSON."))], batch=False)
    if not isinstance(message, list):
        return Frame([_request(message)], batch=False)
    if not message:
        return Frame([_wrong(None, InvalidRequest("A batch must not be empty."))], batch=False)
    if len(message) > BATCH_LIMIT:
        problem = InvalidRequest(f"A batch has at most {BATCH_LIMIT} requests.")
        return Frame([_wrong(None, problem)], batch=False)
    return Frame([_request(each) for each in message], batch=True)


def _request(message: Any) -> Incoming:
    if not isinstance(message, dict):
        return _wrong(None, InvalidRequest("A request is an object."))
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        return _wrong(None, InvalidRequest("An id is a string or a number."))
    name = message.get("method")
    if message.get("jsonrpc") != "2.0" or not isinstance(name, str):
        return _wrong(request_id, InvalidRequest('A request has "jsonrpc": "2.0" and a method.'))
    params = message.get("params", {})
    if not isinstance(params, dict | list):
        return _wrong(request_id, InvalidRequest("params is an object."))
    answered = "id" in message
    method = _PUBLIC.get(name)
    error: GuildwireError | None = None
    if method is None:
        error = MethodNotFound("There is no such method.")
    elif isinstance(params, list):
        error = InvalidParams.of("params", "must be an object, not a list")
    if isinstance(params, list):
        params = {}
    return Incoming(request_id, answered, method, params, error)


def _wrong(request_id: Any, error: GuildwireError) -> Incoming:
    """What is no request cannot ask for silence: it is answered, under a null id when it has none."""
    return Incoming(request_id, answered=True, method=None, params={}, error=error)
