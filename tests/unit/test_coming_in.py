"""What a client claims when it comes, held against what was read of its user: never is more believed than was read.

The services answer by hand here, for what matters is a moment: between what was read and what has happened since.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from services.gateway import entrance
from shared.errors import Unavailable
from shared.journal.entry import Entry
from shared.protocol.account import Authenticate, Resume
from shared.protocol.internal import BareChannel, ChannelView, Membership, Memberships, ServerView
from shared.scopes import channel_scope, self_scope, server_scope, user_scope
from tests.unit.services_by_hand import AT_ONCE, OUTBOX, PATIENCE, TURNS, Gateway, Services

ANN = "a" * 24
EVERYONE, ROLE = "everyone", "role"
SELF, SERVER, DIRECT = self_scope(ANN), server_scope("s"), channel_scope("d", "")
OPEN, SECRET = channel_scope("open", "s"), channel_scope("secret", "s")


@pytest.fixture
def services() -> Services:
    """Ann is in a server that stands at 7, with a role by which she sees its secret channel; her self stands at 3."""
    made = Services()
    for scope, head in ((SELF, 3), (SERVER, 7), (DIRECT, 5), (OPEN, 1), (SECRET, 1)):
        for _ in range(head):
            made.commit(scope)
    hidden = [{"role_id": EVERYONE, "allow": [], "deny": ["view_channel"]}]
    hidden += [{"role_id": ROLE, "allow": ["view_channel"], "deny": []}]
    made.views["s"] = ServerView(
        rev=7,
        owner_id="owner",
        everyone_id=EVERYONE,
        roles={EVERYONE: ["view_channel"], ROLE: []},
        categories=[],
        channels=[_channel("open", []), _channel("secret", hidden)],
    )
    made.memberships = _memberships()
    return made


@pytest.fixture
def gateway(services: Services) -> Gateway:
    return Gateway(services)


def _channel(channel_id: str, overwrites: list[dict[str, Any]]) -> ChannelView:
    shown = {"id": channel_id, "server_id": "s", "name": channel_id, "description": None, "category_id": None}
    rest = {"position": 0, "roles": overwrites, "last_message_id": 0, "rev": 1}
    return ChannelView(channel=BareChannel.model_validate(shown | rest), head=1)


def _memberships(rev: int = 7, roles: tuple[str, ...] = (ROLE,), directs: dict[str, int] | None = None) -> Memberships:
    return Memberships(position=3, servers={"s": Membership(rev=rev, roles=list(roles))}, directs=directs or {})


def _event(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": params}


def _kicked(services: Services) -> list[Entry]:
    """Ann is removed from the server: what is committed."""
    out = services.commit(SERVER, _event("member_deleted", user_id=ANN) | {"to": "members"})
    return [out, services.commit(SELF, _event("server_deleted", server_id="s", why="kicked"))]


async def test_a_claim_that_what_was_read_bears_out_is_current_and_what_it_missed_is_told(
    services: Services, gateway: Gateway
) -> None:
    renamed = _event("server_updated", server_id="s", changes={"name": "Anew"}, was=7)
    services.commit(SERVER, renamed)
    services.memberships = _memberships(rev=8)
    services.views["s"] = services.views["s"].model_copy(update={"rev": 8})
    _, reply, wire = await gateway.comes(ANN, {SELF.name: 3, SERVER.name: 7, OPEN.name: 1})
    await gateway.hears()
    assert reply.current == {SELF.name: 3, SERVER.name: 8, OPEN.name: 1}
    assert (reply.stale, reply.gone) == ([], [])
    assert wire.told == [("server_updated", SERVER.name, 8)]


@pytest.mark.parametrize("claimed", [8, 1000])
async def test_a_server_claimed_beyond_what_was_read_is_stale_and_whoever_was_removed_hears_nothing_of_it(
    services: Services, gateway: Gateway, claimed: int
) -> None:
    kick = _kicked(services)
    connection, reply, wire = await gateway.comes(ANN, {SELF.name: 3, SERVER.name: claimed, OPEN.name: 1})
    assert (reply.current, set(reply.stale)) == ({SELF.name: 3}, {SERVER.name, OPEN.name})
    await gateway.hears(*kick)
    wire.frames.clear()
    await gateway.hears(
        services.commit(SERVER, _event("server_updated", server_id="s", changes={"name": "Ours"}, was=8)),
        services.commit(OPEN, _event("message_deleted", channel_id="open", message_id=1)),
    )
    assert (connection.servers, wire.told) == (set(), [])


async def test_ones_self_claimed_beyond_what_was_read_is_stale_and_what_it_lost_meanwhile_is_taken_from_it(
    services: Services, gateway: Gateway
) -> None:
    services.memberships = _memberships(directs={"d": 5})
    left = services.commit(SELF, _event("direct_channel_deleted", channel_id="d"))
    connection, reply, wire = await gateway.comes(ANN, {SELF.name: 4, DIRECT.name: 5})
    assert (reply.current, set(reply.stale)) == ({}, {SELF.name, DIRECT.name})
    await gateway.hears(left, services.commit(DIRECT, _event("message_deleted", channel_id="d", message_id=1)))
    assert wire.told == [("direct_channel_deleted", SELF.name, 4)]
    assert connection.directs == set()


async def test_a_direct_channel_claimed_beyond_what_was_read_is_stale_and_whoever_left_it_hears_nothing(
    services: Services, gateway: Gateway
) -> None:
    services.memberships = _memberships(directs={"d": 5})
    left = services.commit(DIRECT, _event("direct_channel_left", channel_id="d", user_id=ANN) | {"to": "nobody"})
    _, reply, wire = await gateway.comes(ANN, {SELF.name: 3, DIRECT.name: 6})
    assert (reply.current, reply.stale) == ({SELF.name: 3}, [DIRECT.name])
    await gateway.hears(left, services.commit(DIRECT, _event("message_deleted", channel_id="d", message_id=1)))
    assert wire.told == []


async def test_of_a_server_that_this_gateway_is_behind_in_nothing_is_current(
    services: Services, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows what Ann saw at 7, for she is here already; at 8 she saw less, and that is what was read."""
    monkeypatch.setattr(entrance, "_KEPT_UP_WITHIN", 0.1)
    _, _, first = await gateway.comes(ANN)
    lost = services.commit(SERVER, _event("member_changed", user_id=ANN, changes={"roles": []}, was=1))
    services.memberships, services.silent = _memberships(rev=8, roles=()), True
    claims = {SELF.name: 3, SERVER.name: 8, OPEN.name: 1, SECRET.name: 1}
    _, reply, second = await gateway.comes(ANN, claims)
    assert (reply.current, set(reply.stale)) == ({SELF.name: 3}, {SERVER.name, OPEN.name, SECRET.name})
    await gateway.hears(lost, services.commit(SECRET, _event("message_deleted", channel_id="secret", message_id=1)))
    assert ("channel_deleted", SERVER.name, 8) in first.told
    assert not [event for event in first.told + second.told if event[1] == SECRET.name]


@pytest.mark.parametrize(("claimed", "kept"), [(3, False), (4, True)])
async def test_who_knows_more_than_was_read_may_be_in_servers_that_were_not_read(
    gateway: Gateway, claimed: int, kept: bool
) -> None:
    """It joined at 4, say, through a gateway that is gone: to drop that server would be wrong."""
    _, reply, _ = await gateway.comes(ANN, {SELF.name: claimed, "server:new": 2, "channel:new": 0, "user:nobody": 1})
    assert reply.gone == (["user:nobody"] if kept else ["server:new", "channel:new", "user:nobody"])
    assert reply.stale == ([SELF.name, "server:new", "channel:new"] if kept else [])


async def test_further_claims_are_held_against_what_the_connection_was_told(
    services: Services, gateway: Gateway
) -> None:
    services.memberships = _memberships(directs={"d": 5})
    connection, _, _ = await gateway.comes(ANN, {})
    _kicked(services)
    services.commit(DIRECT, _event("direct_channel_left", channel_id="d", user_id=ANN) | {"to": "nobody"})
    until = time.monotonic() + PATIENCE
    claims = {SELF.name: 4, SERVER.name: 8, OPEN.name: 1, DIRECT.name: 6}
    beyond = await gateway.entrance.resume(connection, Resume(scopes=claims), until)
    assert (beyond.current, set(beyond.stale)) == ({}, set(claims))
    claims = {SELF.name: 3, SERVER.name: 7, OPEN.name: 1, DIRECT.name: 5}
    borne_out = await gateway.entrance.resume(connection, Resume(scopes=claims), until)
    assert borne_out.current == claims


@pytest.mark.parametrize("removed", [False, True])
async def test_who_is_removed_while_still_catching_up_is_shown_no_status_of_the_servers_members(
    services: Services, gateway: Gateway, *, removed: bool
) -> None:
    """It reads nothing, so it stays behind in the server; and the news in its own scope come late."""
    bob = user_scope("b" * 24)
    services.commit(bob)
    connection, _, wire = await gateway.comes(ANN, {SELF.name: 3, SERVER.name: 5, bob.name: 1}, unread=OUTBOX - 1)
    gone = _event("member_deleted", user_id=ANN if removed else "somebody") | {"to": "members"}
    await gateway.hears(services.commit(SERVER, gone))
    facts = {"servers": {"s": 8}, "users": [], "shown": {"changes": {"status": "dnd"}}}
    seen = _event("user_changed", user_id=bob.id, changes={}, was=1) | {"to": "acquaintances", "facts": facts}
    await gateway.hears(services.commit(bob, seen))
    assert ("s" in connection.servers) is not removed
    assert (("user_changed", bob.name, 2) in wire.told) is not removed


async def test_no_more_come_in_at_once_than_the_services_are_asked_about(services: Services, gateway: Gateway) -> None:
    """The others wait, each for its turn; as many that wait are a crowd."""
    services.answers.clear()
    coming: list[asyncio.Task[Any]] = []
    for _ in range(2 * AT_ONCE):
        assert not gateway.admission.crowd
        coming.append(asyncio.create_task(gateway.comes(ANN)))
        for _ in range(TURNS):
            await asyncio.sleep(0)
    assert gateway.admission.crowd
    assert len(services.asked) == AT_ONCE
    services.answers.set()
    await asyncio.gather(*coming)
    assert len(services.asked) == 2 * AT_ONCE
    assert not gateway.admission.crowd


async def test_what_can_no_longer_be_in_time_is_not_begun(services: Services, gateway: Gateway) -> None:
    await gateway.comes(ANN)
    connection = (await gateway.comes(ANN))[0]
    connection.user_id = ""
    asked = len(services.asked)
    with pytest.raises(Unavailable):
        await gateway.entrance.authenticate(connection, Authenticate(token=ANN), time.monotonic() + 0.5)
    assert len(services.asked) == asked
