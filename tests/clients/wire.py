"""Entities, events and replies as the wire has them, for tests that need no server."""

from __future__ import annotations

from typing import Any

from guildwire import Cache
from guildwire.cache.cache import Claim

Json = dict[str, Any]

ME = "u1"
SELF = f"self:{ME}"
S, C = "server:s1", "channel:c1"


def user(user_id: str = ME, rev: int = 1, **changes: Any) -> Json:
    plain = {"id": user_id, "name": user_id, "display_name": user_id.upper(), "image": None}
    return {**plain, "status": "online", "status_text": None, "rev": rev, **changes}


def server(server_id: str = "s1", rev: int = 1, **changes: Any) -> Json:
    plain = {"id": server_id, "name": server_id, "image": None, "description": None, "num_members": 1}
    me: Json = {"roles": [], "nick": None, "rev": 1}
    made = {"created_date": "2026-01-01T00:00:00.000Z", "owner_id": ME, "me": me}
    return {**plain, **made, "rev": rev, **changes}


def channel(channel_id: str, rev: int, server_id: str = "s1", **changes: Any) -> Json:
    plain = {"id": channel_id, "server_id": server_id, "name": channel_id, "description": None, "category_id": None}
    return {**plain, "position": 0, "roles": [], "roles_with_access": [], "last_message_id": 0, "rev": rev, **changes}


def role(role_id: str, rev: int = 1, **changes: Any) -> Json:
    return {"id": role_id, "name": role_id, "color": "", "rules": [], "position": 1, "rev": rev, **changes}


def member(user_id: str, rev: int = 1, **changes: Any) -> Json:
    joined: Json = {"roles": [], "nick": None, "joined_date": "2026-01-01T00:00:00.000Z"}
    return {"user": user(user_id), **joined, "rev": rev, **changes}


def message(number: int, rev: int, channel_id: str = "c1", **changes: Any) -> Json:
    plain = {"id": number, "channel_id": channel_id, "author_id": ME, "content": f"message {number}"}
    dates = {"created_date": "2026-01-01T00:00:00.000Z", "edited_date": None}
    rest: Json = {"reply_to": None, "reactions": [], "mentions": [], "mentions_everyone": False}
    return {**plain, **dates, **rest, "rev": rev, **changes}


def listing(*channel_ids: str) -> list[Json]:
    """The channels of a server without categories."""
    channels = [{"id": channel_id, "name": channel_id} for channel_id in channel_ids]
    return [{"id": None, "name": None, "position": None, "channels": channels}]


def chunk(rev: int, *messages: Json, **changes: Any) -> Json:
    last = messages[-1]["id"] if messages else 0
    plain = {"rev": rev, "full": True, "messages": list(messages), "has_more": False}
    return {**plain, "last_message_id": last, "users": [], "replies": [], **changes}


def delta(rev: int, updated: list[Json] | None = None, deleted: list[Any] | None = None, **more: Any) -> Json:
    return {"rev": rev, "full": False, "updated": updated or [], "deleted": deleted or [], **more}


def authenticated(
    current: dict[str, int], stale: list[str] | None = None, gone: list[str] | None = None, **changes: Any
) -> Json:
    plain = {"user": user(), "session_id": "x", "epoch": "e1", "protocol": 1}
    return {**plain, "current": current, "stale": stale or [], "gone": gone or [], **changes}


NEWEST: Json = {"channel_id": "c1", "amount": 50, "anchor": 0, "direction": False}


def event(cache: Cache, name: str, scope: str, rev: int, **params: Any) -> None:
    cache.event(name, {"scope": scope, "rev": rev, **params})


def settled() -> Cache:
    """A cache with everything of one server loaded: self at 1, the server at 10, its channel c1 at 20."""
    cache = Cache()
    connect(cache, {SELF: 1, "server:s1": 10})
    cache.reply("get_servers", {}, {"rev": 1, "full": True, "servers": [server()]})
    cache.reply("get_server", {"server_id": "s1"}, {**server(rev=10), "full": True})
    cache.reply(
        "get_server_channels", {"server_id": "s1"}, {"rev": 10, "full": True, "categories": listing("c1", "c2")}
    )
    cache.reply("get_server_roles", {"server_id": "s1"}, {"rev": 10, "full": True, "roles": [role("r1")]})
    members = {"rev": 10, "full": True, "members": [member(ME), member("u2")], "next_anchor": None, "total": 2}
    cache.reply("get_server_members", {"server_id": "s1", "amount": 100}, members)
    cache.reply("get_message_chunk", NEWEST, chunk(20, message(1, 5), message(2, 7), message(4, 20)))
    return cache


def connect(cache: Cache, current: dict[str, int], **reply: Any) -> None:
    """A new connection, whose server answers the claim so."""
    cache.disconnected()
    claims = cache.claims() or [Claim()]
    cache.claimed(claims)
    cache.authenticated(authenticated(current, **reply), claims[0])


# What a test looks at.


def position(cache: Cache, scope: str) -> int | None:
    return cache.positions.claims().get(scope)


def contents(cache: Cache, channel_id: str = "c1") -> list[str]:
    return [each["content"] for each in cache.pages(channel_id).newest(100)]


def asked(cache: Cache, *first: str) -> list[tuple[str, Json]]:
    return [(ask.method, ask.params) for ask in cache.stale(first)]
