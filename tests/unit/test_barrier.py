"""What a gateway may only judge behind the news of a server: who was removed from it just before is told nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from services.gateway.connection import Connection
from services.gateway.interest import Interest
from services.gateway.ordering import Feed
from services.gateway.outbox import Outbox
from services.gateway.upstream import Upstream
from shared.bus import Bus
from shared.journal.entry import Entry
from shared.scopes import Scope, server_scope, user_scope
from shared.settings import Settings

SERVER, ANN = server_scope("s"), user_scope("ann")
BEFORE, AFTER = 5, 6


class Told:
    """A gateway's interest, with one connection that holds these scopes, and what is told of, in order."""

    def __init__(self, *scopes: Scope) -> None:
        settings = Settings(name="test")
        bus = Bus(settings, "gateway")
        self.interest = Interest(bus, Upstream(bus, settings), settings)
        self.interest.tell = self._tell
        self.told: list[str] = []
        holder = Connection(cast(Outbox, None), lambda _code: None)
        for scope in scopes:
            self.interest.join(self.interest.follow(scope, BEFORE), holder, BEFORE)

    def hear(self, scope: Scope, **facts: object) -> list[str]:
        event = {"name": "user_changed", "params": {"changes": {}}, "facts": facts}
        self.interest.hear(Entry(scope, AFTER, [event] if facts else []).hint())
        return self.told

    def _tell(self, _feed: Feed[Connection], entry: Entry, _told: Sequence[Connection]) -> None:
        self.told.append(entry.scope.name)


@pytest.mark.parametrize("rev", [BEFORE, AFTER])
async def test_a_status_waits_for_the_servers_it_is_shown_in(rev: int) -> None:
    gateway = Told(SERVER, ANN)
    assert gateway.hear(ANN, servers={"s": rev}) == (["user:ann"] if rev == BEFORE else [])
    assert gateway.hear(SERVER)[-2:] == (["user:ann", "server:s"] if rev == BEFORE else ["server:s", "user:ann"])


async def test_it_waits_for_no_server_that_nobody_here_is_in() -> None:
    assert Told(ANN).hear(ANN, servers={"s": AFTER}) == ["user:ann"]


async def test_it_waits_no_longer_for_a_server_that_is_let_go() -> None:
    gateway = Told(SERVER, ANN)
    assert gateway.hear(ANN, servers={"s": AFTER}) == []
    feed = gateway.interest.feed(SERVER.name)
    assert feed is not None
    gateway.interest.let_go(feed)
    await asyncio.sleep(0)
    assert gateway.told == ["user:ann"]


async def test_what_else_changes_in_a_profile_waits_for_nothing() -> None:
    assert Told(SERVER, ANN).hear(ANN) == ["user:ann"]
