"""On whose account a request takes one of a service's places, of which each account has no more than a share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.connection import Connection
from services.gateway.interest import Interest


def account_of(connection: Connection, params: Mapping[str, Any], interest: Interest) -> str:
    """The server it is about, or the direct channel, for those who are in it; else who asks, or nobody.

    Anybody may name a server: if those who are not in it took of its share, they could keep its members out.
    """
    server_id, channel_id = params.get("server_id"), params.get("channel_id")
    if isinstance(channel_id, str):
        feed = interest.feed(f"channel:{channel_id}")
        server_id = feed.scope.within if feed else None
    if isinstance(server_id, str) and server_id in connection.servers:
        return server_id
    if isinstance(channel_id, str) and channel_id in connection.directs:
        return channel_id
    return connection.user_id
