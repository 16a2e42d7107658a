"""The NATS servers of compose: their configuration as nats-server reads it, and as a cluster of three."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from deploy.credentials import NATS_HOSTS, write
from deploy.embedded import NATS_CONFIG
from shared.settings import Settings
from tests.manifests.cluster import CONFIG, cluster
from tests.manifests.sources import complaints, containers, nats_server

LARGE = 7 << 20
ALIKE = ("max_payload", "no_fast_producer_stall", "write_deadline")


def option(text: str, name: str) -> str:
    (found,) = re.findall(rf"^{name}: (.+)$", text, re.MULTILINE)
    return str(found)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    assert write(tmp_path / "secrets")
    return tmp_path / "secrets"


def test_nats_server_accepts_it(tmp_path: Path, secrets: Path) -> None:
    # As the container sees it: the configuration, with the password's file beside.
    (tmp_path / "authorization.conf").write_bytes((secrets / "nats-authorization.conf").read_bytes())
    (tmp_path / "nats.conf").write_bytes(CONFIG.read_bytes())
    assert complaints(nats_server(), "-t", "--config", tmp_path / "nats.conf") == ""


@pytest.mark.parametrize("name", ALIKE)
def test_it_is_as_the_embedded_one(name: str) -> None:
    assert option(CONFIG.read_text(), name) == option(NATS_CONFIG, name)


def test_the_server_takes_what_the_bus_lets_through() -> None:
    megabytes = option(CONFIG.read_text(), "max_payload").removesuffix("MB")
    assert int(megabytes) << 20 >= Settings().max_payload


def test_every_server_has_its_own_name_and_a_route_to_it() -> None:
    servers = {name: each for name, each in containers().items() if each["image"].startswith("nats:")}
    assert {each["command"][-1] for each in servers.values()} == set(servers)
    routes = re.findall(r"nats://([a-z0-9-]+):6222", CONFIG.read_text())
    assert sorted(routes) == sorted(servers) == sorted(host.partition(":")[0] for host in NATS_HOSTS)


async def test_three_are_one_cluster_that_asks_for_a_password(tmp_path: Path, secrets: Path) -> None:
    with cluster(tmp_path, secrets) as url:
        first, *_, last = url.split(",")
        listener, speaker = await _connect(first), await _connect(last)
        heard = await listener.subscribe("ev.test")
        await listener.flush()
        async with asyncio.timeout(20):
            message = await _first_heard(speaker, heard)
        assert len(message.data) == LARGE
        await listener.close()
        await speaker.close()
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await nats.connect(re.sub(r"//.*@", "//", first), allow_reconnect=False, error_cb=_ignore)


async def _first_heard(speaker: Client, heard: Subscription) -> Msg:
    """Repeats what is published until the servers have told each other who listens."""
    while True:
        await speaker.publish("ev.test", b"x" * LARGE)
        with contextlib.suppress(nats.errors.TimeoutError):
            return await heard.next_msg(timeout=0.2)


async def _connect(url: str) -> Client:
    async with asyncio.timeout(10):
        return await nats.connect(url, max_reconnect_attempts=50, error_cb=_ignore)


async def _ignore(_error: Exception) -> None:
    """It is not up yet, or refuses on purpose."""
