"""What a user sees, read anew over a connection that keeps nothing: any cache must become equal to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.client import Client

Entity = dict[str, Any]

PAGE = 100
_OF_A_SERVER = ("get_server", "get_server_channels", "get_server_roles")
LARGEST_BATCH = 50
AS_OF_THE_REPLY = frozenset({"num_members", "last_message_id", "full", "rev"})
"""Fields of a server that no event keeps up to date."""

Snapshot = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class View:
    """All that a user sees: `snapshot` is comparable to a cache's, `revs` are the scopes' heads it was read at."""

    snapshot: Snapshot
    revs: dict[str, int]


def flat(categories: list[Entity]) -> dict[str, Entity]:
    """The channels of a `get_server_channels`, each with its category."""
    return {
        channel["id"]: {"id": channel["id"], "name": channel["name"], "category_id": category["id"]}
        for category in categories
        for channel in category["channels"]
    }


def stored(server: Mapping[str, Any]) -> Entity:
    return {name: value for name, value in server.items() if name not in AS_OF_THE_REPLY}


def direct_entity(channel: Mapping[str, Any]) -> Entity:
    """A direct channel without what moves no revision, and with its users by their ids."""
    return {"id": channel["id"], "user_ids": [user["id"] for user in channel["users"]], "rev": channel["rev"]}


def as_shown(message: Mapping[str, Any]) -> Entity:
    """A message as every viewer has it: the nonce is its author's alone, and comes with the event only."""
    return {name: value for name, value in message.items() if name != "nonce"}


def as_friend(friend: Mapping[str, Any]) -> Entity:
    return {"state": friend["state"], "rev": friend["rev"]}


async def fresh_view(url: str, token: str) -> View:
    """What the owner of the token sees now, read over a new connection with nothing but `get_*`."""
    async with await Client.connect(url) as client:
        return await read_all(client, token)


async def read_all(client: Client, token: str) -> View:
    """The same over a connection that was only just opened, and can be asked for more then."""
    first = ("get_servers", "get_friends", "get_settings")
    calls: list[tuple[str, Entity]] = [("authenticate", {"token": token}), *((method, {}) for method in first)]
    opened, listed, friends, settings = await ask_all(client, calls)
    revs = {f"self:{opened['user']['id']}": listed["rev"]}
    directs = (await client.call("get_direct_channels"))["channels"]
    snapshot: Snapshot = {"servers": {}, "categories": {}, "channels": {}, "roles": {}, "messages": {}}
    snapshot["directs"] = {channel["id"]: direct_entity(channel) for channel in directs}
    snapshot["settings"] = settings["settings"]
    snapshot["friends"] = {friend["user"]["id"]: as_friend(friend) for friend in friends["friends"]}
    snapshot["users"] = {friend["user"]["id"]: friend["user"] for friend in friends["friends"]}
    revs |= {f"user:{user_id}": user["rev"] for user_id, user in snapshot["users"].items()}
    named = [{"server_id": server["id"]} for server in listed["servers"]]
    replies = await ask_all(client, [(method, server) for server in named for method in _OF_A_SERVER])
    for server, channels, roles in zip(*[iter(replies)] * len(_OF_A_SERVER), strict=True):
        snapshot["servers"][server["id"]] = stored(server)
        snapshot["categories"][server["id"]] = {
            each["id"]: each["name"] for each in channels["categories"] if each["id"]
        }
        snapshot["channels"] |= flat(channels["categories"])
        snapshot["roles"][server["id"]] = {role["id"]: role for role in roles["roles"]}
        revs[f"server:{server['id']}"] = server["rev"]
    seen = [*snapshot["channels"], *snapshot["directs"]]
    newest = [await client.send("get_message_chunk", **page_of(known)) for known in seen]
    for channel_id, page in zip(seen, await asyncio.gather(*newest), strict=True):
        snapshot["messages"][channel_id] = await _all_messages(client, channel_id, page)
        if channel_id not in snapshot["directs"]:
            # That somebody leaves a direct channel moves its rev for gateways alone: it is no measure.
            revs[f"channel:{channel_id}"] = page["rev"]
    return View(snapshot, revs)


async def ask_all(client: Client, calls: Sequence[tuple[str, Entity]]) -> list[Any]:
    """The results of any number of calls in as few frames as there can be; the first error is raised."""
    outcomes: list[Any] = []
    for start in range(0, len(calls), LARGEST_BATCH):
        outcomes += await client.batch(*calls[start : start + LARGEST_BATCH])
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def page_of(channel_id: str, before: int = 0) -> Entity:
    return {"channel_id": channel_id, "amount": PAGE, "anchor": before, "direction": False}


async def _all_messages(client: Client, channel_id: str, page: Entity) -> dict[int, Entity]:
    """All messages of a channel, given its newest page."""
    messages: list[Entity] = page["messages"]
    while page["has_more"]:
        page = await client.call("get_message_chunk", **page_of(channel_id, messages[0]["id"]))
        assert page["messages"]
        messages = page["messages"] + messages
    ids = [message["id"] for message in messages]
    assert ids == sorted(set(ids)), f"pages of {channel_id} overlap or are out of order: {ids}"
    return {message["id"]: as_shown(message) for message in messages}
