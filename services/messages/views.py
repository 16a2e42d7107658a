"""A message's document as the wire shows it."""

from __future__ import annotations

from shared.protocol.message import Message
from shared.store import Document


def message_view(message: Document) -> Message:
    return Message(
        id=message["id"],
        channel_id=message["channel_id"],
        author_id=message["author_id"],
        content=message["content"],
        created_date=message["created_date"],
        edited_date=message["edited_date"],
        reply_to=message["reply_to"],
        reactions=[],
        mentions=message["mentions"],
        mentions_everyone=message["mentions_everyone"],
        rev=message["rev"],
    )
