"""Messages of a channel. Served by messages."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer

from shared.protocol.account import User
from shared.protocol.contract import Delta, Empty, Entity, Event, Method, Params
from shared.protocol.fields import Amount, Anchor, Content, Date, Id, MessageId, Nonce, Rev


class Reaction(Entity):
    emoji: str
    count: int
    me: bool


class Message(Entity):
    """`id` counts 1, 2, 3 … within the channel, in commit order, and is never used again."""

    id: int
    channel_id: str
    author_id: str
    content: str
    created_date: Date
    edited_date: Date | None
    reply_to: int | None
    reactions: list[Reaction]
    mentions: list[str]
    mentions_everyone: bool
    rev: int


class AddMessage(Params):
    channel_id: Id
    content: Content
    reply_to: MessageId | None = None
    nonce: Nonce | None = None


class UpdateMessage(Params):
    channel_id: Id
    message_id: MessageId
    content: Content


class DeleteMessage(Params):
    channel_id: Id
    message_id: MessageId


class GetMessageChunk(Params):
    """`anchor` 0 is the newest page; else ids above it (`direction` true) or below, exclusive.

    `around` instead of both centres the page on a message, which may be deleted.
    """

    channel_id: Id
    amount: Amount
    around: MessageId | None = None
    anchor: Anchor | None = Field(None, validate_default=True)
    direction: bool | None = Field(None, validate_default=True)
    since: Rev | None = None

    @field_validator("anchor", "direction")
    @classmethod
    def _a_place_to_read(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("around") is None:
            raise ValueError("is missing, unless around is given")
        if value is not None and info.field_name == "anchor" and info.data.get("around") is not None:
            raise ValueError("give either anchor or around")
        return value


class MessageChunk(Entity):
    """`users` are the authors and the mentioned; `replies` the targets of replies that are not in the page.

    `has_more` speaks of the direction asked for; around a message, when none was given, of either.
    """

    rev: int
    full: Literal[True] = True
    messages: list[Message]
    has_more: bool
    last_message_id: int
    users: list[User]
    replies: list[Message]


class MessagesDelta(Delta[Message, int]):
    """Of the whole channel, with the users that a page would have."""

    users: list[User]


class MessageAdded(Event):
    message: Message


class ReactionMade(Entity):
    """Who added a reaction (`on`), or took it back."""

    emoji: str
    user_id: str
    on: bool


class MessageChanged(Event):
    """`changes` holds only what changed; `was` is the message's revision before.

    For a reaction `changes` has all `reactions` as `{emoji, count}`, and `reaction` tells whose it was.
    """

    message_id: int
    changes: dict[str, Any]
    was: int
    reaction: ReactionMade | None = None

    @model_serializer(mode="wrap")
    def _reaction_only_where_there_is_one(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        params: dict[str, Any] = serialize(self)
        if self.reaction is None:
            del params["reaction"]
        return params


class MessageDeleted(Event):
    message_id: int


ADD_MESSAGE = Method("add_message", "messages", AddMessage, Message)
UPDATE_MESSAGE = Method("update_message", "messages", UpdateMessage, Message)
DELETE_MESSAGE = Method("delete_message", "messages", DeleteMessage, Empty)
GET_MESSAGE_CHUNK: Method[GetMessageChunk, MessageChunk | MessagesDelta] = Method(
    "get_message_chunk",
    "messages",
    GetMessageChunk,
    MessageChunk,
    delta=MessagesDelta,
    reads="channel:{channel_id}",
)
