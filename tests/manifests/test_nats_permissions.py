"""What the users of nats-server may do, and that nobody may do more: a real server with the very permissions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from deploy.credentials import PARTS, nats_url
from deploy.nats.permissions import WRITES, users_conf
from shared.affinity import alive_at, announced_at
from shared.bus import FLUSHED, Bus, Reply, Request, inbox_of
from shared.errors import Misconfigured
from shared.ownership import OWN
from shared.protocol import GATEWAY, METHODS, SERVICES
from shared.protocol.account import SESSION_ENDED_SUBJECT
from shared.scopes import Scope, subject_of, subjects_of, subscription_for
from shared.settings import Settings
from tests.manifests.cluster import USERS
from tests.secured import TESTER, SecuredNats, credentials_of

SCOPES = {
    "server": Scope("server:s"),
    "channel": Scope("channel:c", "s"),
    "self": Scope("self:u"),
    "user": Scope("user:u"),
}
METHOD = {service: next(m.subject for m in METHODS.values() if m.service == service) for service in SERVICES}
OTHERS = [(one, other) for one in PARTS for other in SERVICES if one != other]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredNats]:
    running = SecuredNats(tmp_path_factory.mktemp("nats"))
    running.start()
    yield running
    running.stop()


class Somebody:
    """A connection of one user, and what the server would not let it do."""

    def __init__(self) -> None:
        self.client = Client()
        self.refused: list[str] = []

    async def _note(self, error: Exception) -> None:
        self.refused.append(str(error))

    async def connect(self, server: SecuredNats, user: str) -> None:
        url = nats_url(*credentials_of(user), [server.address])
        prefix = inbox_of(user)
        await self.client.connect(url, allow_reconnect=False, error_cb=self._note, inbox_prefix=prefix)

    async def may_publish(self, subject: str) -> bool:
        return await self._may("publish", lambda: self.client.publish(subject, b"{}"))

    async def may_hear(self, subject: str) -> bool:
        return await self._may("subscription", lambda: self.client.subscribe(subject))

    async def settle(self) -> None:
        """Returns when the server has judged what came before; nats-py's own flush may overtake it."""
        with pytest.raises(nats.errors.NoRespondersError):
            await self.client.request(FLUSHED, timeout=5)

    async def _may(self, what: str, act: object) -> bool:
        assert callable(act)
        before = len(self.refused)
        await act()
        await self.settle()
        said = self.refused[before:]
        assert all(f"permissions violation for {what}" in each for each in said), said
        return not said


@asynccontextmanager
async def somebody(server: SecuredNats, user: str) -> AsyncIterator[Somebody]:
    made = Somebody()
    await made.connect(server, user)
    try:
        yield made
    finally:
        await made.client.close()


def bus_of(server: SecuredNats, part: str, user: str | None = None) -> Bus:
    return Bus(Settings(name=part, nats_url=nats_url(*credentials_of(user or part), [server.address])), part)


def test_the_tests_have_the_permissions_that_containers_have() -> None:
    assert USERS.read_text() == users_conf()


def test_all_parts_are_known_everywhere() -> None:
    assert set(SERVICES) == set(WRITES) == set(OWN)
    assert set(PARTS) == {GATEWAY, *SERVICES}


@pytest.mark.parametrize("kind", SCOPES)
def test_all_subjects_of_a_kind_are_its_subjects(kind: str) -> None:
    pattern = subjects_of(kind).split(".")
    for subject in (subject_of(SCOPES[kind]), subscription_for(SCOPES[kind])):
        tokens = subject.split(".")
        assert len(tokens) == len(pattern)
        assert all(allowed in {"*", token} for allowed, token in zip(pattern, tokens, strict=True))


@pytest.mark.parametrize("kind", SCOPES)
async def test_a_gateway_hears_entries_and_publishes_none(server: SecuredNats, kind: str) -> None:
    async with somebody(server, GATEWAY) as gateway:
        assert await gateway.may_hear(subscription_for(SCOPES[kind]))
        assert not await gateway.may_publish(subject_of(SCOPES[kind]))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_publishes_the_entries_it_writes_and_hears_none(server: SecuredNats, service: str) -> None:
    async with somebody(server, service) as one:
        published = {kind for kind, scope in SCOPES.items() if await one.may_publish(subject_of(scope))}
        assert published == set(WRITES[service])
        for scope in SCOPES.values():
            assert not await one.may_hear(subscription_for(scope))


@pytest.mark.parametrize(("one", "other"), OTHERS)
async def test_nobody_serves_what_another_serves(server: SecuredNats, one: str, other: str) -> None:
    async with somebody(server, one) as part:
        for subject in (METHOD[other], f"{METHOD[other]}.x", alive_at(other, "x"), f"rpc.{other}.>", f"rpc.{other}.*"):
            assert not await part.may_hear(subject)


@pytest.mark.parametrize("user", PARTS)
@pytest.mark.parametrize("subject", [">", "rpc.>", "ev.>", "_INBOX.>", "*.*", "$SYS.>", "replicas.*", FLUSHED])
async def test_nobody_hears_everything(server: SecuredNats, user: str, subject: str) -> None:
    async with somebody(server, user) as part:
        assert not await part.may_hear(subject)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_serves_its_methods_and_asks_nobody(server: SecuredNats, service: str) -> None:
    async with somebody(server, service) as one:
        for subject in (METHOD[service], f"{METHOD[service]}.x", alive_at(service, "x"), "rpc.journal.read_heads"):
            assert await one.may_hear(subject)
        for other in SERVICES:
            assert not await one.may_publish(METHOD[other])
            assert await one.may_publish(announced_at(other)) is (other == service)
        assert await one.may_publish(SESSION_ENDED_SUBJECT) is (service == "presence")


@pytest.mark.parametrize(("one", "other"), [(one, other) for one in PARTS for other in PARTS if one != other])
async def test_nobody_reads_another_part_s_replies_or_forges_them(server: SecuredNats, one: str, other: str) -> None:
    async with somebody(server, one) as part:
        assert not await part.may_hear(f"{inbox_of(other)}.>")
        assert not await part.may_publish(f"{inbox_of(other)}.x.y")


async def test_a_service_answers_once_and_only_who_asked(server: SecuredNats) -> None:
    async with somebody(server, GATEWAY) as gateway, somebody(server, "guilds") as guilds:
        answered = asyncio.Event()

        async def answer(message: Msg) -> None:
            for _ in range(2):
                await message.respond(b"yes")
            answered.set()

        await guilds.client.subscribe(METHOD["guilds"], cb=answer)
        await guilds.settle()
        assert (await gateway.client.request(METHOD["guilds"], timeout=5)).data == b"yes"
        await asyncio.wait_for(answered.wait(), 5)
        await guilds.settle()
        (refused,) = guilds.refused
        assert "permissions violation for publish" in refused
        assert gateway.refused == []


@pytest.mark.parametrize("login", ["", "gateway:wrong@", "mallory:password-of-mallory@", f"{TESTER}:@"])
async def test_who_has_no_credentials_is_not_let_in(server: SecuredNats, login: str) -> None:
    client = Client()
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
        await client.connect(f"nats://{login}{server.address}", allow_reconnect=False)
    assert not client.is_connected


# The bus itself.


@pytest.mark.parametrize("part", PARTS)
async def test_the_bus_flushes(server: SecuredNats, part: str) -> None:
    bus = bus_of(server, part)
    await bus.connect()
    await bus.must_be_permitted()
    await bus.flush()
    assert bus.connected
    await bus.close()


async def test_a_reply_goes_nowhere_but_to_an_inbox(server: SecuredNats) -> None:
    """Else a gateway could have a service publish for it what it may not."""
    bus = bus_of(server, "guilds")
    await bus.connect()
    asked = asyncio.Event()

    async def answer(_request: Request) -> Reply:
        asked.set()
        return Reply(b"forged")

    await bus.serve(METHOD["guilds"], "guilds", answer)
    await bus.flush()
    async with somebody(server, GATEWAY) as gateway:
        heard = await gateway.client.subscribe("ev.server.s")
        await gateway.client.publish(METHOD["guilds"], b"{}", reply="ev.server.s")
        await asyncio.wait_for(asked.wait(), 5)
        assert (await gateway.client.request(METHOD["guilds"], timeout=5)).data == b"forged"
        await bus.flush()
        await gateway.settle()
        assert heard.pending_msgs == 0
    await bus.close()


async def test_who_may_not_serve_its_methods_is_told_so_at_once(server: SecuredNats) -> None:
    """With the URL of another part, say: nats-server would let it wait for ever."""
    bus = bus_of(server, "messages", user="guilds")
    await bus.connect()

    async def answer(_request: Request) -> Reply:
        raise AssertionError

    await bus.serve(METHOD["messages"], "messages", answer)
    with pytest.raises(Misconfigured, match=r"does not let the user of messages .*rpc\.messages.*users\.conf"):
        await bus.must_be_permitted()
    await bus.close()


async def test_what_is_forbidden_later_is_said_and_counted(
    server: SecuredNats, capsys: pytest.CaptureFixture[str]
) -> None:
    bus = bus_of(server, "guilds")
    await bus.connect()
    before = forbidden()
    for _ in range(3):
        await bus.publish("ev.user.1.u", b"{}")
    await bus.flush()
    assert forbidden() == before + 3
    assert capsys.readouterr().out.count("nats_forbidden") == 1
    await bus.close()


async def test_wrong_credentials_end_the_first_connection(server: SecuredNats) -> None:
    url = f"nats://gateway:wrong@{server.address}"
    with pytest.raises(Misconfigured, match=r"NATS refuses the credentials in NATS_URL"):
        await asyncio.wait_for(Bus(Settings(name="x", nats_url=url), GATEWAY).connect(), 10)


def forbidden() -> float:
    from prometheus_client import REGISTRY  # noqa: PLC0415

    return REGISTRY.get_sample_value("guildwire_nats_forbidden_total") or 0.0
