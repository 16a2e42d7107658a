"""What the client does when its connection fails, and how it comes back."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
from collections.abc import Awaitable, Callable

import pytest
from guildwire import Client, Disconnected, LoggedOut, Phase, RateLimited, TurnedAway, Unavailable
from guildwire.backoff import Backoff
from guildwire.wire import Connection

from tests.clients.gateway import Gateway, Refuse, Session
from tests.clients.wire import NEWEST, SELF, C, Json, S, authenticated, chunk, delta, message, settled, user
from tests.rig import eventually

PATIENCE = 5


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a jitter: each wait is a hundredth of what was drawn."""
    draw = random.uniform
    monkeypatch.setattr(random, "uniform", lambda low, high: draw(low, high) / 100)


async def reaches(client: Client, phase: Phase) -> None:
    async with asyncio.timeout(PATIENCE):
        with client.changes() as changes:
            while client.state.phase is not phase:
                await changes.batch()


async def told_to_leave(client: Client, node: Gateway, after_ms: int) -> tuple[Session, float]:
    """A client's session on a node that drains, and when it was told so."""
    await client.authenticate("t")
    session = await node.session(0)
    began = asyncio.get_running_loop().time()
    await session.tell("reconnect", after_ms=after_ms)
    return session, began


async def test_it_comes_back_on_the_next_gateway_and_says_where_it_was() -> None:
    async with Gateway() as first, Gateway() as second, Client([first.url, second.url], cache=settled()) as client:
        await client.authenticate("t")
        (await first.session(0)).drop()
        await second.session(0)
        await reaches(client, Phase.ONLINE)
        assert client.state.url == second.url
        claimed = second.asked("authenticate")[0]["resume"]
        assert (claimed[SELF], claimed[S], claimed[C]) == (1, 10, 20)
        assert second.asked("authenticate")[0]["members"] == ["s1"]


async def test_it_is_online_when_the_last_of_a_large_cache_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def current(_session: Session, params: Json) -> Json:
        return authenticated(params["scopes"])

    monkeypatch.setattr("guildwire.cache.cache.LARGEST_CLAIM", 30)
    async with Gateway(resume=current) as gateway, Client(gateway.url, cache=settled()) as client:
        await client.start("t")
        session = await gateway.session(0)
        claims = len(client.cache.claims())
        await eventually(lambda: len(gateway.asked("resume")) == claims - 1, "all of it is claimed")
        for _ in range(claims - 1):
            await client.ping()
            assert client.state.phase is Phase.RESUMING
            await session.tell("resumed")
        await reaches(client, Phase.ONLINE)
        assert claims > 2


async def test_states_are_seen_in_order_with_why_and_since_when() -> None:
    async with Gateway() as gateway, Client(gateway.url, cache=settled()) as client:
        phases = [client.state.phase]
        with client.changes() as changes:
            await client.authenticate("t")
            (await gateway.session(0)).drop()
            await gateway.session(1)
            while client.state.phase is not Phase.ONLINE or len(gateway.sessions) < 2:
                before = client.state
                await changes.batch()
                if client.state.phase is Phase.OFFLINE:
                    assert client.state.why
                    assert client.state.retry_at is not None
                if {client.state.phase, before.phase} == {Phase.OFFLINE, Phase.CONNECTING}:
                    assert client.state.since == before.since
                phases.append(client.state.phase)
        assert phases[0] is Phase.LOGGED_OUT
        assert phases[-1] is Phase.ONLINE


ENDS = [(4001, "The token was refused."), (4002, "The session was ended.")]


@pytest.mark.parametrize(("code", "why"), ENDS)
async def test_an_ended_session_is_not_taken_up_again(code: int, why: str) -> None:
    async with Gateway() as gateway, Client(gateway.url) as client:
        await client.authenticate("t")
        await (await gateway.session(0)).close(code)
        await reaches(client, Phase.LOGGED_OUT)
        assert (client.state.why, client.token) == (why, "")
        with pytest.raises(LoggedOut):
            await client.call("get_servers")
        assert len(gateway.sessions) == 1


async def test_a_refused_token_raises() -> None:
    async def refuse(_session: Session, _params: Json) -> Json:
        raise Refuse(4010, "unauthenticated")

    async with Gateway(authenticate=refuse) as gateway, Client(gateway.url) as client:
        with pytest.raises(LoggedOut):
            await client.authenticate("t")
        assert client.state.phase is Phase.LOGGED_OUT


@pytest.mark.parametrize("code", [4003, 4008, 4009])
async def test_what_this_client_did_wrong_does_not_drive_it_to_another_node(code: int) -> None:
    async with Gateway() as first, Gateway() as second, Client([first.url, second.url]) as client:
        await client.authenticate("t")
        await (await first.session(0)).close(code)
        await first.session(1)
        await reaches(client, Phase.ONLINE)
        assert second.sessions == []


TURNS_AWAY = [(["1"], 1.0), (["1", "1"], 2.0), (["1 0"], 1.0)]


async def let_in(_session: Session, _params: Json) -> Json:
    return {"token": "t", "user": user()}


async def comes_back(client: Client) -> None:
    await client.start("t")
    await reaches(client, Phase.ONLINE)


async def logs_in(client: Client) -> None:
    await client.login("ann", "correct horse")


@pytest.mark.parametrize("comes", [comes_back, logs_in])
@pytest.mark.parametrize(("says", "after"), TURNS_AWAY)
async def test_who_is_turned_away_comes_when_it_is_told_to(
    says: list[str], after: float, comes: Callable[[Client], Awaitable[None]]
) -> None:
    """To the same node, that expects it then; a proxy may have said something as well."""
    async with Gateway(login=let_in) as first, Gateway() as second, Client([first.url, second.url]) as client:
        first.turns_away = says
        began = asyncio.get_running_loop().time()
        await comes(client)
        assert after <= asyncio.get_running_loop().time() - began < after + 1
        assert client.state.url == first.url
        assert (first.turned_away, second.sessions) == (len(says), [])


async def test_who_logs_in_and_cannot_wait_so_long_asks_the_others_once() -> None:
    async with Gateway() as first, Gateway() as second, Client([first.url, second.url], patience=5) as client:
        first.turns_away = ["60"] * 2
        second.turns_away = ["60"]
        with pytest.raises(TurnedAway) as told:
            await client.login("ann", "correct horse")
        assert told.value.retry_after == 60
        assert (first.turned_away, second.turned_away) == (1, 1)
        second.answers["login"] = let_in
        await client.login("ann", "correct horse")
        assert client.state.url == second.url


@pytest.mark.parametrize("says", ["soon", "-1", "0", "1" * 100])
async def test_who_is_told_no_time_goes_to_another_node(says: str) -> None:
    async with Gateway() as first, Gateway() as second, Client([first.url, second.url]) as client:
        first.turns_away = [says]
        await client.start("t")
        await reaches(client, Phase.ONLINE)
        assert client.state.url == second.url


async def test_it_leaves_a_draining_node_when_it_is_told_to() -> None:
    async with Gateway() as first, Gateway() as second, Client([first.url, second.url]) as client:
        _, began = await told_to_leave(client, first, 300)
        await client.call("ping")  # goes on serving meanwhile
        assert client.state.phase is Phase.ONLINE
        await second.session(0)
        assert 0.25 < asyncio.get_running_loop().time() - began < 1.5


async def test_a_node_that_closes_early_does_not_shorten_the_delay() -> None:
    async with Gateway() as first, Gateway() as second, Client([first.url, second.url]) as client:
        session, began = await told_to_leave(client, first, 300)
        await session.close(1012)
        await second.session(0)
        assert asyncio.get_running_loop().time() - began > 0.25


async def test_it_opens_another_before_it_leaves_and_takes_its_answers_with_it() -> None:
    async def late(_session: Session, _params: Json) -> Json:
        await second.session(0)
        return {"rev": 1, "full": True, "servers": []}

    async with (
        Gateway() as second,
        Gateway(get_servers=late) as first,
        Client([first.url, second.url]) as client,
    ):
        await told_to_leave(client, first, 300)
        assert (await client.get_servers())["servers"] == []
        await eventually(lambda: client.state.url == second.url, "it is on the other")
        await reaches(client, Phase.ONLINE)
        assert (len(first.asked("get_servers")), second.asked("get_servers")) == (1, [])
        await client.ping()
        assert (len(first.asked("ping")), len(second.asked("ping"))) == (0, 1)


async def test_without_another_it_comes_back_to_the_same() -> None:
    async with Gateway() as gateway, Client([gateway.url, "ws://127.0.0.1:9/ws"]) as client:
        await told_to_leave(client, gateway, 50)
        await gateway.session(1)
        await reaches(client, Phase.ONLINE)
        await client.ping()
        assert [len(gateway.sessions), client.state.url] == [2, gateway.url]


async def test_the_node_closes_while_another_is_sought_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What connects to `silent` is never answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        dead = f"ws://127.0.0.1:{silent.getsockname()[1]}/ws"
        async with Gateway() as first, Gateway() as third, Client([first.url, dead, third.url]) as client:
            session, _ = await told_to_leave(client, first, 50)
            tried, _ = await asyncio.to_thread(silent.accept)
            monkeypatch.setattr("guildwire.wire.CONNECT_SECONDS", 0.2)
            await session.close(1012)
            await third.session(0)
            await reaches(client, Phase.ONLINE)
            assert client.state.url == third.url
            tried.close()


async def test_a_server_without_resume_is_asked_for_everything_again() -> None:
    async def plain(_session: Session, params: Json) -> Json:
        if "resume" in params:
            raise Refuse(-32602, "invalid_params", errors=[{"field": "resume", "problem": "is not known"}])
        return authenticated({SELF: 1, S: 10})

    async def page(_session: Session, params: Json) -> Json:
        return delta(21, [message(5, 21)]) if params.get("since") == 20 else chunk(21)

    async def refuse(_session: Session, _params: Json) -> Json:
        raise Refuse(-32601, "method_not_found")

    others = dict.fromkeys(("get_servers", "get_server", "get_server_channels"), refuse)
    async with (
        Gateway(authenticate=plain, get_message_chunk=page, get_users=refuse, **others) as gateway,
        Client(gateway.url, cache=settled()) as client,
    ):
        client.focus(C)
        await client.authenticate("t")
        assert gateway.asked("get_message_chunk") == [{**NEWEST, "since": 20}]
        assert client.cache.pages("c1").newest(1)[0]["id"] == 5


async def test_a_large_cache_is_claimed_in_several_frames() -> None:
    cache = settled()
    for number in range(3000):
        cache.users.take(user(f"{number:024x}"))
    async with Gateway() as gateway, Client(gateway.url, cache=cache) as client:
        await client.authenticate("t")
        frames = [gateway.asked("authenticate")[0]["resume"], *(each["scopes"] for each in gateway.asked("resume"))]
        assert len(frames) == 2
        claimed = {name: rev for frame in frames for name, rev in frame.items()}
        assert claimed == cache.positions.claims()
        assert cache.stale() == []
        assert all(len(json.dumps(params)) < 64 * 1024 for _, params in gateway.sessions[0].asked)


async def test_a_claim_that_is_refused_is_asked_for_instead() -> None:
    async def refuse(_session: Session, _params: Json) -> Json:
        raise Refuse(5030, "unavailable")

    cache = settled()
    for number in range(3000):
        cache.users.take(user(f"{number:024x}"))
    async with Gateway(resume=refuse, get_users=nobody) as gateway, Client(gateway.url, cache=cache) as client:
        await client.authenticate("t")
        await eventually(lambda: not cache.stale(), "all was asked for")
        claimed = gateway.asked("authenticate")[0]["resume"]
        assert {f"user:{each}" for asked in gateway.asked("get_users") for each in asked["users"]} == {
            f"user:{each}" for each in cache.users.all()
        } - claimed.keys()
        assert len(gateway.sessions) == 1


TROUBLE = [
    ("unavailable", Refuse(5030, "unavailable")),
    ("rate limited", Refuse(4290, "rate_limited", retry_after_ms=10)),
    ("the connection is lost before the answer", None),
]


@pytest.mark.parametrize("failure", [row[1] for row in TROUBLE], ids=[row[0] for row in TROUBLE])
async def test_what_is_made_is_made_once_however_often_it_is_asked_for(failure: Refuse | None) -> None:
    tries = iter(range(100))

    async def add(session: Session, params: Json) -> Json | None:
        if next(tries) < 2:
            if failure is not None:
                raise failure
            session.drop()
            return None
        return message(1, 1, params["channel_id"])

    async with Gateway(add_message=add) as gateway, Client(gateway.url) as client:
        await client.authenticate("t")
        await client.add_message("c1", "hello")
        asked = gateway.asked("add_message")
        assert len(asked) == 3
        assert len({each["nonce"] for each in asked}) == 1
        await client.add_message("c1", "hello")
        assert gateway.asked("add_message")[-1]["nonce"] != asked[0]["nonce"]


async def test_what_is_not_safe_to_repeat_is_not_repeated() -> None:
    async def update(session: Session, _params: Json) -> None:
        session.drop()

    async with Gateway(update_user=update) as gateway, Client(gateway.url) as client:
        await client.authenticate("t")
        with pytest.raises(Disconnected):
            await client.update_user({"display_name": "Ann"})
        assert len(gateway.asked("update_user")) == 1


async def test_patience_ends() -> None:
    async def refuse(_session: Session, params: Json) -> Json:
        raise Refuse(5030, "unavailable") if "channel_id" in params else Refuse(4290, "rate_limited", retry_after_ms=99)

    async with (
        Gateway(get_message_chunk=refuse, get_servers=refuse) as gateway,
        Client(gateway.url, patience=0.2) as client,
    ):
        await client.authenticate("t")
        with pytest.raises(Unavailable):
            await client.get_message_chunk("c1", 10, anchor=0, direction=False)
        with pytest.raises(RateLimited):
            await client.get_servers()
    async with Client(gateway.url, patience=0.2) as client:
        await client.start("t")
        with pytest.raises(Disconnected):
            await client.get_servers()
        assert client.state.phase in {Phase.OFFLINE, Phase.CONNECTING}


async def test_what_is_shown_is_made_current_first_and_the_rest_once() -> None:
    async def stale(session: Session, params: Json) -> Json:
        await session.tell("resumed")
        return authenticated({}, stale=list(params["resume"]))

    servers = dict.fromkeys(("get_server", "get_server_channels", "get_server_roles", "get_server_members"), empty)
    answers = {"authenticate": stale, "get_servers": empty, "get_message_chunk": empty, "get_users": nobody, **servers}
    async with Gateway(**answers) as gateway, Client(gateway.url, cache=settled()) as client:
        client.focus(C, S)
        await client.authenticate("t")
        await eventually(lambda: not client.cache.stale(), "nothing is stale")
        order = [method for method, _ in gateway.sessions[0].asked if method != "authenticate"]
        assert order[:2] == ["get_servers", "get_message_chunk"]
        assert sorted(order) == sorted([*answers.keys() - {"authenticate"}])


async def empty(_session: Session, params: Json) -> Json:
    return delta(params["since"], categories=[])


async def nobody(_session: Session, _params: Json) -> Json:
    return {"rev": 1, "full": True, "users": []}


async def test_a_frame_it_cannot_follow_voids_the_cache_and_not_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async with Gateway() as gateway, Client(gateway.url, cache=settled()) as client:
        await client.authenticate("t")
        await (await gateway.session(0)).tell("message_added", scope=C, rev=21)
        session = await gateway.session(1)
        await reaches(client, Phase.ONLINE)
        assert "resume" not in session.asked[0][1]
        assert client.cache.servers == {}
        assert "can't be followed" in caplog.text


def test_waits_are_drawn_from_all_of_a_growing_range_up_to_a_limit() -> None:
    waits = Backoff(first=1, most=8)
    drawn = [[Backoff(1, 8, tries).next() * 100 for _ in range(200)] for tries in (0, 2, 9)]
    assert [max(each) <= limit for each, limit in zip(drawn, (1, 4, 8), strict=True)] == [True] * 3
    assert [min(each) < limit / 8 < limit * 7 / 8 < max(each) for each, limit in zip(drawn, (1, 4, 8), strict=True)]
    waits.at_least(3)
    waits.next()
    assert waits.tries == 4


async def test_who_is_stopped_as_the_answer_comes_stops() -> None:
    """At whichever moment. Otherwise a client that is closed in such a one lives on, and close() never returns."""
    async with Gateway() as gateway:
        for moment in itertools.count():
            connection = await Connection.open(gateway.url)
            request = asyncio.create_task(connection.request("ping"))
            for _ in range(moment):
                await asyncio.sleep(0)
            was_under_way = request.cancel()
            await asyncio.wait({request})
            await connection.close()
            if not was_under_way:
                break
            assert request.cancelled(), f"it went on after moment {moment}"
    assert moment > 1


async def test_who_asks_while_the_connection_is_closing_waits_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    close = Connection.close

    async def slowly(connection: Connection) -> None:
        await asyncio.sleep(0.05)
        await close(connection)

    monkeypatch.setattr(Connection, "close", slowly)
    async with Gateway() as gateway, Client(gateway.url) as client:
        await client.authenticate("t")
        (await gateway.session(0)).drop()
        await eventually(lambda: client._link.connection is None, "it is lost")
        assert client.state.phase is Phase.CONNECTING
        await client.ping()
        assert len(gateway.sessions) == 2
