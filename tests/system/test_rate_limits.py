"""Rate limits: who asks too much is told when to ask again, nobody else notices, and passwords can't be guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from tests.client import Client, Closed, RpcError
from tests.rig import Person, System, refused
from tests.system.addresses import comes_from, registered

pytestmark = pytest.mark.asyncio(loop_scope="module")

ABUSE = 4009
BURST, PER_SECOND = 100, 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def limited(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> AsyncIterator[System]:
    """The limits as they are by default. The first gateway believes a balancer on this machine, the second nobody."""
    env = {"*": {"LIMITS": "on"}, "gateway-0": {"TRUSTED_PROXIES": "127.0.0.0/8"}}
    system = System(Path(tmp_path_factory.mktemp("limited")), mongod, env=env, replicas={"presence": 2})
    await asyncio.to_thread(system.start)
    yield system
    await asyncio.to_thread(system.stop)


async def entered(system: System, person: Person, gateway: int = 0) -> Client:
    client = await Client.connect(system.url(gateway))
    await client.call("authenticate", token=person.token)
    return client


async def outcomes(client: Client, amount: int) -> list[Any]:
    """Of so many pings, sent at once: results and errors."""
    asked = [await client.send("ping") for _ in range(amount)]
    return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)


def limits_of(found: Sequence[Any]) -> list[RpcError]:
    errors = [each for each in found if isinstance(each, RpcError)]
    assert {(error.code, error.reason) for error in errors} <= {(4290, "rate_limited")}
    return errors


async def test_beyond_the_burst_one_is_told_how_long_to_wait_and_that_is_true(limited: System) -> None:
    person = await registered(limited, "192.0.2.1", "patient")
    async with await entered(limited, person) as client:
        found = await outcomes(client, BURST + 60)
        errors = limits_of(found)
        # What came back while they were sent is a few.
        assert 20 <= len(errors) <= 61
        assert not any(isinstance(each, RpcError) for each in found[: BURST - 1])
        waits = [error.data["retry_after_ms"] for error in errors]
        assert 0 < waits[0] <= 1000 / PER_SECOND + 1
        assert waits[-1] >= (len(waits) - 10) * 1000 / PER_SECOND
        await asyncio.sleep(waits[-1] / 1000)
        assert (await client.call("ping"))["time"]


async def test_who_asks_for_very_much_and_comes_again_as_told_gets_all_of_it(limited: System) -> None:
    """Each at another time, on whichever device: else all would come again at once, and all but one in vain."""
    person = await registered(limited, "192.0.2.9", "wants.much")
    async with await entered(limited, person) as first, await entered(limited, person) as second:

        async def ping(number: int) -> int:
            for tries in range(1, 6):
                try:
                    await (first, second)[number % 2].call("ping")
                except RpcError as error:
                    await asyncio.sleep(error.data["retry_after_ms"] / 1000)
                else:
                    return tries
            raise AssertionError("five times in vain")

        tried = await asyncio.gather(*(ping(number) for number in range(3 * BURST)))
        assert sum(tried) < 3 * 3 * BURST


async def test_what_comes_before_it_is_known_who_asks_is_paid_for_by_the_user_too(limited: System) -> None:
    person = await registered(limited, "192.0.2.10", "in.a.hurry")
    asked = [("authenticate", {"token": person.token})] + [("get_friends", {}) for _ in range(49)]
    found = []
    for _ in range(4):
        async with await Client.connect(limited.url()) as client:
            found += await client.batch(*asked)
    assert len(limits_of(found)) >= 4 * 49 - BURST - 3 * PER_SECOND


async def test_a_users_connections_share_a_bucket_and_others_have_their_own(limited: System) -> None:
    person, other = [await registered(limited, "192.0.2.2", name) for name in ("shares", "does.not")]
    first, second = await entered(limited, person), await entered(limited, person)
    stranger, elsewhere = await entered(limited, other), await entered(limited, person, gateway=1)
    async with first, second, stranger, elsewhere:
        found = await asyncio.gather(outcomes(first, BURST - 20), outcomes(second, BURST - 20))
        assert 20 <= len(limits_of([*found[0], *found[1]])) <= BURST - 40
        assert not limits_of(await outcomes(stranger, BURST - 20))
        # Each gateway counts by itself.
        assert not limits_of(await outcomes(elsewhere, BURST - 20))


async def test_a_new_connection_begins_with_what_the_user_has_left(limited: System) -> None:
    person = await registered(limited, "192.0.2.3", "comes.again")
    async with await entered(limited, person) as client:
        assert limits_of(await outcomes(client, BURST + 20))
    async with await entered(limited, person) as client:
        assert limits_of(await outcomes(client, BURST))


async def test_a_batch_pays_for_each_request_and_what_is_no_request_pays_too(limited: System) -> None:
    person = await registered(limited, "192.0.2.4", "in.batches")
    async with await entered(limited, person) as client:
        found = [await client.batch(*[("ping", {}) for _ in range(50)]) for _ in range(3)]
        assert len(limits_of([*found[0], *found[1], *found[2]])) >= 20
    async with await entered(limited, await registered(limited, "192.0.2.5", "talks.nonsense")) as client:
        for _ in range(BURST + 40):
            await client.send_raw("{")
        errors = [(await client.answer())["error"] for _ in range(BURST + 40)]
        reasons = [error["data"]["reason"] for error in errors]
        assert reasons[: BURST - 1] == ["parse_error"] * (BURST - 1)
        assert "rate_limited" in reasons


async def test_who_keeps_on_sending_is_cut_off_and_nobody_else(limited: System) -> None:
    person, other = [await registered(limited, "192.0.2.6", name) for name in ("abuser", "bystander")]
    client, bystander = await entered(limited, person), await entered(limited, other)
    async with bystander, client:
        with suppress(Closed):
            for _ in range(3_000):
                await client.notify("ping")
                await asyncio.sleep(0)
        assert await client.closed(10) == ABUSE
        assert (await bystander.call("ping"))["time"]
    # It is no ban: who waits is let in.
    async with await entered(limited, person) as again:
        await asyncio.sleep(0.1)
        assert (await again.call("ping"))["time"]


async def test_an_address_registers_and_logs_in_so_often_over_all_its_connections(limited: System) -> None:
    """Each costs two."""
    free, asked = BURST // 2, 90

    async def refusals(address: str, gateway: int) -> list[RpcError]:
        clients = [await comes_from(limited, address, gateway) for _ in range(3)]
        sent = [
            await clients[number % 3].send("login", name=f"nobody.{number}", password="wrong wrong")
            for number in range(asked)
        ]
        found = await asyncio.gather(*sent, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in clients))
        return [error for error in found if isinstance(error, RpcError) and error.reason == "rate_limited"]

    errors = await refusals("192.0.2.20", 0)
    assert 1 <= len(errors) <= asked - free
    assert all(0 < error.data["retry_after_ms"] <= 2 * asked * 1000 / PER_SECOND for error in errors)
    # Another address has its own; to a gateway that trusts nobody, both are one.
    assert len(await refusals("192.0.2.21", 0)) <= asked - free
    await refusals("192.0.2.22", 1)
    assert len(await refusals("192.0.2.23", 1)) > asked - free


async def test_an_address_looks_at_so_many_invites_over_all_its_connections(limited: System) -> None:
    """Who has authenticated pays by the user alone."""
    person = await registered(limited, "192.0.2.60", "is.invited")
    clients = [await comes_from(limited, "192.0.2.24") for _ in range(3)]
    known = await comes_from(limited, "192.0.2.24")
    async with clients[0], clients[1], clients[2], known:
        await known.call("authenticate", token=person.token)
        sent = [await clients[each % 3].send("get_server", invite=f"made-up-{each}") for each in range(2 * BURST)]
        found = await asyncio.gather(*sent, return_exceptions=True)
        reasons = [error.reason for error in found if isinstance(error, RpcError)]
        assert set(reasons) == {"not_found", "rate_limited"}
        assert BURST <= reasons.count("not_found") < 2 * BURST - 20
        found = await known.batch(*[("get_server", {"invite": "made-up"}) for _ in range(40)])
        assert {error.reason for error in found} == {"not_found"}


async def test_a_balancer_that_is_not_trusted_is_told_of(limited: System) -> None:
    """Once in a while in the log, and each time in the metrics."""
    process = limited.processes["gateway-1"]

    def counted() -> float:
        with urlopen(f"http://127.0.0.1:{process.admin_port}/metrics") as page:
            lines = page.read().decode().splitlines()
        (line,) = [each for each in lines if each.startswith("guildwire_gateway_forwarded_in_vain_total")]
        return float(line.split()[1])

    before = await asyncio.to_thread(counted)
    for _ in range(3):
        await (await comes_from(limited, "192.0.2.70", gateway=1)).close()
    await (await Client.connect(limited.url(1))).close()
    await (await comes_from(limited, "192.0.2.70", gateway=0)).close()
    assert await asyncio.to_thread(counted) == before + 3
    assert process.log.read_text().count("forwarded_for_not_believed") == 1
    assert "forwarded_for_not_believed" not in limited.processes["gateway-0"].log.read_text()


async def test_passwords_cannot_be_guessed_and_nobody_can_lock_the_owner_out(limited: System) -> None:
    owner = await registered(limited, "198.51.100.1", "the.owner")

    async def reason(address: str, password: str) -> str:
        async with await comes_from(limited, address) as client:
            try:
                await client.call("login", name=owner.name, password=password)
            except RpcError as error:
                return error.reason
        return "in"

    # From one address: ten, and then not even the right one is looked at.
    found = [await reason("203.0.113.1", "wrong wrong") for _ in range(12)]
    assert found == ["unauthenticated"] * 10 + ["rate_limited"] * 2
    assert await reason("203.0.113.1", owner.password) == "rate_limited"
    assert await reason("198.51.100.7", owner.password) == "in"

    # From a hundred and more: then only where the owner is at home is anybody asked.
    async def guess(address: str) -> list[str]:
        return [await reason(address, "wrong wrong") for _ in range(10)]

    tried = await asyncio.gather(*(guess(f"203.0.113.{each}") for each in range(2, 32)))
    found = [each for one in tried for each in one]
    assert 90 <= found.count("unauthenticated") < 200
    strangers = (reason(f"203.0.113.{each}", "wrong wrong") for each in range(100, 120))
    assert "rate_limited" in await asyncio.gather(*strangers)
    assert await reason("198.51.100.1", owner.password) == "in"
    assert await reason("198.51.100.1", "wrong wrong") == "unauthenticated"

    # Where the owner's device is by now, is home.
    async with await comes_from(limited, "198.51.100.50") as client:
        await client.call("authenticate", token=owner.token)
    assert await reason("198.51.100.50", owner.password) == "in"

    # Who has a token, and wants to know the password, has as few tries.
    async with await entered(limited, owner) as client:
        changes = {"password": "another one", "old_password": "wrong wrong"}
        errors = [await refused(client.call("update_user", changes=changes)) for _ in range(11)]
        assert [error.reason for error in errors] == ["forbidden"] * 10 + ["rate_limited"]
    # The owner has another session, and is not kept from ending that one.
    async with await comes_from(limited, "198.51.100.1") as client:
        made = await client.call("login", name=owner.name, password=owner.password)
        await client.call("authenticate", token=made["token"])
        await client.call("update_user", changes={"password": "another one", "old_password": owner.password})


async def test_all_devices_of_a_user_may_log_in_at_once(limited: System) -> None:
    person = await registered(limited, "198.51.100.80", "many.devices")
    async with await comes_from(limited, "198.51.100.81") as client:
        logins = [await client.send("login", name=person.name, password=person.password) for _ in range(40)]
        tokens = {(await login)["token"] for login in logins}
    assert len(tokens) == 40
