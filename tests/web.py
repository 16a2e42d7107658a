"""Images over HTTP, as a person's browser asks for them."""

from __future__ import annotations

import io
from typing import Any

import aiohttp
from PIL import Image

from tests.rig import Person, System

NOTHING = "0" * 64
"""The name of no image."""

Answer = tuple[int, Any]


class Web:
    """HTTP to the gateways of a system, as one person."""

    def __init__(self, system: System, person: Person) -> None:
        self.person = person
        self._bases = [system.url(number).replace("ws:", "http:").removesuffix("/ws") for number in range(2)]
        self.session = aiohttp.ClientSession()

    def images(self, gateway: int = 0) -> str:
        return f"{self._bases[gateway]}/images"

    async def post(self, data: Any, token: str | None = None, **headers: str) -> Answer:
        """Status and JSON body."""
        given = {"Authorization": f"Bearer {token or self.person.token}", **headers}
        async with self.session.post(self.images(), data=data, headers=given) as response:
            return response.status, await response.json()

    async def upload(self, data: bytes) -> str:
        status, body = await self.post(data)
        assert status == 200, body
        assert body.keys() == {"image"}
        return str(body["image"])

    async def bytes_of(self, image: str, size: int | None = None, gateway: int = 1) -> bytes:
        query = "" if size is None else f"?size={size}"
        async with self.session.get(f"{self.images(gateway)}/{image}{query}") as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "image/webp"
            return await response.read()

    async def picture(self, image: str, size: int | None = None) -> Image.Image:
        shown = Image.open(io.BytesIO(await self.bytes_of(image, size)))
        shown.load()
        return shown


def is_refusal(answer: Answer, status: int, reason: str, why: str | None = None) -> bool:
    """As any error of the wire: code, message, reason; and `why`."""
    got, body = answer
    error = body["error"]
    assert error.keys() == {"code", "message", "data"}
    assert (got, error["data"]["reason"], error["data"].get("why")) == (status, reason, why), error
    return True
