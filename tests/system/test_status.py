"""Who is online, and who sees it: from the first socket to a while after the last, whoever dies in between."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from tests.client import Client
from tests.rig import People, Person, System, assert_dense, eventually, general, join

GRACE, EXPIRY = 0.6, 1.5
ENV = {
    "gateway": {"STATUS_GRACE": str(GRACE), "LEASE_BEAT": "0.3"},
    "presence": {"LEASE_BEAT": "0.3", "LEASE_EXPIRY": str(EXPIRY), "LEASE_QUIET": "2", "LEASE_FREEZE": "4"},
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[System]:
    """Three gateways, and two that could write who is offline; all of them soon lose patience."""
    directory = tmp_path_factory.mktemp("quick")
    with System(directory, mongod, gateways=3, replicas={"presence": 2}, env=ENV) as running:
        yield running


@pytest_asyncio.fixture
async def those(quick: System) -> AsyncIterator[People]:
    everybody = People(quick)
    yield everybody
    await everybody.close()


@dataclass
class Watched:
    """Bob, who may see Ann's status and watches it; Eve, who may not. Ann has no socket."""

    ann: Person
    bob: Client
    eve: Client
    bob_is: Person
    server_id: str

    async def turns(self, status: str, patience: float = 5.0) -> None:
        """Bob is told so, and is told the same when he asks."""
        await self.bob.until(lambda: self.told()[-1:] == [status], f"told of {status}", patience)
        assert await self.shown() == status

    async def shown(self) -> str:
        return str((await self.bob.call("get_user", user_id=self.ann.id))["status"])

    def told(self) -> list[str]:
        heard = self.bob.heard("user_changed", user_id=self.ann.id)
        return [event.params["changes"]["status"] for event in heard if "status" in event.params["changes"]]

    async def nothing_to_strangers(self) -> None:
        """Neither in what Eve is told nor in what she asks for."""
        assert (await self.eve.call("get_user", user_id=self.ann.id))["status"] == "offline"
        (user,) = (await self.eve.call("get_users", users={self.ann.id: 0}))["users"]
        assert user["status"] == "offline"
        assert not self.eve.heard("user_changed", user_id=self.ann.id)


async def watched(people: People) -> Watched:
    ann, bob, eve = await people.several("ann", "bob", "eve")
    first, second = await people.connect(ann, 0), await people.connect(bob, 1)
    server_id = (await first.call("add_server", name="Tea house"))["id"]
    await join(first, second, server_id)
    stranger = await people.connect(eve, 2)
    await first.close()
    probe = await people.connect(bob, 1)  # of its own: nobody else is to hear of what is not the test's matter
    while (await probe.call("get_user", user_id=ann.id))["status"] != "offline":  # noqa: ASYNC110 - bounded by pytest
        await asyncio.sleep(0.05)
    for each in (second, stranger):
        assert (await each.call("get_user", user_id=ann.id))["status"] == "offline"
    return Watched(ann, second, stranger, bob, server_id)


def places(system: System, person: Person) -> list[str]:
    stored = system.db.users.find_one({"_id": person.id}) or {}
    return list(stored["present"])


@pytest.mark.protocol("get_user", "user_changed")
async def test_from_the_first_socket_until_a_while_after_the_last(quick: System, those: People) -> None:
    at = await watched(those)
    before = (await at.bob.call("get_user", user_id=at.ann.id))["rev"]
    first = await those.connect(at.ann, 0)
    await at.turns("online")
    second = await those.connect(at.ann, 2)
    assert len(places(quick, at.ann)) == 2
    await first.close()
    await eventually(lambda: len(places(quick, at.ann)) == 1, "one place is left")
    await second.close()
    await at.turns("offline")
    assert at.told() == ["online", "offline"]
    assert (await at.bob.call("get_user", user_id=at.ann.id))["rev"] == before + 2
    assert places(quick, at.ann) == []
    await at.nothing_to_strangers()
    await assert_dense(quick, f"user:{at.ann.id}", before + 2)


async def test_who_comes_back_at_once_never_went(quick: System, those: People) -> None:
    at = await watched(those)
    for gateway in (0, 0, 1, 2, 0):
        client = await those.connect(at.ann, gateway)
        await client.close()
    await those.connect(at.ann, 1)
    await eventually(lambda: len(places(quick, at.ann)) == 1, "one place is left")
    await asyncio.sleep(GRACE)
    assert at.told() == ["online"]


@pytest.mark.protocol("update_user", "user_changed")
async def test_one_is_shown_as_one_chose(those: People) -> None:
    at = await watched(those)
    ann, second = await those.connect(at.ann, 0), await those.connect(at.ann, 2)
    for status in ("idle", "dnd", "online"):
        assert (await ann.call("update_user", changes={"status": status}))["status"] == status
        await at.turns(status)
    both = {"status": "idle", "status_text": "at tea"}
    await ann.call("update_user", changes=both)
    heard = await at.eve.event("user_changed", user_id=at.ann.id)
    assert heard.params["changes"] == {"status_text": "at tea"}, "strangers are told the rest"
    assert (await at.bob.event("user_changed", changes=both)).rev == heard.rev
    assert (await second.event("user_changed", changes=both)).rev == heard.rev


@pytest.mark.protocol("update_user")
async def test_the_invisible_are_offline_to_all_but_themselves(quick: System, those: People) -> None:
    at = await watched(those)
    ann, second = await those.connect(at.ann, 0), await those.connect(at.ann, 2)
    await at.turns("online")
    await ann.call("update_user", changes={"status": "invisible"})
    await at.turns("offline")
    assert (await second.event("user_changed")).params["changes"] == {"status": "invisible"}
    rev = (await at.bob.call("get_user", user_id=at.ann.id))["rev"]
    await asyncio.gather(ann.close(), second.close())
    await eventually(lambda: not places(quick, at.ann), "Ann is nowhere")
    again = await those.connect(at.ann, 1)
    mine = await again.call("get_user")
    assert (mine["status"], mine["rev"]) == ("invisible", rev), "coming and going unseen moves nothing"
    assert at.told() == ["online", "offline"]
    assert "invisible" not in str(list(at.bob.events))
    await again.call("update_user", changes={"status": "dnd"})
    await at.turns("dnd")


@pytest.mark.protocol("get_server_members", "get_friends", "get_message_chunk")
async def test_wherever_a_user_stands_it_is_the_same_status(those: People) -> None:
    at = await watched(those)
    ann = await those.connect(at.ann, 0)
    channel = await general(ann, at.server_id)
    await ann.call("add_message", channel_id=channel, content="Tea?")
    page = await at.bob.call("get_message_chunk", channel_id=channel, amount=9, anchor=0, direction=False)
    assert [user["status"] for user in page["users"]] == ["online"]
    for wanted, expected in ((True, {at.ann.id, at.bob_is.id}), (False, set())):
        listed = await at.bob.call("get_server_members", server_id=at.server_id, amount=9, filter={"online": wanted})
        assert {member["user"]["id"] for member in listed["members"]} == expected
    # Of a stranger who asks to be a friend, and becomes one.
    asked = await at.eve.call("add_friend", user_id=at.ann.id)
    assert asked["user"]["status"] == "offline"
    await ann.call("update_friend", user_id=(await at.eve.call("get_user"))["id"], state="friend")
    await at.eve.event("friend_changed")
    assert (await at.eve.event("user_changed", user_id=at.ann.id)).params["changes"] == {"status": "online"}
    (friend,) = (await at.eve.call("get_friends"))["friends"]
    assert friend["user"]["status"] == "online"
    await ann.call("update_user", changes={"status": "dnd"})
    assert (await at.eve.event("user_changed", changes={"status": "dnd"})).params["user_id"] == at.ann.id
    blocked = await at.eve.call("update_friend", user_id=at.ann.id, state="blocked")
    assert blocked["user"]["status"] == "offline"
    assert (await at.eve.call("get_user", user_id=at.ann.id))["status"] == "offline"


async def test_a_member_who_joins_is_shown_online(those: People) -> None:
    at = await watched(those)
    await at.bob.call("get_server_members", server_id=at.server_id, amount=9)
    ann = await those.connect(at.ann, 0)
    cid = await those.register("cid")
    third = await those.connect(cid, 2)
    await third.call("update_user", changes={"status": "idle"})
    await join(ann, third, at.server_id)
    added = await at.bob.event("member_added")
    assert added.params["member"]["user"]["status"] == "idle"


async def test_a_killed_gateways_users_go_offline_and_others_stay(quick: System, those: People) -> None:
    at = await watched(those)
    await those.connect(at.ann, 0)
    both = await those.register("both")
    await asyncio.gather(those.connect(both, 0), those.connect(both, 2))
    await at.turns("online")
    await quick.kill("gateway-0")
    try:
        await at.turns("offline", EXPIRY + 4)
        await eventually(lambda: len(places(quick, both)) == 1, "one place is left")
        assert len(places(quick, at.bob_is)) == 1
    finally:
        await quick.launch("gateway-0")
    await those.connect(at.ann, 0)
    await at.turns("online")


async def test_who_was_on_a_paused_gateway_is_online_again_when_it_goes_on(quick: System, those: People) -> None:
    at = await watched(those)
    await those.connect(at.ann, 0)
    await at.turns("online")
    before = places(quick, at.ann)
    quick.signal("gateway-0", signal.SIGSTOP)
    try:
        await at.turns("offline", EXPIRY + 4)
    finally:
        quick.signal("gateway-0", signal.SIGCONT)
    await at.turns("online")
    assert places(quick, at.ann) != before, "under a lease of its own"


async def test_nobody_goes_offline_while_nats_is_gone(quick: System, those: People) -> None:
    at = await watched(those)
    await those.connect(at.ann, 0)
    await at.turns("online")
    quick.nats.stop()
    await asyncio.sleep(2 * EXPIRY)
    quick.nats.start()
    await asyncio.sleep(2 * EXPIRY)
    assert at.told() == ["online"]
    assert await at.shown() == "online"
