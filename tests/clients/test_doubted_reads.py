"""What a client can't count for itself, it asks for again: of its read states, without a server."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from guildwire import Cache, Client, Disconnected, Phase
from guildwire.cache.reads import READS

from tests.clients.gateway import Gateway, Session
from tests.clients.test_directs_and_reads import loaded, marks, naming, read_states, state
from tests.clients.wire import ME, SELF, C, Json, S, asked, authenticated, channel, delta, event, message, settled
from tests.rig import eventually

AGAIN: list[tuple[str, Json]] = [("get_read_states", {})]


def replied(cache: Cache, asked_at: int | None, *states: Json) -> None:
    """All read states, as of a request that was sent when `news` was so."""
    cache.reply("get_read_states", {}, read_states(1, *states, state("d1", 1, 0, 1)), asked_at)


def said(cache: Cache, number: int, rev: int, **changes: Any) -> None:
    event(cache, "message_added", C, rev, message=message(number, rev, **changes))


# Replies that are older than what was heard.


@pytest.mark.parametrize("cache", [loaded(), settled()], ids=["loaded", "never loaded"])
def test_a_doubt_that_came_after_the_request_outlives_its_reply(cache: Cache) -> None:
    before = cache.reads.news
    event(cache, "channel_added", S, 11, channel=channel("c3", 11), at=0)
    replied(cache, before, state("c1", 2, 1))
    assert asked(cache) == AGAIN
    replied(cache, cache.reads.news, state("c1", 2, 1), state("c3", 0, 0, 0))
    assert marks(cache, "c3") == (0, 0, 0)
    assert asked(cache) == []


def test_a_reply_for_one_server_may_be_too_old_as_well() -> None:
    cache, before = loaded(), 0
    event(cache, "message_deleted", C, 21, message_id=3)
    replied(cache, cache.reads.news, state("c1", 2, 0))
    assert asked(cache) == []
    older = {"rev": 1, "full": True, "read_states": [state("c1", 2, 1)]}
    cache.reply("get_read_states", {"server_id": "s1"}, older, before)
    assert asked(cache) == AGAIN


def test_so_may_what_a_write_counted() -> None:
    cache, before = loaded(), 0
    event(cache, "message_added", C, 21, message=naming(5, 21))
    event(cache, "message_deleted", C, 22, message_id=5)
    replied(cache, cache.reads.news, state("c1", 2, 1, 5))
    assert asked(cache) == []
    cache.reply("update_read_state", {"channel_id": "c1", "message_id": 3}, state("c1", 3, 1, 5), before)
    assert asked(cache) == AGAIN


def test_what_was_read_meanwhile_stays_read() -> None:
    cache = loaded()
    before = cache.reads.news
    said(cache, 5, 21)
    replied(cache, before, state("c1", 2, 1))
    assert marks(cache) == (5, 0, 5)
    assert asked(cache) == []


def test_what_is_said_where_the_state_is_still_on_its_way_is_asked_for() -> None:
    cache = settled()
    before = cache.reads.news
    said(cache, 5, 21, author_id="u2", mentions=[ME])
    replied(cache, before, state("c1", 2, 1))
    assert asked(cache) == AGAIN


def test_a_deletion_may_be_of_what_a_reply_on_its_way_still_counts() -> None:
    cache = loaded()
    replied(cache, None, state("c1", 2, 0))
    before = cache.reads.news
    event(cache, "message_deleted", C, 21, message_id=3)
    assert asked(cache) == []
    replied(cache, before, state("c1", 2, 1))
    assert asked(cache) == AGAIN


# Events that don't tell enough.


@pytest.mark.protocol("read_changed")
def test_how_far_the_count_of_another_device_goes_is_not_known() -> None:
    cache = loaded()
    replied(cache, None, state("c1", 2, 0))
    said(cache, 11, 21, author_id="u2")
    event(cache, "read_changed", SELF, 2, channel_id="c1", read_id=8, mentions=1)
    assert marks(cache) == (8, 1, 11)
    assert asked(cache) == AGAIN


@pytest.mark.protocol("read_changed")
def test_nor_whether_it_has_what_was_heard_before() -> None:
    cache = loaded()
    event(cache, "message_added", C, 21, message=naming(5, 21))
    event(cache, "read_changed", SELF, 2, channel_id="c1", read_id=4, mentions=0)
    assert asked(cache) == AGAIN


@pytest.mark.protocol("read_changed")
def test_what_is_read_here_already_was_counted_better() -> None:
    cache = loaded()
    event(cache, "message_added", C, 21, message=naming(5, 21))
    cache.reply("update_read_state", {"channel_id": "c1", "message_id": 3}, state("c1", 3, 1))
    for rev, read_id in enumerate((3, 2), 2):
        event(cache, "read_changed", SELF, rev, channel_id="c1", read_id=read_id, mentions=1)
        assert marks(cache) == (3, 2, 5)
    assert asked(cache) == []


def test_a_reply_may_have_left_out_what_is_deleted_then() -> None:
    cache = loaded()
    event(cache, "message_added", C, 21, message=naming(5, 21))
    replied(cache, None, state("c1", 2, 1, 5))
    event(cache, "message_deleted", C, 22, message_id=5)
    assert marks(cache) == (2, 1, 5)
    assert asked(cache) == AGAIN


def test_what_is_read_or_names_nobody_may_go() -> None:
    cache = loaded()
    event(cache, "message_deleted", C, 21, message_id=4)
    event(cache, "message_deleted", C, 22, message_id=2)
    event(cache, "message_deleted", C, 23, message_id=2)  # now it is not known whom it named
    event(cache, "message_changed", C, 24, message_id=1, was=5, changes={"mentions": [ME]})
    assert marks(cache) == (2, 1, 4)
    assert asked(cache) == []


@pytest.mark.parametrize("number", [3, 4], ids=["not held", "held"])
@pytest.mark.parametrize("changes", [{"mentions": [ME]}, {"mentions_everyone": True}], ids=["me", "everyone"])
def test_whom_an_unread_message_names_now(number: int, changes: Json) -> None:
    cache = loaded()
    event(cache, "message_changed", C, 21, message_id=number, was=20, changes=changes)
    assert asked(cache) == AGAIN


# Asking.


@pytest.fixture
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every jitter is the longest, a fifth of a second for what can wait."""
    monkeypatch.setattr("guildwire.refresher.RELIST_WITHIN", 0.2)
    monkeypatch.setattr(random, "uniform", lambda _low, high: min(high, 0.2))


@pytest.mark.usefixtures("_slow")
async def test_many_doubts_are_one_request() -> None:
    async def counted(_session: Session, _params: Json) -> Json:
        return read_states(1, state("c1", 2, 1), state("d1", 1, 0, 1))

    async with Gateway(get_read_states=counted) as gateway, Client(gateway.url, cache=loaded()) as client:
        await client.authenticate("t")
        session = await gateway.session(0)
        for rev in range(21, 31):
            await session.tell("message_changed", scope=C, rev=rev, message_id=3, was=20, changes={"mentions": [ME]})
            await client.ping()
        assert not client.cache.is_current(SELF, READS)
        await eventually(lambda: client.cache.is_current(SELF, READS), "no doubt is left")
        assert len(gateway.asked("get_read_states")) == 1


@pytest.mark.usefixtures("_slow")
async def test_a_new_channel_gets_its_state_though_a_request_is_under_way() -> None:
    async def answer(session: Session, _params: Json) -> Json:
        new = [state(f"n{each}", 0, 0, 0) for each in range(len(gateway.asked("get_read_states")) - 1)]
        if len(new) < 2:
            for rev in range(11 + 10 * len(new), 21 + 10 * len(new)):
                await session.tell("channel_added", scope=S, rev=rev, channel=channel(f"n{rev}", rev), at=0)
        return read_states(1, state("c1", 2, 1), state("d1", 1, 0, 1), *new)

    async with Gateway(get_read_states=answer) as gateway, Client(gateway.url, cache=loaded()) as client:
        await client.authenticate("t")
        await client.get_read_states()
        assert not client.cache.is_current(SELF, READS)
        await eventually(lambda: client.cache.is_current(SELF, READS), "no doubt is left")
        assert set(client.cache.reads.states) == {"c1", "d1", "n0", "n1"}
        assert len(gateway.asked("get_read_states")) == 3


async def test_it_is_not_online_before_its_read_states_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    async def missed(session: Session, params: Json) -> Json:
        await session.tell("resumed")
        return authenticated({name: rev for name, rev in params["resume"].items() if name != C}, [C])

    async def changed(_session: Session, _params: Json) -> Json:
        return delta(20)

    async def counted(_session: Session, _params: Json) -> Json:
        requested.set()
        await answered.wait()
        return read_states(1, state("c1", 2, 7), state("d1", 1, 0, 1))

    monkeypatch.setattr("guildwire.refresher.RELIST_WITHIN", 10_000.0)
    requested, answered = asyncio.Event(), asyncio.Event()
    answers = {"authenticate": missed, "get_message_chunk": changed, "get_read_states": counted}
    async with Gateway(**answers) as gateway, Client(gateway.url, cache=loaded()) as client:
        await client.start("t")
        async with asyncio.timeout(5):
            await requested.wait()
        with pytest.raises(Disconnected):
            await client.online(patience=0.1)
        assert client.state.phase is Phase.RESUMING
        answered.set()
        await client.online(patience=5)
        assert marks(client.cache) == (2, 7, 4)
