"""The client against real gateways: people talk, a gateway dies, a cache comes back after a long time."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from guildwire import Cache, Client, Disconnected, InvalidParams, LoggedOut, Outbox, Phase
from PIL import Image

from tests.pictures import flag, saved
from tests.rig import People, Person, System, eventually

Picture = dict[str, Any]


class Crowd:
    """Clients by the person they belong to; all end with the test."""

    def __init__(self, system: System, people: People) -> None:
        self.system = system
        self.people = people
        self.clients: list[Client] = []

    async def connect(self, person: Person, *gateways: int, cache: Cache | None = None) -> Client:
        client = Client([self.system.url(number) for number in gateways], cache=cache)
        self.clients.append(client)
        await client.authenticate(person.token)
        return client

    async def room(self, *gateways: int) -> tuple[Person, Client, Person, Client, str, str]:
        """Two people who share a server, each on a gateway of their own, with all of it loaded."""
        ann_is, bob_is = await self.people.several("ann", "bob")
        ann, bob = await self.connect(ann_is, gateways[0]), await self.connect(bob_is, *gateways[1:])
        server_id = (await ann.add_server("Tea house"))["id"]
        await bob.join_server((await ann.add_invite(server_id))["code"])
        await load_everything(ann)
        await load_everything(bob)
        await eventually(lambda: bob_is.id in ann.cache.servers[server_id].members, "ann sees bob come")
        return ann_is, ann, bob_is, bob, server_id, next(iter(ann.cache.servers[server_id].channels))


@pytest_asyncio.fixture
async def crowd(system: System, people: People) -> AsyncIterator[Crowd]:
    crowd = Crowd(system, people)
    yield crowd
    await asyncio.gather(*(client.close() for client in crowd.clients))


async def load_everything(client: Client) -> None:
    await client.load_friends()
    await client.load_settings()
    for server_id in list(await client.load_servers()):
        await client.load_server(server_id)
        await client.load_members(server_id)
        for channel_id in list(client.cache.servers[server_id].channels):
            await client.load_messages(channel_id, 10_000)


def picture(cache: Cache) -> Picture:
    """All that an app would show. The rev of what came in a list depends on when it was read."""
    return {
        server_id: {
            "server": {name: value for name, value in server.entity.items() if name not in {"rev", "num_members"}},
            "channels": [(channel["id"], channel["name"]) for channel in server.in_order()],
            "members": {user_id: (member["nick"], member["rev"]) for user_id, member in server.members.items()},
            "users": {user_id: cache.user(user_id) for user_id in server.members},
            "messages": {channel_id: cache.pages(channel_id).newest(10_000) for channel_id in server.channels},
        }
        for server_id, server in sorted(cache.servers.items())
    } | {"self": {"friends": dict(cache.friends.all), "settings": dict(cache.settings.value)}}


async def assert_equals_fresh(crowd: Crowd, person: Person, client: Client) -> None:
    """What a client without a cache reads now, this one has, without being asked to read it."""
    fresh = await crowd.connect(person, 0)
    await load_everything(fresh)
    expected = picture(fresh.cache)
    await eventually(lambda: not client.cache.stale() and picture(client.cache) == expected, "equal to a fresh read")


async def test_people_talk_over_two_gateways(crowd: Crowd) -> None:
    _, ann, bob_is, bob, server_id, channel_id = await crowd.room(0, 1)
    hello = await ann.add_message(channel_id, "hello")
    await bob.add_message(channel_id, "hi", reply_to=hello["id"])
    await ann.update_message(channel_id, hello["id"], "Hello!")
    slip = await bob.add_message(channel_id, "oops")
    await bob.delete_message(channel_id, slip["id"])
    made = await ann.add_channel(server_id, "quiet")
    await eventually(lambda: bob.cache.channel(made["id"]) is not None, "bob sees the channel")
    await bob.add_message(made["id"], "first")
    await ann.update_user({"display_name": "Ann of Tea"})
    assert [each["content"] for each in await bob.load_messages(channel_id)] == ["Hello!", "hi"]
    await assert_equals_fresh(crowd, bob_is, bob)


async def test_unread_marks_are_right_after_a_time_away(crowd: Crowd) -> None:
    """In one channel more was missed than is told; of the other nothing was loaded, so nothing is told either."""
    _, ann, bob_is, _, server_id, busy = await crowd.room(0, 1)
    quiet = (await ann.add_channel(server_id, "quiet"))["id"]
    bob = await crowd.connect(bob_is, 1)
    await bob.load_server(server_id)
    await bob.load_messages(busy)
    await bob.load_read_states()
    await bob.close()
    for number in range(10):
        await asyncio.gather(*(ann.add_message(busy, f"{number}") for _ in range(21)))
    for channel_id in (busy, quiet):
        await ann.add_message(channel_id, f"<@{bob_is.id}>")
    again = await crowd.connect(bob_is, 0, cache=bob.cache)
    expected = {
        busy: {"read_id": 0, "mentions": 1, "last_message_id": 211},
        quiet: {"read_id": 0, "mentions": 1, "last_message_id": 1},
    }
    await eventually(lambda: again.cache.reads.states == expected, "the marks are right")
    await ann.add_message(quiet, f"<@{bob_is.id}>")
    await eventually(lambda: again.cache.reads.states[quiet]["mentions"] == 2, "one more")
    assert again.cache.reads.states == {
        each["channel_id"]: {name: each[name] for name in expected[busy]}  # type: ignore[literal-required]
        for each in (await again.get_read_states())["read_states"]
    }


async def test_friends_and_settings_reach_all_devices(crowd: Crowd) -> None:
    ann_is, ann, bob_is, bob, _, _ = await crowd.room(0, 1)
    second = await crowd.connect(bob_is, 0)
    for client in (ann, bob, second):
        await load_everything(client)
    await ann.add_friend(user_id=bob_is.id)
    await bob.update_settings({"theme": "dark"})
    await eventually(lambda: second.cache.friends.all.get(ann_is.id, {}).get("state") == "incoming", "the request")
    assert (await second.update_friend(ann_is.id, "friend"))["state"] == "friend"
    await ann.update_friend(bob_is.id, "blocked")
    for client in (bob, second):
        await assert_equals_fresh(crowd, bob_is, client)
    await assert_equals_fresh(crowd, ann_is, ann)
    assert second.cache.friends.all[ann_is.id]["state"] == "blocked_by"
    assert second.cache.settings.value == {"theme": "dark"}
    await ann.delete_friend(bob_is.id)
    await eventually(lambda: not second.cache.friends.all, "nothing is left")


async def test_a_gateway_dies_and_nothing_is_lost_or_doubled(crowd: Crowd) -> None:
    system = crowd.system
    doomed = system.add_gateway()
    await system.launch(doomed)
    number = int(doomed.rpartition("-")[2])
    _, ann, bob_is, bob, _, channel_id = await crowd.room(0, number, 1)
    outbox = Outbox(bob)
    with bob.changes() as changes:
        for count in range(5):
            await ann.add_message(channel_id, f"ann {count}")
            outbox.send(channel_id, f"bob {count}")
        await system.kill(doomed)
        for count in range(5, 10):
            await ann.add_message(channel_id, f"ann {count}")
            outbox.send(channel_id, f"bob {count}")
        await eventually(lambda: bob.state.phase is Phase.ONLINE and outbox.count() == 0, "bob is back", 10)
        assert bob.state.url == system.url(1)
        await assert_equals_fresh(crowd, bob_is, bob)
        # It was told what it missed; nothing was read.
        assert [change for change in changes.take_all() if change.what == "page"] == []
    said = [each["content"] for each in bob.cache.pages(channel_id).newest(100)]
    assert [each for each in said if each.startswith("bob")] == [f"bob {count}" for count in range(10)]
    await outbox.close()


async def test_a_cache_comes_back_from_disk(crowd: Crowd, tmp_path: Path) -> None:
    """After a while: what was missed is told. After a long one, or when it was pruned: it is asked for."""
    system = crowd.system
    _, ann, bob_is, bob, server_id, channel_id = await crowd.room(0, 1)
    await ann.add_message(channel_id, "known")
    await eventually(lambda: len(bob.cache.pages(channel_id).newest(9)) == 1, "bob has it")
    for missed, pruned in ((3, False), (120, False), (5, True)):
        await bob.close()
        bob.cache.save(tmp_path / "cache")
        await asyncio.gather(*(ann.add_message(channel_id, f"missed {count}") for count in range(missed)))
        first = bob.cache.pages(channel_id).newest(1)[0]
        await ann.add_message(channel_id, "the last")
        made = await ann.add_channel(server_id, f"made {missed}")
        await ann.add_message(made["id"], "in it")
        if pruned:
            for scope in (f"server:{server_id}", f"channel:{channel_id}"):
                head = max(entry["rev"] for entry in system.db.journal.find({"scope": scope}))
                system.db.journal.delete_many({"scope": scope, "rev": {"$lt": head}})
        bob = await crowd.connect(bob_is, 0, cache=Cache.load(tmp_path / "cache"))
        assert first["id"] in bob.cache.pages(channel_id).messages or missed > 100
        await load_everything(bob)
        await assert_equals_fresh(crowd, bob_is, bob)


async def test_who_was_thrown_out_while_away_has_nothing_left(crowd: Crowd) -> None:
    _, _, bob_is, bob, server_id, channel_id = await crowd.room(0, 1)
    await bob.add_message(channel_id, "bye")
    await bob.close()
    other = await crowd.connect(bob_is, 1)
    await other.leave_server(server_id)
    again = await crowd.connect(bob_is, 0, cache=bob.cache)
    await eventually(lambda: again.cache.servers == {}, "the server is gone")
    assert again.cache.messages.pages == {}


async def test_an_ended_session_logs_its_client_out(crowd: Crowd) -> None:
    ann_is = (await crowd.people.several("ann"))[0]
    ann, same = await crowd.connect(ann_is, 0), await crowd.connect(ann_is, 1)
    await ann.logout()
    await eventually(lambda: same.state.phase is Phase.LOGGED_OUT, "the other device is out too")
    for client in (ann, same):
        with pytest.raises(LoggedOut):
            await client.get_servers()


async def test_an_image_is_uploaded_named_and_shown(crowd: Crowd) -> None:
    _, ann, bob_is, bob, server_id, _ = await crowd.room(0, 1)
    image = await ann.upload_image(saved(flag(200, 100), "PNG"))
    await ann.update_server(server_id, {"image": image})
    await eventually(lambda: bob.cache.servers[server_id].entity["image"] == image, "bob sees it")
    await bob.update_user({"image": image})
    await assert_equals_fresh(crowd, bob_is, bob)
    async with aiohttp.ClientSession() as web, web.get(bob.image_url(image, 64)) as response:
        assert Image.open(io.BytesIO(await response.read())).size == (64, 32)
    for wrong, why in ((b"hello", "wrong_type"), (bytes(9 << 20), "too_large")):
        with pytest.raises(InvalidParams) as caught:
            await ann.upload_image(wrong)
        assert caught.value.data["why"] == why
        assert "image" in caught.value.fields
    await ann.logout()
    with pytest.raises(LoggedOut):
        await ann.upload_image(b"hello")


async def test_nobody_answers(crowd: Crowd) -> None:
    client = Client("ws://127.0.0.1:9/ws", patience=0.3)
    crowd.clients.append(client)
    try:
        await client.login("ann", "correct horse")
    except Disconnected:
        assert client.state.phase is Phase.LOGGED_OUT
        return
    raise AssertionError("logged in nowhere")
