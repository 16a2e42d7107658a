"""People with the Python client on all gateways, who go on talking while things break, and what they were told.

Whoever is not answered asks again, the same, under the same nonce; each error is noted with its time. At the end the
database must have what was acknowledged, once, and each client's cache must equal a fresh read.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from guildwire import Disconnected, Unavailable
from guildwire.state import Phase

from tests.app import App, fresh_sight
from tests.client import Client
from tests.faults.crowd import end, extent, insist
from tests.rig import Fleet, People, Person, eventually

LOADED_AT_ONCE = 20
COMPARED_AT_ONCE = 4
"""A comparison holds up the loop, and with it every link: too many of them would be a fault of their own."""

_AGAIN = 0.05
_TOLD_WITHIN = 15.0


@dataclass(frozen=True)
class Said:
    """A message that was acknowledged: when it was first asked for, when last, and when the answer came."""

    by: Someone
    channel_id: str
    id: int
    asked: float
    asked_last: float
    acknowledged: float


@dataclass(frozen=True)
class Trouble:
    """A request that failed, for the second time of its being asked maybe."""

    asked: float
    took: float
    what: str


@dataclass
class Someone:
    """A person's client; `heard` is when each message came, by its content."""

    person: Person
    app: App
    heard: dict[str, float] = field(default_factory=dict)

    @classmethod
    async def connect(cls, person: Person, urls: Sequence[str]) -> Self:
        someone = cls(person, App(urls))
        someone.app.recording.on_told = someone._hear
        await someone.app.client.authenticate(person.token)
        await someone.app.load()
        return someone

    @property
    def url(self) -> str:
        """The gateway it is connected to, or would be."""
        return self.app.client.state.url

    @property
    def online(self) -> bool:
        return self.app.client.state.phase is Phase.ONLINE

    def _hear(self, name: str, params: Mapping[str, Any]) -> None:
        if name == "message_added":
            self.heard.setdefault(params["message"]["content"], time.monotonic())

    async def absence(self) -> float:
        """Waits until the connection is lost, and then until all is well again; returns the seconds in between."""
        status = self.app.client._status
        await status.until(lambda state: state.phase is not Phase.ONLINE)
        lost = time.monotonic()
        await status.until(lambda state: state.phase is Phase.ONLINE)
        return time.monotonic() - lost


class Traffic:
    """`everybody` is a member of one server with these channels, on all gateways by turns."""

    def __init__(self, fleet: Fleet, everybody: list[Someone], server_id: str, channels: list[str]) -> None:
        self.fleet = fleet
        self.everybody = everybody
        self.server_id = server_id
        self.channels = channels
        self.said: dict[str, Said] = {}
        """By content, no two of which are the same."""
        self.troubles: list[Trouble] = []
        self._numbers = itertools.count(1)
        self._talking: list[asyncio.Task[None]] = []
        self._silence = asyncio.Event()

    @property
    def sockets(self) -> list[object]:
        """Everybody's connection; the same as before, if none was lost."""
        return [one.app.client._link.connection for one in self.everybody]

    # Talk.

    async def say(self, someone: Someone, channel_id: str) -> str:
        """Adds a message, asking until it is acknowledged; returns its content."""
        content = f"said {next(self._numbers)}"
        params = {"channel_id": channel_id, "content": content, "nonce": content}
        first = time.monotonic()
        while True:
            asked = time.monotonic()
            try:
                message = await someone.app.client.call("add_message", params, patience=0)
            except (Unavailable, Disconnected) as error:
                self.troubles.append(Trouble(asked, time.monotonic() - asked, f"{type(error).__name__}: {error}"))
                await asyncio.sleep(_AGAIN)
                continue
            self.said[content] = Said(someone, channel_id, message["id"], first, asked, time.monotonic())
            return content

    def talk(self, per_second: float, voices: int) -> None:
        """So many begin to talk, each in a channel, with so many messages a second in all, until `hush`."""
        for number in range(voices):
            someone = self.everybody[number * len(self.everybody) // voices]
            channel_id = self.channels[number % len(self.channels)]
            self._talking.append(asyncio.create_task(self._talk(someone, channel_id, voices / per_second)))

    async def _talk(self, someone: Someone, channel_id: str, every: float) -> None:
        while not self._silence.is_set():
            begun = time.monotonic()
            await self.say(someone, channel_id)
            await asyncio.sleep(max(begun + every - time.monotonic(), 0))

    async def hush(self) -> None:
        """All talk ends, its last message acknowledged."""
        self._silence.set()
        await asyncio.gather(*self._talking)
        self._talking.clear()
        self._silence.clear()

    async def has_said(self, messages: int, patience: float = 60.0) -> None:
        """Waits until so many more are acknowledged."""
        enough = len(self.said) + messages
        await eventually(lambda: len(self.said) >= enough, "so much is said", patience)

    async def all_say(self, after: float, patience: float = 60.0) -> None:
        """Waits until each voice has had something acknowledged that it asked for after that moment."""
        await eventually(lambda: len(self._voices_since(after)) == len(self._talking), "all speak again", patience)

    def said_again(self, since: float) -> float:
        """Seconds from then until the last of the voices had something acknowledged again."""
        return max(self._voices_since(since).values()) - since

    def _voices_since(self, since: float) -> dict[tuple[int, str], float]:
        """When each had the first thing acknowledged that it asked for after that moment."""
        firsts: dict[tuple[int, str], float] = {}
        for said in self.said.values():
            if said.asked >= since:
                voice = (id(said.by), said.channel_id)
                firsts[voice] = min(firsts.get(voice, said.acknowledged), said.acknowledged)
        return firsts

    async def disperse(self) -> None:
        """Ends all that is still going on, however the test went."""
        await end(self._talking)

    # What it was like.

    def lags(self, since: float, until: float, among: Sequence[Someone] = ()) -> list[float]:
        """Seconds from asking to hearing, for all of them, of what one of them first asked for in that time."""
        those = {id(one): one for one in among or self.everybody}
        return [
            someone.heard.get(content, float("inf")) - said.asked
            for content, said in self.said.items()
            if since <= said.asked < until and id(said.by) in those
            for someone in those.values()
        ]

    def heard_again(self, since: float) -> float:
        """Seconds from then until the last of all has heard, in each channel, something that was asked for after it."""
        later: dict[str, list[str]] = {channel_id: [] for channel_id in self.channels}
        for content, said in self.said.items():
            if said.asked >= since:
                later[said.channel_id].append(content)
        firsts = [
            min((one.heard[content] for content in contents if content in one.heard), default=float("inf"))
            for one in self.everybody
            for contents in later.values()
        ]
        return max(firsts) - since

    @property
    def longest_answer(self) -> float:
        """Seconds that the slowest of all requests took, whatever the answer."""
        answered = (said.acknowledged - said.asked_last for said in self.said.values())
        return max((*answered, *(trouble.took for trouble in self.troubles)))

    def trouble_lasted(self, since: float, until: float = float("inf")) -> float:
        """Seconds from then to the last error of those before `until`; 0 without any."""
        ends = [trouble.asked + trouble.took for trouble in self.troubles]
        return max((end - since for end in ends if since <= end < until), default=0.0)

    async def all_hear(self, after: float) -> None:
        """Waits until everybody has heard something that was first asked for after that moment."""
        await eventually(lambda: self.heard_again(after) < float("inf"), "all hear again", _TOLD_WITHIN)

    # What must hold.

    async def agree(self) -> float:
        """Everybody's cache comes to equal a fresh read; returns the seconds it took beside the reading."""
        begun = time.monotonic()
        reading = asyncio.Semaphore(COMPARED_AT_ONCE)

        async def equals(someone: Someone) -> None:
            async with reading:
                await someone.app.equals(await fresh_sight(someone.url, someone.person.token))

        await asyncio.gather(*(equals(someone) for someone in self.everybody))
        return time.monotonic() - begun

    async def all_is_told(self) -> float:
        """Everybody has in their cache what was said, all of it; returns the seconds until then."""
        begun = time.monotonic()
        last: Counter[str] = Counter()
        for said in self.said.values():
            last[said.channel_id] = max(last[said.channel_id], said.id)
        await eventually(lambda: all(_has(someone, last) for someone in self.everybody), "all is told", _TOLD_WITHIN)
        return time.monotonic() - begun

    async def all_is_well(self, figures: dict[str, str]) -> None:
        """Silence; everybody has all of it, and nothing acknowledged is missing or there twice."""
        await self.hush()
        await self.all_is_told()
        await self.agree()
        missing, doubled = self.missing_and_doubled()
        figures["acknowledged"] = f"{len(self.said)}, missing {len(missing)}, doubled {len(doubled)}"
        assert (missing, doubled) == ([], [])

    def missing_and_doubled(self) -> tuple[list[str], list[str]]:
        """Of what was acknowledged: what the database lacks, and what it has twice. Revisions and ids are dense."""
        database = self.fleet.db
        for scope in database.journal.aggregate([extent("scope", "rev")]):
            assert (scope["least"], scope["most"]) == (1, scope["count"]), f"{scope['_id']} is not dense"
        ours = {"channel_id": {"$in": self.channels}}
        for channel in database.messages.aggregate([{"$match": ours}, extent("channel_id", "id")]):
            assert (channel["least"], channel["most"]) == (1, channel["count"]), f"ids of {channel['_id']}"
        stored = list(database.messages.find(ours, {"content": 1, "id": 1, "channel_id": 1}))
        times = Counter(message["content"] for message in stored)
        found = {message["content"]: (message["channel_id"], message["id"]) for message in stored}
        missing = [content for content, said in self.said.items() if found.get(content) != (said.channel_id, said.id)]
        return missing, [content for content, number in times.items() if number > 1]


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: in so many caches it takes half a second, which would look like the system's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@asynccontextmanager
async def traffic(fleet: Fleet, people: int, channels: int = 3) -> AsyncIterator[Traffic]:
    """They are there, have loaded everything, and say nothing yet."""
    newcomers = People(fleet)
    urls = [fleet.url(number) for number in range(len(fleet.gateways))]
    everybody: list[Someone] = []
    busy = Traffic(fleet, everybody, "", [])
    try:
        persons = await newcomers.several(*["someone"] * people)
        owner = await newcomers.connect(persons[0])
        busy.server_id = (await owner.call("add_server", name="Tea house"))["id"]
        for number in range(channels):
            made = await owner.call("add_channel", server_id=busy.server_id, name=f"channel {number}")
            busy.channels.append(made["id"])
        invite = (await owner.call("add_invite", server_id=busy.server_id))["code"]
        coming = asyncio.Semaphore(LOADED_AT_ONCE)

        async def come(number: int, person: Person) -> None:
            async with coming:
                if number:
                    async with await Client.connect(urls[0]) as client:
                        await insist(client, "authenticate", token=person.token)
                        await insist(client, "join_server", invite=invite)
                first = number % len(urls)
                everybody.append(await Someone.connect(person, urls[first:] + urls[:first]))

        await asyncio.gather(*(come(number, person) for number, person in enumerate(persons)))
        with uncollected():
            yield busy
    finally:
        await busy.disperse()
        await asyncio.gather(*(someone.app.close() for someone in everybody))
        await newcomers.close()


def _has(someone: Someone, last: Mapping[str, int]) -> bool:
    """Whether the newest messages are in the cache, and none is missing between those that are."""
    return all(
        last_id in messages and len(messages) == max(messages) - min(messages) + 1
        for channel_id, last_id in last.items()
        for messages in [someone.app.cache.pages(channel_id).messages]
    )


def quantile(seconds: Sequence[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
