"""How far one has read each channel. Served by messages."""

from __future__ import annotations

from typing import Literal

from shared.protocol.contract import Entity, Event, Method, Params
from shared.protocol.fields import Id, MessageId


class ReadState(Entity):
    """`mentions` counts the messages above `read_id` that name you, up to 1,000.

    `server_id` is null for a direct channel.
    """

    channel_id: str
    server_id: str | None
    read_id: int
    last_message_id: int
    mentions: int


class ReadStates(Entity):
    rev: int
    full: Literal[True] = True
    read_states: list[ReadState]


class GetReadStates(Params):
    """Of every channel that you may see, direct ones too; with `server_id` of that server's."""

    server_id: Id | None = None


class UpdateReadState(Params):
    """All up to `message_id` is read; one beyond the last message stands for the last."""

    channel_id: Id
    message_id: MessageId


class ReadChanged(Event):
    """Not sent for a message of your own, which moves `read_id` to itself."""

    channel_id: str
    read_id: int
    mentions: int


GET_READ_STATES = Method("get_read_states", "messages", GetReadStates, ReadStates, reads="self:{me}")
UPDATE_READ_STATE = Method("update_read_state", "messages", UpdateReadState, ReadState)
