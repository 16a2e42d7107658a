"""Reactions to messages. Served by messages."""

from __future__ import annotations

from shared.protocol.contract import Empty, Method, Params
from shared.protocol.fields import Emoji, Id, MessageId, Nonce
from shared.protocol.message import Reaction


class AddReaction(Params):
    channel_id: Id
    message_id: MessageId
    emoji: Emoji
    nonce: Nonce | None = None


class DeleteReaction(Params):
    channel_id: Id
    message_id: MessageId
    emoji: Emoji


ADD_REACTION = Method("add_reaction", "messages", AddReaction, Reaction)
DELETE_REACTION = Method("delete_reaction", "messages", DeleteReaction, Empty)
