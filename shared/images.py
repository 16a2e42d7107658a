"""What a server or a user names as their image must have been uploaded."""

from __future__ import annotations

from shared.errors import InvalidParams
from shared.store import Store, translated


async def must_be_uploaded(store: Store, image: str | None, field: str) -> None:
    """Raises InvalidParams that names the field. Images are never removed: what was seen once stays true."""
    if image is None:
        return
    with translated():
        found = await store["images"].find_one({"_id": image}, projection={"_id": 1})
    if found is None:
        raise InvalidParams.of(field, "no such image has been uploaded")
