"""Guildwire's asyncio client: every method typed, a cache that is kept up to date, a connection that comes back."""

from guildwire.cache import Cache
from guildwire.changes import Change, Changes
from guildwire.client import Client
from guildwire.errors import (
    Conflict,
    Disconnected,
    Forbidden,
    GuildwireError,
    Internal,
    InvalidParams,
    InvalidRequest,
    LoggedOut,
    MethodNotFound,
    NotFound,
    RateLimited,
    Refused,
    TurnedAway,
    Unauthenticated,
    Unavailable,
)
from guildwire.outbox import Outbox, Outgoing
from guildwire.state import Phase, State

__all__ = [
    "Cache",
    "Change",
    "Changes",
    "Client",
    "Conflict",
    "Disconnected",
    "Forbidden",
    "GuildwireError",
    "Internal",
    "InvalidParams",
    "InvalidRequest",
    "LoggedOut",
    "MethodNotFound",
    "NotFound",
    "Outbox",
    "Outgoing",
    "Phase",
    "RateLimited",
    "Refused",
    "State",
    "TurnedAway",
    "Unauthenticated",
    "Unavailable",
]
