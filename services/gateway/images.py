"""Images over HTTP: `POST /images` takes one from whoever has a token, `GET /images/<hash>` shows it to everybody.

A hash names what it was made of, so what it shows never changes: it may be cached for ever, and whoever asks with its
tag has it already. Browsers let pages of any origin show images, and none but our own upload: that answer names no
origin.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, get_args

import orjson
from aiohttp import hdrs, web
from pydantic import ValidationError

from services.gateway.addresses import Addresses
from services.gateway.limits import Limits
from services.gateway.tokens import Tokens
from services.gateway.upstream import Refused, Upstream
from shared.errors import (
    GuildwireError,
    Internal,
    InvalidParams,
    InvalidRequest,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from shared.ids import new_id
from shared.protocol.account import Identify, Identity
from shared.protocol.contract import Method
from shared.protocol.image import ADD_IMAGE, GET_IMAGE, LARGEST, MAX_BYTES, AddImage, GetImage, Size
from shared.settings import Settings
from shared.telemetry import REPLIES, logger

_OF_ONE_USER = 4
_LOOKED_UP_AT_ONCE = 64
"""So that images leave room at guilds for everything else."""

_SIZES = {str(size): size for size in get_args(Size)}

_STATUS = {
    "too_large": 413,
    "wrong_type": 415,
    "too_slow": 408,
    "invalid_request": 400,
    "invalid_params": 400,
    "unauthenticated": 401,
    "not_found": 404,
    "rate_limited": 429,
    "unavailable": 503,
}
"""By an error's `why` if that is here, else by its `reason`; 500 for any other."""

_MORE_HEADERS: dict[int, dict[str, str]] = {
    401: {hdrs.WWW_AUTHENTICATE: "Bearer"},
    408: {hdrs.CONNECTION: "close"},
    413: {hdrs.CONNECTION: "close"},
    503: {hdrs.RETRY_AFTER: "2"},
}
_SAFE: dict[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
}
_NEVER_KEPT: dict[str, str] = {hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"}
_FOR_EVER: dict[str, str] = {hdrs.CACHE_CONTROL: "public, max-age=31536000, immutable", **_SAFE}


class Images:
    def __init__(
        self, upstream: Upstream, settings: Settings, limits: Limits, tokens: Tokens, addresses: Addresses
    ) -> None:
        self._upstream = upstream
        self._limits = limits
        self._tokens = tokens
        self._addresses = addresses
        self._settings = settings
        self._uploads: Counter[str] = Counter()
        self._no_uploads = asyncio.Event()
        self._no_uploads.set()
        self._looking_up = asyncio.Semaphore(_LOOKED_UP_AT_ONCE)

    def serve(self, router: web.UrlDispatcher) -> None:
        router.add_post("/images", self.upload)
        router.add_get("/images/{image}", self.show)

    async def upload(self, request: web.Request) -> web.Response:
        return await _answered(ADD_IMAGE, self._upload(request))

    async def show(self, request: web.Request) -> web.Response:
        return await _answered(GET_IMAGE, self._show(request))

    async def uploads_end(self, within: float) -> None:
        """Waits until every upload under way is answered, but no longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._no_uploads.wait()

    async def _upload(self, request: web.Request) -> web.Response:
        """Nothing of the body is read before it is known whose it is."""
        identity = await self._identify(request)
        with self._slot(identity.user.id):
            self._limits.check_user(identity.user.id, ADD_IMAGE.cost)
            data = await self._body(request)
            reply = await self._upstream.forward(
                ADD_IMAGE,
                AddImage(data=data).model_dump_json().encode(),
                user_id=identity.user.id,
                session_id=identity.session_id,
                until=time.monotonic() + self._settings.request_timeout,
            )
        return web.Response(body=reply.payload, content_type="application/json", headers=_NEVER_KEPT)

    async def _identify(self, request: web.Request) -> Identity:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("This needs the header `Authorization: Bearer <token>`.")
        try:
            params = Identify(token=token.strip())
        except ValidationError:
            raise Unauthenticated("The token was refused; log in again.") from None
        until = time.monotonic() + self._settings.read_timeout
        return await self._tokens.owner(params.token, self._addresses.of(request), until)

    @contextmanager
    def _slot(self, user_id: str) -> Iterator[None]:
        """A place among the uploads under way: few of one user, so that nobody takes them all."""
        if self._uploads.total() >= self._settings.image_uploads:
            raise Unavailable("Too many uploads at once; try again.")
        if self._uploads[user_id] >= _OF_ONE_USER:
            raise RateLimited(f"At most {_OF_ONE_USER} uploads at once.", retry_after_ms=1000)
        self._uploads[user_id] += 1
        self._no_uploads.clear()
        try:
            yield
        finally:
            self._uploads[user_id] -= 1
            if not self._uploads[user_id]:
                del self._uploads[user_id]
            if not self._uploads:
                self._no_uploads.set()

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > MAX_BYTES:
            raise _too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.image_upload_timeout):
                async for part in request.content.iter_any():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise _too_large()
        except TimeoutError:
            raise InvalidRequest("The image did not arrive in time.", why="too_slow") from None
        return bytes(body)

    async def _show(self, request: web.Request) -> web.Response:
        params = _asked(request)
        tag = f"{params.image}-{params.size}"
        headers = {**_FOR_EVER, hdrs.ETAG: f'"{tag}"'}
        if any(each.value == tag for each in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        self._limits.check_image(self._addresses.of(request))
        async with asyncio.timeout(self._settings.read_timeout), self._looking_up:
            found = await self._upstream.call(GET_IMAGE, params)
        return web.Response(body=found.data, content_type=found.type, headers=headers)


def _asked(request: web.Request) -> GetImage:
    image, size = request.match_info["image"], request.query.get("size", str(LARGEST))
    try:
        return GetImage.model_validate({"image": image, "size": _SIZES.get(size, size)})
    except ValidationError as error:
        if any(each["loc"] == ("image",) for each in error.errors()):
            raise NotFound("image") from None
        raise InvalidParams.from_validation(error) from None


def _too_large() -> InvalidParams:
    problem = f"has more than {MAX_BYTES} bytes"
    return InvalidParams(f"The image {problem}.", why="too_large", errors=[{"field": "image", "problem": problem}])


async def _answered(method: Method[Any, Any], work: Awaitable[web.Response]) -> web.Response:
    """What it gives, or the error as the wire has it, in an HTTP response."""
    began = time.perf_counter()
    try:
        response, reason = await work, "ok"
    except Exception as error:  # noqa: BLE001 - a bug, too, must become an answer and a log line
        wire = _wire(error)
        response, reason = _failure(wire), wire["data"]["reason"]
    REPLIES.labels(method=method.name, reason=reason).observe(time.perf_counter() - began)
    return response


def _wire(error: Exception) -> dict[str, Any]:
    """The error object for whatever went wrong."""
    match error:
        case Refused():
            return error.error
        case GuildwireError():
            return error.wire()
        case TimeoutError():
            return Unavailable().wire()
        case web.RequestPayloadError() | ConnectionError():
            return InvalidRequest("The image did not arrive whole.").wire()
        case _:
            request_id = new_id()
            logger().error("bug", request=request_id, exc_info=error)
            return Internal(request_id).wire()


def _failure(error: dict[str, Any]) -> web.Response:
    data = error["data"]
    status = _STATUS.get(data.get("why", "")) or _STATUS.get(data["reason"], 500)
    headers = {**_NEVER_KEPT, **_SAFE, **_MORE_HEADERS.get(status, {})}
    if "retry_after_ms" in data:
        headers[hdrs.RETRY_AFTER] = str(math.ceil(data["retry_after_ms"] / 1000))
    body = orjson.dumps({"error": error})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
