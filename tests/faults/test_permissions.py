"""Somebody is put out of a channel while many write to it: not one entry made later comes to them, on any way."""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from tests.client import Client, RpcError
from tests.faults.crowd import end, insist
from tests.faults.rows import sized
from tests.rig import People, Person, System, eventually, perm_rev, refused
from tests.secured import overstepped

RATE = sized(60, 500)
VOICES, BREATHS = sized(12, 24), 2
"""Connections that talk, and how many messages of each are under way: of one connection, one follows the other."""

GATEWAYS = 3
ROUNDS = sized(2, 30)
MEANWHILE = 40
"""Messages."""

PATIENCE = 20
PRIES_EACH = 0.05
VIEW = "view_channel"
_NUMBER = re.compile(r"said (\d+)\b")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(180, 900)), pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Victim:
    """Somebody who hears what is said, asks for it all the time, and is put out of sight."""

    person: Person
    client: Client
    position: int
    answers: list[tuple[float, str]] = field(default_factory=list)
    """When it was asked, and the answer."""
    refused: list[float] = field(default_factory=list)
    """When what was refused was asked."""
    prying: list[asyncio.Task[None]] = field(default_factory=list)
    gone: int = 0
    """The revision of the server's permissions from which on they see nothing."""
    out: tuple[float, int] = (0.0, 0)
    """When that was acknowledged, and the number of the message that was begun first after it."""

    def was_refused(self) -> bool:
        """What they asked for since then."""
        return any(asked > self.out[0] for asked in self.refused)


@dataclass
class Scene:
    """A channel that the holders of a role see; the owner writes to it over several connections, and all write on."""

    system: System
    people: People
    owner: Client
    server_id: str
    channel_id: str
    everyone_id: str
    role_id: str
    voices: list[Client]
    begun: int = 0
    """Of so many messages it was begun to ask for them, with all numbers below."""
    said: int = 0
    talking: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def scope(self) -> str:
        return f"channel:{self.channel_id}"

    async def talk(self, voice: Client) -> None:
        """One breath of a voice: none waits for the others'."""
        began = time.monotonic()
        for turn in itertools.count(1):
            number, self.begun = self.begun, self.begun + 1
            await insist(voice, "add_message", channel_id=self.channel_id, content=f"said {number}")
            self.said += 1
            # A tenth more than there is to be at least.
            await asyncio.sleep(max(began + turn * VOICES * BREATHS / (1.1 * RATE) - time.monotonic(), 0))

    async def enter(self, person: Person, gateway: int) -> Client:
        """A member with the role, who has the newest messages and hears what comes."""
        client = await self.people.connect(person, gateway)
        if self.server_id not in (server["id"] for server in (await client.call("get_servers"))["servers"]):
            invite = await self.owner.call("add_invite", server_id=self.server_id)
            await client.call("join_server", invite=invite["code"])
        await self.owner.call("update_member", **self.named(person), changes={"roles": [self.role_id]})
        page = {"channel_id": self.channel_id, "amount": 20, "anchor": 0, "direction": False}
        for _ in range(50):
            try:
                await client.call("get_message_chunk", **page)
                return client
            except RpcError:
                await asyncio.sleep(0.05)
        raise AssertionError("it never came into sight")

    def named(self, person: Person) -> dict[str, str]:
        return {"server_id": self.server_id, "user_id": person.id}

    def forbidden(self, client: Client, since: int) -> list[int]:
        """The revisions that it was told of entries made under these permissions or later."""
        told = {event.rev for event in client.events if event.params.get("scope") == self.scope}
        made = {entry["rev"] for entry in self.system.db.journal.find(self.said_since(since), {"rev": 1})}
        return sorted(told & made)

    async def pry(self, victim: Victim) -> None:
        """Asks again and again for what is said and what is unread."""
        page = {"channel_id": self.channel_id, "amount": 20, "anchor": 0, "direction": False}
        while True:
            for method, params in (("get_message_chunk", page), ("get_read_states", {})):
                asked = time.monotonic()
                try:
                    victim.answers.append((asked, str(await victim.client.call(method, **params))))
                except RpcError:
                    victim.refused.append(asked)
            await asyncio.sleep(PRIES_EACH)

    async def put_out(self, victim: Victim, way: Way) -> None:
        await way(self, victim.person)
        victim.out = time.monotonic(), self.begun
        victim.gone = perm_rev(self.system, self.server_id)

    def told(self, victim: Victim, client: Client) -> int:
        """How much came to them, over this connection or in answers, that may not: by its revision, or by its text."""
        moment, first = victim.out
        answered = [answer for asked, answer in victim.answers if asked >= moment and self.channel_id in answer]
        texts = [str(event.params) for event in client.events] + [answer for _, answer in victim.answers]
        said = [number for text in texts for number in _NUMBER.findall(text) if int(number) >= first]
        return len(answered) + len(said) + len(self.forbidden(client, victim.gone))

    def said_since(self, since: int) -> dict[str, Any]:
        return {"scope": self.scope, "perm_rev": {"$gte": since}}

    async def flows(self) -> int:
        """Until as much is said as there is to be; how much that was in a second."""
        for voice in self.voices:
            voice.received.clear()  # nobody looks at it, and it would be gigabytes
        for _ in range(PATIENCE):
            before = self.said
            await asyncio.sleep(1)
            if (said := self.said - before) >= RATE:
                return said
        raise AssertionError("too little is said for what is to be shown")

    async def goes_on(self, since: int) -> None:
        """Until much has been said under these permissions or later ones."""
        journal = self.system.db.journal
        said = partial(journal.count_documents, self.said_since(since), limit=MEANWHILE)
        await eventually(lambda: said() == MEANWHILE, "much is said", PATIENCE)


async def staged(system: System, people: People) -> Scene:
    ann = await people.register("ann")
    voices = [await people.connect(ann, number % GATEWAYS) for number in range(VOICES)]
    owner = await people.connect(ann)
    in_server = {"server_id": (await owner.call("add_server", name="Tea house"))["id"]}
    (everyone,) = (await owner.call("get_server_roles", **in_server))["roles"]
    role = await owner.call("add_role", **in_server, name="keepers", color="", rules=[])
    hidden = [
        {"role_id": everyone["id"], "allow": [], "deny": [VIEW]},
        {"role_id": role["id"], "allow": [VIEW], "deny": []},
    ]
    made = await owner.call("add_channel", **in_server, name="hidden", roles=hidden)
    return Scene(system, people, owner, in_server["server_id"], made["id"], everyone["id"], role["id"], voices)


Way = Callable[[Scene, Person], Awaitable[Any]]


async def kicked(scene: Scene, person: Person) -> None:
    await scene.owner.call("delete_member", **scene.named(person))


async def role_taken(scene: Scene, person: Person) -> None:
    await scene.owner.call("update_member", **scene.named(person), changes={"roles": []})


async def overwrite_set(scene: Scene, _person: Person) -> None:
    """For everybody who holds the role; the second time it changes nothing any more."""
    hidden = [{"role_id": scene.role_id, "allow": [], "deny": [VIEW]}]
    await scene.owner.call("update_channel", channel_id=scene.channel_id, changes={"roles": hidden})


async def allow(scene: Scene) -> None:
    shown = [
        {"role_id": scene.everyone_id, "allow": [], "deny": [VIEW]},
        {"role_id": scene.role_id, "allow": [VIEW], "deny": []},
    ]
    await scene.owner.call("update_channel", channel_id=scene.channel_id, changes={"roles": shown})


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Without links and with one mongod, or a small machine would not come to so many messages."""
    replicas = dict.fromkeys(("guilds", "messages", "presence"), 2)
    with System(tmp_path_factory.mktemp("permissions"), gateways=GATEWAYS, replicas=replicas, secured=True) as running:
        yield running
        assert overstepped(running.directory / "log") == []


@pytest.mark.row(12)
async def test_nothing_is_told_after_a_permission_is_gone(system: System, figures: dict[str, str]) -> None:
    people = People(system)
    scene = await staged(system, people)
    persons = await people.several(*["bob"] * GATEWAYS)
    told = 0
    rates: list[int] = []
    try:
        scene.talking = [asyncio.create_task(scene.talk(voice)) for voice in scene.voices * BREATHS]
        for number in range(ROUNDS):
            for way in (kicked, role_taken, overwrite_set):
                victims = [await victim(scene, person, gateway) for gateway, person in enumerate(persons)]
                rates.append(await scene.flows())
                for each in victims:
                    await scene.put_out(each, way)
                await scene.goes_on(max(each.gone for each in victims))
                for each in victims:
                    assert any(asked < each.out[0] for asked, _ in each.answers), "they were answered before"
                    await eventually(each.was_refused, "they have asked after it", PATIENCE)
                    assert not any(task.done() for task in each.prying)
                    await end(each.prying)
                    told += scene.told(each, each.client)
                    await out_of_sight(scene, each.client)
                    back = await people.open(number % GATEWAYS)
                    claimed = {scene.scope: each.position, f"server:{scene.server_id}": 1}
                    reply = await back.call("authenticate", token=each.person.token, resume=claimed)
                    assert scene.scope not in reply["current"]
                    await out_of_sight(scene, back)
                    told += scene.told(each, back)
                    await asyncio.gather(back.close(), each.client.close())
                await allow(scene)
        figures["forbidden entries told"] = f"{told}, in {3 * ROUNDS} changes of sight for {len(persons)} users each"
        figures["messages"] = f"{statistics.median(rates):.0f} in the second before each, at least {min(rates)}"
        assert not [voice for voice in scene.talking if voice.done()], "all have gone on talking"
        assert told == 0
    finally:
        await end(scene.talking)
        await people.close()


async def victim(scene: Scene, person: Person, gateway: int) -> Victim:
    client = await scene.enter(person, gateway)
    await client.event("message_added")
    victim = Victim(person, client, position=max(event.rev for event in client.heard("message_added")))
    victim.prying.append(asyncio.create_task(scene.pry(victim)))
    return victim


async def out_of_sight(scene: Scene, client: Client) -> None:
    """Neither history nor counters have it."""
    page = {"channel_id": scene.channel_id, "amount": 20, "anchor": 0, "direction": False}
    assert (await refused(client.call("get_message_chunk", **page))).reason in {"forbidden", "not_found"}
    states = await client.call("get_read_states")
    assert scene.channel_id not in str(states)
