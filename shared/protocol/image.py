"""Images. They come and go over HTTP at the gateway (`/images`), which asks guilds by these; no client can."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from shared.protocol.contract import Entity, Method, Params
from shared.protocol.fields import ImageHash

MAX_BYTES = 1 << 20
"""Largest upload."""

Size = Literal[64, 128, 256, 512]
LARGEST: Size = 512


class AddImage(Params):
    """The file as it was uploaded."""

    model_config = ConfigDict(val_json_bytes="base64", ser_json_bytes="base64")
    data: Annotated[bytes, Field(max_length=MAX_BYTES)]


class AddedImage(Entity):
    """`image` is the SHA-256 of what was made of it: the same upload has the same name."""

    image: str


class GetImage(Params):
    image: ImageHash
    size: Size = LARGEST


class StoredImage(Entity):
    model_config = ConfigDict(val_json_bytes="base64", ser_json_bytes="base64")
    type: str
    data: bytes


ADD_IMAGE = Method("add_image", "guilds", AddImage, AddedImage, cost=10, internal=True)
GET_IMAGE = Method("get_image", "guilds", GetImage, StoredImage, internal=True)
