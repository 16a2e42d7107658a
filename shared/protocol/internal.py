"""What gateways ask of services and no client can: revisions, missed entries, what a user holds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from shared.protocol.category import Category
from shared.protocol.channel import Overwrite
from shared.protocol.contract import Entity, Method, NoParams, Params


class ReadHeads(Params):
    """`surely`: as a majority has them, for the few of which there is doubt."""

    scopes: Annotated[list[str], Field(max_length=200)]
    surely: bool = False


class Heads(Entity):
    """The last revision of each scope asked for; 0 for one that never had an entry."""

    heads: dict[str, int]


class ReadEntries(Params):
    scope: str
    after: int
    limit: Annotated[int, Field(ge=1, le=200)] = 200


class Entries(Entity):
    """Entries after the given revision in order, as hints carry them; fewer than there are, if they are large."""

    entries: list[dict[str, Any]]


class Membership(Entity):
    """`rev` is the server's revision; `roles` those of the user as of it."""

    rev: int
    roles: list[str]


class Memberships(Entity):
    """One snapshot of what a user is in.

    `position` is that of their self scope; each server comes with their roles there, each direct channel with its
    revision.
    """

    position: int
    servers: dict[str, Membership]
    directs: dict[str, int] = Field(default_factory=dict)


class GetServerView(Params):
    server_id: str


class BareChannel(Entity):
    """A channel without `roles_with_access`: that follows from the rest, and would be most of a large server."""

    id: str
    server_id: str
    name: str
    description: str | None
    category_id: str | None
    position: float
    roles: list[Overwrite]
    last_message_id: int
    rev: int


class ChannelView(Entity):
    """A channel, and where its own scope stands."""

    channel: BareChannel
    head: int


class ServerView(Entity):
    """One snapshot of all of a server that decides who is told what: its revision, roles, categories and channels."""

    rev: int
    owner_id: str
    everyone_id: str
    roles: dict[str, list[str]]
    categories: list[Category]
    channels: list[ChannelView]


READ_HEADS = Method("read_heads", "journal", ReadHeads, Heads, internal=True)
READ_ENTRIES = Method("read_entries", "journal", ReadEntries, Entries, internal=True)
GET_MEMBERSHIPS = Method("get_memberships", "guilds", NoParams, Memberships, internal=True)
GET_SERVER_VIEW = Method("get_server_view", "guilds", GetServerView, ServerView, internal=True)
