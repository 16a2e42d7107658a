"""Images of servers and users: kept under the hash of what they were made into, so each is kept once.

Nothing ever removes one: whether it is still used can't be told from here.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from services.guilds.decoding import Decoder
from shared.errors import NotFound
from shared.protocol.image import ADD_IMAGE, GET_IMAGE, LARGEST, AddedImage, AddImage, GetImage, StoredImage
from shared.service import Call, Parts, handles
from shared.store import Document, translated


class Images:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._decoder = Decoder(parts.settings)

    @handles(ADD_IMAGE)
    async def add_image(self, _call: Call, params: AddImage) -> AddedImage:
        decoded = await self._decoder.decode(params.data)
        image = hashlib.sha256(decoded.sizes[LARGEST]).hexdigest()
        document: Document = {
            "type": decoded.type,
            "sizes": {str(size): data for size, data in decoded.sizes.items()},
            "created_date": datetime.now(UTC),
        }
        with translated():
            await self._store["images"].update_one({"_id": image}, {"$setOnInsert": document}, upsert=True)
        return AddedImage(image=image)

    @handles(GET_IMAGE)
    async def get_image(self, _call: Call, params: GetImage) -> StoredImage:
        """In the size asked for; one that is smaller than that, as it is."""
        fits = {"$ifNull": [f"$sizes.{params.size}", f"$sizes.{LARGEST}"]}
        with translated():
            found = await self._store["images"].find_one({"_id": params.image}, projection={"type": 1, "data": fits})
        if found is None:
            raise NotFound("image")
        return StoredImage(type=found["type"], data=found["data"])
