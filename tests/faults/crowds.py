"""Very many of our clients, each in a small server among friends; and what the gateways' metrics say of them."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from guildwire import Client
from guildwire.state import Phase
from prometheus_client.parser import text_string_to_metric_families

from tests.client import Client as Bare
from tests.faults.crowd import end
from tests.rig import Fleet, People, eventually, general

OF_A_SERVER = 10
AT_ONCE = 20
PATIENCE = 90.0


@dataclass
class Circle:
    """A server of a few, where `said` are the ids of what was acknowledged, by content."""

    channel_id: str
    clients: list[Client]
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
    def online(self) -> int:
        return sum(client.state.phase is Phase.ONLINE for client in self.clients)

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
            circle = Circle(await general(owner, server_id), [])
            made.circles.append(circle)
            await people.close()
            for number, person in enumerate(persons):
                first = (circle_number + number) % len(urls)
                client = Client(urls[first:] + urls[:first])
                circle.clients.append(client)
                await client.authenticate(person.token)
                await client.load_server(server_id)
                await client.load_messages(circle.channel_id)

    try:
        await asyncio.gather(*(gather(number) for number in range(clients // OF_A_SERVER)))
        yield made
    finally:
        await made.disperse()


# What the processes tell.


def metrics(fleet: Fleet, names: Iterable[str]) -> dict[str, float]:
    """The sums over these processes, by the sample's name and its labels."""
    sums: dict[str, float] = defaultdict(float)
    for name in names:
        url = f"http://127.0.0.1:{fleet.processes[name].admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                sums[f"{sample.name}{{{labels}}}"] += sample.value
    return dict(sums)


def total(read: dict[str, float], name: str, wanted: Callable[[str], bool] = lambda _labels: True) -> float:
    """Of all samples of that name whose labels are wanted."""
    return sum(
        value for sample, value in read.items() if sample.startswith(f"{name}{{") and wanted(sample[len(name) + 1 : -1])
    )


def share_below(read: dict[str, float], histogram: str, bound: float) -> float:
    """The share of what a histogram has counted that is not above one of its bounds."""
    count = total(read, f"{histogram}_count")
    return total(read, f"{histogram}_bucket", lambda labels: f"le={bound}" in labels.split(",")) / count


def spread(moments: Sequence[float], window: float, parts: int = 4) -> list[int]:
    """How many fall into each part of the window, from its beginning on."""
    counted = Counter(min(int(moment / window * parts), parts - 1) for moment in moments)
    return [counted[part] for part in range(parts)]


async def seconds_until(condition: Callable[[], bool], what: str, patience: float) -> float:
    began = time.monotonic()
    await eventually(condition, what, patience)
    return time.monotonic() - began
