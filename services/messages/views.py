"""A message's document as the wire shows it."""

from __future__ import annotations

from collections.abc import Collection

from shared.protocol.message import Message, Reaction
from shared.store import Document


def message_view(message: Document, mine: Collection[str] = ()) -> Message:
    """`mine` are the reactions that are the reader's own."""
    return Message(
        id=message["id"],
        channel_id=message["channel_id"],
        author_id=message["author_id"],
        content=message["content"],
        created_date=message["created_date"],
        edited_date=message["edited_date"],
        reply_to=message["reply_to"],
        reactions=[Reaction(**each, me=each["emoji"] in mine) for each in message["reactions"]],
        mentions=message["mentions"],
        mentions_everyone=message["mentions_everyone"],
        rev=message["rev"],
    )
