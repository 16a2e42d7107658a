"""Everything has a limit: what a user and a server may have, and what a gateway keeps for who does not read."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
import pytest

from services.guilds.categories import MAX_CATEGORIES, MAX_CHANNELS
from services.guilds.channels import MAX_OVERWRITES
from services.guilds.interest import Interest
from services.guilds.standing import MAX_ROLES
from shared.permissions import ALL_RULES
from shared.protocol.internal import GetServerView
from tests.client import Client, RpcError
from tests.replica import call, replica
from tests.rig import People, Room, System, join, refused
from tests.view import ask_all, page_of

MIB = 1 << 20


@pytest.mark.slow
async def test_a_server_has_at_most_500_channels(people: People) -> None:
    room = await people.room()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("add_channel", {"server_id": room.server_id, "name": "語" * 100}) for _ in range(499)
    ]
    made = await ask_all(room.owner, calls)
    refusal = await refused(room.owner.call("add_channel", server_id=room.server_id, name="one too many"))
    assert (refusal.code, refusal.reason) == (4090, "conflict")
    await room.member.event("channel_added", rev=made[-1]["rev"])
    listed = await room.member.call("get_server_channels", server_id=room.server_id)
    assert len(listed["categories"][0]["channels"]) == 500
    newcomer = await people.connect(await people.anybody("carl"), 1)
    await join(room.owner, newcomer, room.server_id)
    (event,) = newcomer.heard("server_added")
    assert len(event.params["scopes"]) == 501
    await room.owner.call("add_message", channel_id=made[-1]["id"], content="heard in the last one too")
    await newcomer.event("message_added", scope=f"channel:{made[-1]['id']}")


@pytest.mark.slow
async def test_a_user_has_at_most_200_servers(people: People) -> None:
    ann, bob = await people.several("ann", "bob")
    client, other = await people.connect(ann, 0), await people.connect(bob, 1)
    await ask_all(client, [("add_server", {"name": f"{number}"}) for number in range(200)])
    assert len((await client.call("get_servers"))["servers"]) == 200
    refusal = await refused(client.call("add_server", name="one too many"))
    assert (refusal.code, refusal.reason) == (4090, "conflict")
    elsewhere = await other.call("add_server", name="another's")
    invite = await other.call("add_invite", server_id=elsewhere["id"])
    refusal = await refused(client.call("join_server", invite=invite["code"]))
    assert (refusal.code, refusal.reason) == (4090, "conflict")
    anew = await people.open(1)
    current = (await anew.call("authenticate", token=ann.token))["current"]
    assert len(current) == 201


def enlarge(system: System, room: Room) -> None:
    """As much of everything as a server may have, each with the most bytes that it may have."""
    face, place = "\U0001f600", {"server_id": room.server_id, "position": -123456789.12345678, "rev": 2**53}
    rules = sorted(ALL_RULES)
    roles = [f"{room.server_id[:21]}{number:03}" for number in range(MAX_ROLES - 1)]
    fields = {**place, "name": face * 100, "color": face * 32, "rules": rules}
    system.db.roles.insert_many({**fields, "_id": each} for each in roles)
    titled = {**place, "name": face * 100}
    categories = [f"{room.server_id[:22]}{number:02}" for number in range(MAX_CATEGORIES)]
    system.db.categories.insert_many({**titled, "_id": each} for each in categories)
    each_has = MAX_OVERWRITES // (MAX_CHANNELS - 1)
    overwrites = [{"role_id": each, "allow": rules[:6], "deny": rules[6:]} for each in roles[: each_has + 1]]
    channel = {**titled, "description": face * 1000, "category_id": categories[0]}
    left = MAX_OVERWRITES - each_has * (MAX_CHANNELS - 1)
    system.db.channels.insert_many(
        {**channel, "_id": f"{room.server_id[:21]}{number:03}", "roles": overwrites[: each_has + (number < left)]}
        for number in range(MAX_CHANNELS - 1)
    )


async def test_a_gateway_takes_the_largest_server(system: System, people: People) -> None:
    """What it asks for of one is a single message of NATS."""
    room = await people.room()
    enlarge(system, room)
    async with replica(system) as other:
        view = await Interest(other.parts).get_server_view(call(""), GetServerView(server_id=room.server_id))
    assert (len(view.channels), len(view.roles), len(view.categories)) == (MAX_CHANNELS, MAX_ROLES, MAX_CATEGORIES)
    assert sum(len(each.channel.roles) for each in view.channels) == MAX_OVERWRITES
    assert 3 * MIB < len(view.model_dump_json().encode()) < 4 * MIB


async def test_replies_that_nobody_reads_do_not_pile_up(people: People) -> None:
    """The requests wait instead; and once the client reads again, all are answered."""
    room = await people.room()
    calls = [("add_message", {"channel_id": room.channel_id, "content": "語" * 4000}) for _ in range(40)]
    for start in range(0, len(calls), 4):
        await ask_all(room.owner, calls[start : start + 4])  # a frame holds no more of them
    slow = await Client.connect(people.system.url(1), receive_buffer=65536)
    await slow.call("authenticate", token=room.member_is.token)
    gateway = psutil.Process(people.system.processes["gateway-1"].pid)
    before = gateway.memory_info().rss
    slow.pause_reading()
    waiting = [await slow.send("get_message_chunk", **page_of(room.channel_id)) for _ in range(60)]
    grown: list[int] = []
    while len(grown) < 5 or len(set(grown[-5:])) > 1:  # until nothing moves any more
        await asyncio.sleep(0.2)
        grown.append((gateway.memory_info().rss - before) // MIB)
    assert (await room.member.call("ping"))["time"]
    slow.resume_reading()
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert not [outcome for outcome in outcomes if isinstance(outcome, RpcError | BaseException)]
    assert max(grown) < 12
    await slow.close()
