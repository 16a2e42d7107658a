"""Turns, remembered heads, and heads that are said again: the parts of the journal that do no I/O."""

from __future__ import annotations

import asyncio

from shared.journal.entry import Entry, Head, HeadNotice, parse_hint
from shared.journal.heads import HeadCache, Turns
from shared.journal.publisher import Repeats
from shared.scopes import (
    USER_BUCKETS,
    Scope,
    channel_scope,
    self_scope,
    server_scope,
    subject_of,
    subscription_for,
    user_scope,
)
from shared.typing_notice import TypingNotice

ONE, OTHER = server_scope("1"), server_scope("2")


async def test_one_commit_at_a_time_per_scope_and_no_ring_of_waiters() -> None:
    turns, inside, most = Turns(), 0, 0

    async def commit(*scopes: str) -> None:
        nonlocal inside, most
        async with turns.of([server_scope(scope) for scope in scopes]):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    work = [commit("a", "b") if each % 2 else commit("b", "a") for each in range(20)]
    await asyncio.wait_for(asyncio.gather(*work), 5)
    assert most == 1


async def test_scopes_that_differ_do_not_wait() -> None:
    turns = Turns()
    async with turns.of([ONE]):
        assert await _has_its_turn(turns, OTHER)
        assert not await _has_its_turn(turns, ONE)


async def test_a_turn_given_up_while_waiting_blocks_nobody() -> None:
    turns = Turns()
    async with turns.of([ONE]):
        waiter = asyncio.create_task(_has_its_turn(turns, ONE))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
    assert await _has_its_turn(turns, ONE)


async def _has_its_turn(turns: Turns, scope: Scope) -> bool:
    """Whether it comes soon: nobody lets go of another one meanwhile."""
    try:
        async with asyncio.timeout(0.2), turns.of([scope]):
            return True
    except TimeoutError:
        return False


def test_the_head_cache_forgets_the_least_used() -> None:
    cache = HeadCache(2)
    cache.confirmed(ONE, Head(1))
    cache.confirmed(OTHER, Head(2))
    assert cache.known([ONE]) == {ONE: Head(1)}
    cache.confirmed(server_scope("3"), Head(3))
    assert cache.known([OTHER]) == {}
    assert cache.known([ONE]) == {ONE: Head(1)}


def test_a_doubted_head_is_unknown() -> None:
    cache = HeadCache(2)
    cache.confirmed(ONE, Head(1))
    cache.doubt([ONE])
    assert cache.known([ONE]) == {}


def test_a_head_is_said_again_after_one_and_four_seconds_of_quiet() -> None:
    repeats = Repeats()
    repeats.committed(ONE, 1, now=0.0)
    repeats.committed(ONE, 2, now=0.5)
    said = {now / 10: repeats.take(now / 10) for now in range(100)}
    assert {now: notices for now, notices in said.items() if notices} == {
        1.5: [HeadNotice(ONE, 2)],
        4.5: [HeadNotice(ONE, 2)],
    }


def test_a_commit_between_the_two_begins_anew() -> None:
    repeats = Repeats()
    repeats.committed(ONE, 1, now=0.0)
    said = []
    for tenth in range(100):
        if tenth == 20:
            repeats.committed(ONE, 2, now=2.0)
        said += [(tenth / 10, notice.rev) for notice in repeats.take(tenth / 10)]
    assert said == [(1.0, 1), (3.0, 2), (6.0, 2)]


def test_an_older_entry_published_again_does_not_hide_the_newest() -> None:
    repeats = Repeats()
    repeats.committed(ONE, 4, now=0.0)
    repeats.committed(ONE, 3, now=0.5)
    assert repeats.take(2.0) == [HeadNotice(ONE, 4)]


def test_a_hint_reads_back_as_the_entry_it_was() -> None:
    entry = Entry(channel_scope("c", "s"), 3, [{"name": "x", "params": {}}], by={"user": "u"}, last_id=2, perm_rev=9)
    assert parse_hint(entry.hint("e")) == (entry, "e")
    notice = HeadNotice(channel_scope("c", "s"), 3)
    assert parse_hint(notice.hint("e")) == (notice, "e")
    for typing in (
        TypingNotice(channel_scope("c", "s"), "u", perm_rev=9),
        TypingNotice(channel_scope("d", ""), "u", people=["u", "v"]),
    ):
        assert parse_hint(typing.hint("e")) == (typing, "e")


def test_one_subscription_hears_all_channels_of_a_server() -> None:
    assert subscription_for(channel_scope("a", "s")) == subscription_for(channel_scope("b", "s")) == "ev.channel.s.*"
    assert subject_of(channel_scope("a", "s")) == "ev.channel.s.a"
    direct = subject_of(channel_scope("a", ""))
    assert direct.startswith("ev.channel.d")
    assert direct.rsplit(".", 1)[0] + ".*" == subscription_for(channel_scope("a", ""))
    assert len({subscription_for(channel_scope(f"{number}", "")) for number in range(100_000)}) == USER_BUCKETS
    assert subject_of(user_scope("u")).rsplit(".", 1)[0] + ".*" == subscription_for(user_scope("u"))
    assert subject_of(self_scope("u")) == "ev.self.u"
