"""The indexes of every collection; each process makes those of its own when it starts."""

from __future__ import annotations

from typing import Final

from pymongo import IndexModel

INDEXES: Final[dict[str, list[IndexModel]]] = {
    # Unique indexes start with what would be the shard key.
    "journal": [IndexModel([("scope", 1), ("rev", 1)], unique=True)],
    "nonces": [IndexModel([("at", 1)], name="expiry", expireAfterSeconds=0)],
    "users": [IndexModel([("name", 1)], unique=True), IndexModel([("present", 1)])],
    "sessions": [
        IndexModel([("token", 1)], unique=True),
        IndexModel([("user_id", 1)]),
        IndexModel([("expires_date", 1)], name="expiry", expireAfterSeconds=0),
    ],
    "servers": [IndexModel([("owner_id", 1)])],
    "channels": [IndexModel([("server_id", 1), ("position", 1)])],
    "roles": [IndexModel([("server_id", 1), ("position", 1)])],
    "members": [
        IndexModel([("server_id", 1), ("user_id", 1)], unique=True),
        IndexModel([("server_id", 1), ("name_key", 1), ("user_id", 1)]),
        IndexModel([("server_id", 1), ("prefixes", 1), ("name_key", 1), ("user_id", 1)]),
        IndexModel([("server_id", 1), ("roles", 1), ("name_key", 1), ("user_id", 1)]),
        IndexModel([("user_id", 1)]),
    ],
    "friends": [IndexModel([("user_id", 1), ("other_id", 1)], unique=True), IndexModel([("other_id", 1)])],
    "cascades": [IndexModel([("service", 1), ("due", 1)]), IndexModel([("kind", 1), ("about.server_id", 1)])],
    "categories": [IndexModel([("server_id", 1), ("position", 1)])],
    "invites": [IndexModel([("server_id", 1), ("user_id", 1)])],
    "bans": [IndexModel([("server_id", 1), ("user_id", 1)], unique=True), IndexModel([("server_id", 1), ("rev", -1)])],
    "messages": [
        IndexModel([("channel_id", 1), ("id", 1)], unique=True),
        IndexModel([("channel_id", 1), ("id", 1)], name="live", partialFilterExpression={"live": True}),
        # Few messages name anybody: what nobody is named in stays out.
        IndexModel(
            [("channel_id", 1), ("names", 1), ("id", 1)],
            name="names",
            partialFilterExpression={"names": {"$exists": True}},
        ),
    ],
    "reactions": [IndexModel([("channel_id", 1), ("message_id", 1), ("user_id", 1), ("emoji", 1)], unique=True)],
    "reads": [IndexModel([("user_id", 1), ("channel_id", 1)], unique=True), IndexModel([("channel_id", 1)])],
    "reading_starts": [IndexModel([("server_id", 1), ("user_id", 1)], unique=True)],
    "directs": [IndexModel([("key", 1)], unique=True), IndexModel([("users", 1)])],
}
