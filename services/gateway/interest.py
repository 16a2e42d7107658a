"""Which scopes this gateway follows, and the keeping of that promise whatever NATS does.

A feed starts where a reply's snapshot stood. Then its subject is subscribed and flushed, and the journal's heads are
compared, once at once and once a second later (in a cluster a subscription takes effect late). A gap is fetched from
the journal, once for all connections. After a reconnect or an overflow every feed is suspect, and a digest compares
all of them every half minute: it is the only thing that notices a lost *last* hint whose writer died as well.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from services.gateway.frames import notification
from services.gateway.ordering import Feed
from services.gateway.upstream import HEADS_PER_REQUEST, TROUBLE, Upstream
from shared.bus import Bus, Subscription
from shared.journal.entry import Entry, HeadNotice, parse_hint, without_deleted
from shared.journal.history import HistoryLost
from shared.scopes import Scope, subscription_for
from shared.settings import Settings
from shared.telemetry import CATCHING_UP, FEEDS, GAPS, REPAIRED, SUSPICIONS, logger
from shared.typing_notice import TypingNotice

if TYPE_CHECKING:
    from services.gateway.connection import Connection

GOING_AWAY = 1012
_PAUSE, _PAUSE_MOST = 0.05, 1.0
_SECOND_LOOK = 1.0
_FETCHES_AT_ONCE = 32
_COMPARISONS_AT_ONCE = 8


class Interest:
    """`on_entry` is called once per entry, in order; `tell` with the holders it is then to be told to."""

    def __init__(self, bus: Bus, upstream: Upstream, settings: Settings) -> None:
        self._bus = bus
        self._upstream = upstream
        self._settings = settings
        self._feeds: dict[str, Feed[Connection]] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._users_of: dict[str, int] = {}
        self._fresh: list[Feed[Connection]] = []
        self._arrived = asyncio.Event()
        self._suspect = asyncio.Event()
        self._repairs: set[Feed[Connection]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._held_back: dict[str, set[str]] = {}
        self._comparisons = asyncio.Semaphore(_COMPARISONS_AT_ONCE)
        self._fetches = asyncio.Semaphore(_FETCHES_AT_ONCE)
        self.on_entry: Callable[[Feed[Connection], Entry], None] = lambda _feed, _entry: None
        self.tell: Callable[[Feed[Connection], Entry, Sequence[Connection]], None] = lambda _feed, _entry, _told: None
        self.on_lost: Callable[[Feed[Connection]], None] = lambda _feed: None
        self.on_live: Callable[[Feed[Connection], Connection], None] = lambda _feed, _holder: None

    # Feeds and their holders.

    def feed(self, scope_name: str) -> Feed[Connection] | None:
        return self._feeds.get(scope_name)

    def follow(self, scope: Scope, position: int, last_id: int = 0) -> Feed[Connection]:
        """The scope's feed; a new one starts at `position`, which some reply has told, as it has `last_id`."""
        feed = self._feeds.get(scope.name)
        if feed is None:
            settings = self._settings
            limits = {"ring_size": settings.ring_size, "reorder_limit": settings.reorder_limit}
            feed = Feed(scope, position, **limits, last_id=last_id)
            feed.idle_since = time.monotonic()
            self._feeds[scope.name] = feed
            FEEDS.labels(kind=scope.kind).inc()
            self._users_of[subscription_for(scope)] = self._users_of.get(subscription_for(scope), 0) + 1
            self._fresh.append(feed)
            self._arrived.set()
        return feed

    def join(self, feed: Feed[Connection], holder: Connection, position: int) -> None:
        """The holder is told of everything after `position`, in order, once."""
        feed.join(holder, position)
        holder.feeds.add(feed)
        if holder in feed.behind:
            holder.begin()
            self.start(self._catch_up(feed, holder))
        elif holder in feed.live:
            self.on_live(feed, holder)
        elif feed.has_gap:
            self._repair_soon(feed)

    def expect(self, feed: Feed[Connection], rev: int) -> None:
        """It is known that the scope has come so far: it is fetched, should no hint bring it."""
        feed.announce(rev)
        if feed.has_gap:
            self._repair_soon(feed)

    def leave(self, feed: Feed[Connection], holder: Connection) -> None:
        feed.leave(holder)
        holder.feeds.discard(feed)
        holder.drop(feed.scope)
        if not feed.held:
            feed.idle_since = time.monotonic()

    def let_go(self, feed: Feed[Connection]) -> None:
        """Stops following a scope that nobody holds."""
        if self._feeds.pop(feed.scope.name, None) is None:
            return
        FEEDS.labels(kind=feed.scope.kind).dec()
        # What of users waited for it waits for nothing now; but not in the midst of what may be let out.
        asyncio.get_running_loop().call_soon(self._pump_held_back, feed)
        subject = subscription_for(feed.scope)
        self._users_of[subject] -= 1
        if not self._users_of[subject]:
            del self._users_of[subject]
            if subscription := self._subscriptions.pop(subject, None):
                self.start(self._bus.unhear(subscription))

    # What comes from NATS.

    def hear(self, payload: bytes) -> None:
        """A hint. One that cannot be read is logged and dropped: the journal has the truth."""
        try:
            hint, epoch = parse_hint(payload)
        except (ValueError, KeyError, TypeError) as error:
            logger().error("unreadable_hint", error=str(error))
            return
        feed = self._feeds.get(hint.scope.name)
        if feed is None:
            return
        if epoch != self._upstream.epoch:
            # Of another history. Which one is newer, the replies tell.
            self.doubt("epoch")
            return
        if isinstance(hint, TypingNotice):
            self._pass_on(feed, hint)
            return
        if isinstance(hint, HeadNotice):
            feed.announce(hint.rev)
        else:
            feed.offer(hint)
        self._pump(feed)

    def _pass_on(self, feed: Feed[Connection], notice: TypingNotice) -> None:
        """Not worth waiting for: where it can't be judged at once, nobody is told."""
        server = self._feeds.get(f"server:{feed.scope.within}")
        if feed.scope.within and (server is None or server.last < notice.perm_rev):
            return
        frame = notification("typing_started", {"channel_id": feed.scope.id, "user_id": notice.user_id})
        for holder in feed.live:
            if notice.is_for(holder.user_id):
                holder.passing(frame)

    def doubt(self, why: str) -> None:
        """Hints may have been lost without a word: compare every head."""
        SUSPICIONS.labels(why=why).inc()
        self._suspect.set()

    def forget_everything(self) -> None:
        """Another history has begun: nothing that is followed here means anything any more."""
        for feed in list(self._feeds.values()):
            for holder in feed.holders():
                holder.close(GOING_AWAY)
            self.let_go(feed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._welcome())
            group.create_task(self._compare_when_suspect())
            group.create_task(self._digest())

    # In order, behind the barrier.

    def _pump(self, feed: Feed[Connection]) -> None:
        while (entry := feed.waiting()) is not None:
            try:
                if not self._may_be_judged(feed, entry):
                    return
                self._let_out(feed, entry)
            except Exception as error:  # noqa: BLE001 - who was not told can't be told in order any more
                logger().error("bug", scope=feed.scope.name, rev=entry.rev, exc_info=error)
                self.on_lost(feed)
                return
        if feed.has_gap:
            self._repair_soon(feed)
        self._pump_held_back(feed)

    def _let_out(self, feed: Feed[Connection], entry: Entry) -> None:
        self.on_entry(feed, entry)
        before = set(feed.ahead)
        _, told = feed.release()
        self.tell(feed, entry, told)
        for holder in before - feed.ahead.keys():
            if holder in feed.live:
                self.on_live(feed, holder)

    def _may_be_judged(self, feed: Feed[Connection], entry: Entry) -> bool:
        """An entry waits until the servers' feeds have come to the permissions it was made under."""
        if entry.perm_rev and f"server:{feed.scope.within}" not in self._feeds:
            return False
        for server_id, rev in _judged_under(feed, entry).items():
            server = self._feeds.get(f"server:{server_id}")
            if server is not None and server.last < rev:
                self._held_back.setdefault(server.scope.name, set()).add(feed.scope.name)
                self.expect(server, rev)
                return False
        return True

    def _pump_held_back(self, server: Feed[Connection]) -> None:
        for name in self._held_back.pop(server.scope.name, ()):
            if feed := self._feeds.get(name):
                self._pump(feed)

    # Repair.

    def _repair_soon(self, feed: Feed[Connection]) -> None:
        if feed not in self._repairs:
            self._repairs.add(feed)
            self.start(self._repair(feed))

    async def _repair(self, feed: Feed[Connection]) -> None:
        """Gives the missing hint a moment, then asks the journal."""
        try:
            await asyncio.sleep(self._settings.gap_wait)
            await self._fill(feed)
        finally:
            # In the same step as the last look at the gap: a gap that opens later finds no repair under way.
            self._repairs.discard(feed)

    async def _fill(self, feed: Feed[Connection]) -> None:
        """Fetches until the gap is closed; an entry that is not there yet is waited for."""
        pause = _PAUSE
        while feed.has_gap and self._feeds.get(feed.scope.name) is feed:
            GAPS.inc()
            entries = await self._fetch(feed.scope, feed.last)
            if entries and entries[0].rev > feed.last + 1 and feed.has_gap:
                self._lose(feed)
                return
            before = feed.last
            for entry in entries:
                # One at a time: there may be no room for many that are early, nor in the outboxes for all at once.
                feed.offer(entry)
                self._pump(feed)
                await asyncio.sleep(0)
                if self._feeds.get(feed.scope.name) is not feed:
                    return
            REPAIRED.inc(feed.last - before)
            if feed.last == before:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE_MOST)

    async def _catch_up(self, feed: Feed[Connection], holder: Connection) -> None:
        """Tells one holder what it missed, from the feed's last entries or else from the journal, until it is live."""
        CATCHING_UP.inc()
        try:
            await self._tell_missed(feed, holder)
            if holder in feed.live:
                self.on_live(feed, holder)
        finally:
            CATCHING_UP.dec()
            holder.end()

    async def _tell_missed(self, feed: Feed[Connection], holder: Connection) -> None:
        while True:
            await holder.may_be_told()
            if holder not in feed.behind or self._feeds.get(feed.scope.name) is not feed:
                return
            entries = feed.missed_by(holder)
            if entries is None:
                position = feed.behind[holder]
                entries = await self._fetch(feed.scope, position)
                if entries and entries[0].rev > position + 1:
                    holder.close(GOING_AWAY)  # pruned meanwhile: it can no longer be told in order
                    return
                if not entries:
                    await asyncio.sleep(_PAUSE)
            for entry in without_deleted(entries):
                await holder.may_be_told()
                if entry.rev > feed.last or not feed.told(holder, entry.rev):
                    break
                self.tell(feed, entry, (holder,))

    async def _fetch(self, scope: Scope, after: int) -> list[Entry]:
        try:
            async with self._fetches:
                return await self._upstream.entries(scope.name, after)
        except TROUBLE as error:
            logger().warning("journal_not_read", scope=scope.name, error=str(error))
            await asyncio.sleep(random.uniform(0, _PAUSE_MOST))  # noqa: S311 - spreads the gateways' retries
            return []

    def _lose(self, feed: Feed[Connection]) -> None:
        """The journal no longer reaches back: nobody can be told in order any more."""
        logger().error("scope_lost", scope=feed.scope.name, last=feed.last)
        self.on_lost(feed)

    # Comparing heads.

    async def _welcome(self) -> None:
        """Subscribes to what has newly been followed, then looks for what was committed meanwhile."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            feeds, self._fresh = self._fresh, []
            try:
                for subject in {subscription_for(feed.scope) for feed in feeds}:
                    await self._subscribe(subject)
                await self._bus.flush()
                await self._compare(feeds)
                self.start(self._compare_later(feeds))
            except TROUBLE as error:
                logger().warning("not_subscribed_yet", scopes=len(feeds), error=str(error))
                self._fresh.extend(feeds)
                self._arrived.set()
                await asyncio.sleep(_PAUSE)

    async def _subscribe(self, subject: str) -> None:
        if subject not in self._users_of or subject in self._subscriptions:
            return
        subscription = await self._bus.hear(subject, self.hear)
        if subject in self._users_of:
            self._subscriptions[subject] = subscription
        else:
            await self._bus.unhear(subscription)

    async def _compare_later(self, feeds: Sequence[Feed[Connection]]) -> None:
        await asyncio.sleep(_SECOND_LOOK)
        try:
            await self._compare(feeds)
        except (*TROUBLE, HistoryLost):
            self.doubt("second_look")

    async def _compare_when_suspect(self) -> None:
        while True:
            await self._suspect.wait()
            self._suspect.clear()
            await asyncio.sleep(random.uniform(0, 0.2))  # noqa: S311 - not all gateways at once
            try:
                await self._compare(list(self._feeds.values()))
            except TROUBLE as error:
                logger().warning("heads_not_read", error=str(error))
                self._suspect.set()
                await asyncio.sleep(_PAUSE_MOST / 2)

    async def _digest(self) -> None:
        while True:
            await asyncio.sleep(self._settings.digest_interval * random.uniform(0.8, 1.2))  # noqa: S311
            self.doubt("digest")
            self._drop_idle_users()

    async def _compare(self, feeds: Iterable[Feed[Connection]]) -> None:
        batch = list(feeds)
        starts = range(0, len(batch), HEADS_PER_REQUEST)
        await asyncio.gather(*(self._compare_batch(batch[start : start + HEADS_PER_REQUEST]) for start in starts))

    async def _compare_batch(self, batch: Sequence[Feed[Connection]]) -> None:
        async with self._comparisons:
            # Only now: while it waited, another history may have begun, of which these know nothing.
            followed = {feed.scope.name: feed for feed in batch if self._feeds.get(feed.scope.name) is feed}
            heads = await self._upstream.compare({name: feed.last for name, feed in followed.items()})
        for name, feed in followed.items():
            self.expect(feed, heads.get(name, 0))

    def _drop_idle_users(self) -> None:
        """Scopes that nobody has held for a while, but for servers, which go with their channels."""
        before = time.monotonic() - self._settings.interest_linger
        idle = [feed for feed in self._feeds.values() if not feed.held and _stands_alone(feed.scope)]
        for feed in idle:
            if feed.idle_since is not None and feed.idle_since < before:
                self.let_go(feed)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """In the background; a bug in it is logged."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger().error("bug", exc_info=error)


def _judged_under(feed: Feed[Connection], entry: Entry) -> dict[str, int]:
    """The servers by whose members or permissions it is judged who is told, each with the revision needed of it."""
    if feed.scope.within:
        return {feed.scope.within: entry.perm_rev}
    if feed.scope.kind != "user":
        return {}
    return {
        server_id: rev for event in entry.events for server_id, rev in event.get("facts", {}).get("servers", {}).items()
    }


def _stands_alone(scope: Scope) -> bool:
    """Neither a server nor a channel of one: those are let go together."""
    return not scope.within and scope.kind != "server"
