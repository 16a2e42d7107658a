"""Very many of our clients, each in a small server among friends."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from guildwire import Client
from guildwire.state import Phase

from tests.client import Client as Bare
from tests.faults.crowd import end
from tests.recording import Recording
from tests.rig import Fleet, People, eventually, general

OF_A_SERVER = 10
AT_ONCE = 20
PATIENCE = 90.0


@dataclass
class Circle:
    """A server of a few, where `said` are the ids of what was acknowledged, by content."""

    channel_id: str
    clients: list[Client]
    recordings: list[Recording]
    said: dict[str, int] = field(default_factory=dict)


class Crowds:
    """All circles; `talk` lets them speak by turns."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.circles: list[Circle] = []
        self._numbers = itertools.count(1)
        self._talking: list[asyncio.Task[None]] = []
        self._saying: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> list[Client]:
        return [client for circle in self.circles for client in circle.clients]

    @property
    def _recordings(self) -> list[Recording]:
        return [recording for circle in self.circles for recording in circle.recordings]

    @property
    def online(self) -> int:
        return sum(client.state.phase is Phase.ONLINE for client in self.clients)

    def tried_since(self, moment: float) -> tuple[float, list[float]]:
        """Seconds between the first tries of the first and of the last, and what all were told who were turned away."""
        tries = [[each for each in one.reached if each[0] >= moment] for one in self._recordings]
        firsts = [min(asked for asked, _ in each) for each in tries]
        return max(firsts) - min(firsts), [told for each in tries for _, told in each if told is not None]

    def talk(self, per_second: float) -> None:
        self._talking.append(asyncio.create_task(self._talk(per_second)))

    async def hush(self) -> int:
        """The talk ends when all of it is acknowledged; how much that was."""
        await end(self._talking)
        await asyncio.gather(*self._saying)
        return sum(len(circle.said) for circle in self.circles)

    async def _talk(self, per_second: float) -> None:
        for circle in itertools.cycle(self.circles):
            saying = asyncio.create_task(self._say(circle))
            self._saying.add(saying)
            await asyncio.sleep(1 / per_second)

    async def _say(self, circle: Circle) -> None:
        content = f"said {next(self._numbers)}"
        client = random.choice(circle.clients)
        params = {"channel_id": circle.channel_id, "content": content, "nonce": content}
        message = await client.call("add_message", params, patience=PATIENCE)
        circle.said[content] = message["id"]

    async def all_have_all(self) -> None:
        """In the database is what was acknowledged, once; and in every cache what is in the database."""
        stored: dict[str, dict[int, str]] = {circle.channel_id: {} for circle in self.circles}
        for message in self.fleet.db.messages.find(
            {"deleted": {"$ne": True}}, {"channel_id": 1, "id": 1, "content": 1}
        ):
            stored[message["channel_id"]][message["id"]] = message["content"]
        for circle in self.circles:
            there = stored[circle.channel_id]
            assert {content: number for number, content in there.items()} == circle.said
            assert max(Counter(there.values()).values(), default=1) == 1
            assert [broken for recording in circle.recordings for broken in recording.broken_rules()] == []
            for client in circle.clients:
                await eventually(lambda: _held(client, circle) == there, "the cache has all", PATIENCE)  # noqa: B023

    async def disperse(self) -> None:
        await end([*self._talking, *self._saying])
        await asyncio.gather(*(client.close() for client in self.clients))


def _held(client: Client, circle: Circle) -> dict[int, str]:
    return {number: each["content"] for number, each in client.cache.pages(circle.channel_id).messages.items()}


@asynccontextmanager
async def crowds(fleet: Fleet, clients: int) -> AsyncIterator[Crowds]:
    """So many, spread over all gateways, each with its first screen."""
    made = Crowds(fleet)
    urls = [fleet.url(number) for number in range(len(fleet.gateways))]
    room = asyncio.Semaphore(AT_ONCE)

    async def gather(circle_number: int) -> None:
        async with room:
            people = People(fleet)
            persons = await people.several(*["someone"] * OF_A_SERVER)
            owner = await people.connect(persons[0], circle_number % len(urls))
            server_id = (await owner.call("add_server", name="Circle"))["id"]
            invite = (await owner.call("add_invite", server_id=server_id))["code"]
            for person in persons[1:]:
                async with await Bare.connect(urls[circle_number % len(urls)]) as joiner:
                    await joiner.call("authenticate", token=person.token)
                    await joiner.call("join_server", invite=invite)
            circle = Circle(await general(owner, server_id), [], [])
            made.circles.append(circle)
            await people.close()
            for number, person in enumerate(persons):
                first = (circle_number + number) % len(urls)
                client = Client(urls[first:] + urls[:first])
                recording = Recording(client.cache)
                client._link._open = recording.open
                circle.clients.append(client)
                circle.recordings.append(recording)
                await client.authenticate(person.token)
                await client.load_server(server_id)
                await client.load_messages(circle.channel_id)

    try:
        await asyncio.gather(*(gather(number) for number in range(clients // OF_A_SERVER)))
        yield made
    finally:
        await made.disperse()


def spread(moments: Sequence[float], window: float, parts: int = 4) -> list[int]:
    """How many fall into each part of the window, from its beginning on."""
    counted = Counter(min(int(moment / window * parts), parts - 1) for moment in moments)
    return [counted[part] for part in range(parts)]


async def seconds_until(condition: Callable[[], bool], what: str, patience: float) -> float:
    began = time.monotonic()
    await eventually(condition, what, patience)
    return time.monotonic() - began
