"""Images go over HTTP, to the gateway that the WebSocket leads to."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection, responses
from urllib.parse import urlsplit

from guildwire.errors import Disconnected, refusal

_PATIENCE = 30.0
"""Seconds that nothing comes or goes."""


def url_of(url: str, image: str, size: int) -> str:
    """Where an image is, beside the WebSocket's URL."""
    parts = urlsplit(url)
    scheme = "https" if parts.scheme == "wss" else "http"
    return f"{scheme}://{parts.netloc}{_path(url)}/{image}?size={size}"


async def upload(url: str, token: str, data: bytes) -> str:
    """One try. Raises Refused or Disconnected."""
    return await asyncio.to_thread(_post, url, token, data)


def _path(url: str) -> str:
    return f"{urlsplit(url).path.removesuffix('/ws')}/images"


def _post(url: str, token: str, data: bytes) -> str:
    parts = urlsplit(url)
    make = HTTPSConnection if parts.scheme == "wss" else HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=_PATIENCE)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    try:
        connection.connect()
        with suppress(ConnectionError):  # refused before all was sent: the answer says why
            connection.request("POST", _path(url), data, headers)
        response = connection.getresponse()
        status, body = response.status, response.read()
    except (OSError, HTTPException) as error:
        raise Disconnected(f"The image could not be sent: {str(error) or type(error).__name__}.") from error
    finally:
        connection.close()
    try:
        answer = json.loads(body)
        if status != 200:
            raise refusal(answer["error"])
        return str(answer["image"])
    except (ValueError, LookupError, TypeError):
        # Not from a gateway, but from something in front of it.
        raise Disconnected(f"The image was answered with {status} {responses.get(status, '')}.") from None
