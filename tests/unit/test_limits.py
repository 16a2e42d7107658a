"""What an address may ask without being known, and when who asks too much is told to ask again."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from services.gateway import limits as gateway_limits
from services.gateway.jsonrpc import Incoming
from services.gateway.limits import Limits
from services.gateway.upstream import Refused
from shared.errors import RateLimited, Unauthenticated, Unavailable
from shared.protocol.account import LOGIN, PING
from shared.settings import Settings

OF_ONE = 20
RARELY = Settings(handshake_rate=1_000, handshake_rate_per_address=OF_ONE / 2)
"""As many at once as twice the rate; what comes back while a test runs is less than one in 100 ms."""


def shows(limits: Limits, address: str, failure: Exception | None) -> None:
    with suppress(Refused, Unavailable), limits.showing_token(address):
        if failure is not None:
            raise failure


def handshakes_refused() -> float:
    return REGISTRY.get_sample_value("guildwire_requests_refused_total", {"why": "handshake"}) or 0


@pytest.mark.parametrize("failure", [None, Unavailable()])
def test_a_token_costs_nothing_but_where_it_is_refused(failure: Exception | None) -> None:
    """Else RateLimited would be raised."""
    limits = Limits(RARELY)
    for _ in range(100 * OF_ONE):
        shows(limits, "192.0.2.1", failure)


def test_made_up_tokens_come_to_an_end_and_only_for_that_address() -> None:
    limits = Limits(RARELY)
    refusals = []
    for _ in range(10 * OF_ONE):
        try:
            shows(limits, "192.0.2.1", Refused(Unauthenticated("No.").wire()))
        except RateLimited as error:
            refusals.append(error.data["retry_after_ms"])
    assert 8 * OF_ONE < len(refusals) <= 9 * OF_ONE
    apart = 2_000 / OF_ONE
    assert 0 < min(refusals) <= apart + 1
    assert max(refusals) <= (len(refusals) + 1) * apart
    shows(limits, "192.0.2.2", None)


def test_over_whichever_connections_a_user_asks_each_is_told_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what two devices are told together would be true for one of them."""
    monkeypatch.setattr(gateway_limits, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    burst, rate = 50, 50
    limits = Limits(Settings(rate_burst=burst, rate_per_second=rate))
    devices = [limits.connection(f"192.0.2.{each}") for each in range(3)]
    ping = Incoming(1, True, PING, {})
    found = [device.refusal(ping, "ann") for _ in range(burst) for device in devices]
    told = [error.data["retry_after_ms"] for error in found if error is not None]
    assert told == pytest.approx([each * 1000 / rate for each in range(1, 2 * burst + 1)], abs=1)


def test_who_asks_without_end_makes_neighbours_wait_for_so_long_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_limits, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    limits = Limits(Settings())
    noisy, neighbour = limits.connection("192.0.2.1"), limits.connection("192.0.2.1")
    login = Incoming(1, True, LOGIN, {})
    for _ in range(900):
        noisy.refusal(login, "")
    refused = neighbour.refusal(login, "")
    assert refused is not None
    assert 0 < refused.data["retry_after_ms"] <= 10_000


def test_tokens_shown_side_by_side_are_no_more() -> None:
    limits = Limits(RARELY)
    with ExitStack() as stack:
        for _ in range(OF_ONE):
            stack.enter_context(limits.showing_token("192.0.2.1"))
        with pytest.raises(RateLimited):
            stack.enter_context(limits.showing_token("192.0.2.1"))
    shows(limits, "192.0.2.1", None)


def test_one_address_leaves_handshakes_to_the_others() -> None:
    limits = Limits(Settings(handshake_rate=OF_ONE, handshake_rate_per_address=OF_ONE / 4))
    before = handshakes_refused()
    taken = sum(not limits.wait_for_handshake("192.0.2.1") for _ in range(10 * OF_ONE))
    assert OF_ONE / 2 <= taken < OF_ONE
    assert handshakes_refused() - before == 10 * OF_ONE - taken
    assert all(not limits.wait_for_handshake("192.0.2.2") for _ in range(OF_ONE // 2))


def test_all_addresses_together_come_to_an_end_as_well() -> None:
    limits = Limits(Settings(handshake_rate=OF_ONE, handshake_rate_per_address=OF_ONE / 4))
    taken = sum(not limits.wait_for_handshake(f"192.0.2.{each}") for each in range(10 * OF_ONE))
    assert 2 * OF_ONE <= taken < 3 * OF_ONE


def test_a_crowd_is_told_to_come_as_far_apart_as_there_is_room() -> None:
    limits = Limits(Settings(handshake_rate=OF_ONE, handshake_rate_per_address=OF_ONE / 4))
    waits = [limits.wait_for_handshake(f"192.0.2.{each}", crowd=1.5) for each in range(OF_ONE)]
    assert [round(each, 1) for each in waits] == [1.5 * each for each in range(1, OF_ONE + 1)]
    assert all(not limits.wait_for_handshake(f"192.0.2.{each}") for each in range(100, 100 + 2 * OF_ONE))
    assert limits.wait_for_handshake("192.0.2.200") > 1.5 * OF_ONE, "there is one order for all who are told"


def test_one_address_leaves_times_to_the_others() -> None:
    limits, apart = Limits(Settings(handshake_rate=OF_ONE, handshake_rate_per_address=OF_ONE / 4)), 4 / OF_ONE
    for _ in range(10 * OF_ONE):
        limits.wait_for_handshake("192.0.2.1", crowd=apart)
    taken = limits.wait_for_handshake("192.0.2.2", crowd=apart) - apart
    assert taken <= 0.5, "it may open as many at once as come in all together in half a second"
