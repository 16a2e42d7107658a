"""Direct channels: between two people, or a few. Served by messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.protocol.account import User
from shared.protocol.contract import Delta, Empty, Entity, Event, Method, Params
from shared.protocol.fields import Id, Nonce, Rev


class DirectChannel(Entity):
    """`users` are all who are in it, you too; `rev` counts in your own `self`."""

    id: str
    users: list[User]
    last_message_id: int
    rev: int


class DirectChannels(Entity):
    rev: int
    full: Literal[True] = True
    channels: list[DirectChannel]


class DirectChannelsDelta(Delta[DirectChannel, str]):
    """Those that were opened, or whose users changed, and those that you left."""


class GetDirectChannels(Params):
    since: Rev | None = None


class AddDirectChannel(Params):
    """There is one channel for each set of users; you are always among them."""

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=9)]
    nonce: Nonce | None = None


class LeaveDirectChannel(Params):
    channel_id: Id


class DirectChannelAdded(Event):
    """A channel is open to you, or its users changed. `at` is the revision from which the channel's events follow."""

    channel: DirectChannel
    at: int

    def users(self) -> dict[str, int]:
        return {user.id: user.rev for user in self.channel.users}


class DirectChannelDeleted(Event):
    channel_id: str


GET_DIRECT_CHANNELS: Method[GetDirectChannels, DirectChannels | DirectChannelsDelta] = Method(
    "get_direct_channels",
    "messages",
    GetDirectChannels,
    DirectChannels,
    delta=DirectChannelsDelta,
    reads="self:{me}",
)
ADD_DIRECT_CHANNEL = Method("add_direct_channel", "messages", AddDirectChannel, DirectChannel)
LEAVE_DIRECT_CHANNEL = Method("leave_direct_channel", "messages", LeaveDirectChannel, Empty)
