"""What gateways ask of services and no client can: revisions, missed entries, what a user holds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from shared.protocol.contract import Entity, Method, NoParams, Params


class ReadHeads(Params):
    scopes: Annotated[list[str], Field(max_length=200)]


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


class Memberships(Entity):
    """One snapshot of what a user is in: `position` of their self scope, and each server's revision."""

    position: int
    servers: dict[str, int]


class GetServerView(Params):
    server_id: str


class ServerView(Entity):
    """One snapshot of a server as a gateway needs it to fan out: its revision, its channels and their heads."""

    rev: int
    channels: dict[str, int]


READ_HEADS = Method("read_heads", "journal", ReadHeads, Heads, internal=True)
READ_ENTRIES = Method("read_entries", "journal", ReadEntries, Entries, internal=True)
GET_MEMBERSHIPS = Method("get_memberships", "guilds", NoParams, Memberships, internal=True)
GET_SERVER_VIEW = Method("get_server_view", "guilds", GetServerView, ServerView, internal=True)
