"""The NATS servers of compose: their configuration as nats-server reads it, and as a cluster of three."""

from __future__ import annotations

import ast
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

from deploy.credentials import NATS_HOSTS, PARTS, write
from deploy.embedded import NATS_CONFIG
from shared.settings import Settings
from tests.manifests.cluster import CONFIG, MADE, USERS, cluster, include
from tests.manifests.sources import complaints, compose, containers, nats_server

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
    include(tmp_path, secrets)
    (tmp_path / "nats.conf").write_bytes(CONFIG.read_bytes())
    assert complaints(nats_server(), "-t", "--config", tmp_path / "nats.conf") == ""


def test_the_containers_see_it_so() -> None:
    """The configuration in a folder with all that it includes, the secrets under their names there."""
    (nats,) = {str((each["configs"], each["secrets"])) for each in containers().values() if "nats:" in each["image"]}
    mounted = {Path(each["target"]): each["source"] for part in ast.literal_eval(nats) for each in part}
    files = {path: {**compose()["configs"], **compose()["secrets"]}[source]["file"] for path, source in mounted.items()}
    assert {path.parent for path in files} == {Path("/etc/nats")}
    made = {name: f"nats-{name}" for name in MADE}
    assert {path.name: Path(file).name for path, file in files.items()} == {
        CONFIG.name: CONFIG.name,
        USERS.name: USERS.name,
        **made,
    }


@pytest.mark.parametrize("name", ALIKE)
def test_it_is_as_the_embedded_one(name: str) -> None:
    assert option(CONFIG.read_text(), name) == option(NATS_CONFIG, name)


def test_the_server_takes_what_the_bus_lets_through() -> None:
    megabytes = option(CONFIG.read_text(), "max_payload").removesuffix("MB")
    assert int(megabytes) << 20 >= Settings().max_payload


def test_every_server_has_its_own_name_and_a_route_to_it(secrets: Path) -> None:
    servers = {name: each for name, each in containers().items() if each["image"].startswith("nats:")}
    assert {each["command"][-1] for each in servers.values()} == set(servers)
    routes = re.findall(r"nats://server:[0-9a-f]{48}@([a-z0-9-]+):6222", (secrets / "nats-cluster.conf").read_text())
    assert sorted(routes) == sorted(servers) == sorted(host.partition(":")[0] for host in NATS_HOSTS)


async def test_three_are_one_cluster_that_asks_for_passwords(tmp_path: Path, secrets: Path) -> None:
    with cluster(tmp_path, secrets) as urls:
        assert set(urls) == set(PARTS)
        first = urls["gateway"].split(",")[0]
        listener, speaker = await _connect(first), await _connect(urls["guilds"].split(",")[-1])
        heard = await listener.subscribe("ev.server.*")
        await listener.flush()
        async with asyncio.timeout(20):
            message = await _first_heard(speaker, heard)
        assert len(message.data) == LARGE
        await listener.close()
        await speaker.close()
        for nobody in ("//", "//gateway:wrong@", "//guildwire:@"):
            with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
                await nats.connect(re.sub(r"//.*@", nobody, first), allow_reconnect=False, error_cb=_ignore)


async def test_nobody_passes_for_a_server(tmp_path: Path, secrets: Path) -> None:
    """Who might would be believed whatever it says that clients said."""
    with cluster(tmp_path, secrets) as urls:
        await (await _connect(urls["gateway"].split(",")[0])).close()
        port = re.findall(r'listen: "127.0.0.1:(\d+)"', (tmp_path / "nats-0.conf").read_text())[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(b'CONNECT {"verbose":false,"name":"mallory","headers":true}\r\nPING\r\n')
        async with asyncio.timeout(10):
            said = await reader.read()
        assert b"Authorization Violation" in said
        assert b"PONG" not in said
        writer.close()


async def _first_heard(speaker: Client, heard: Subscription) -> Msg:
    """Repeats what is published until the servers have told each other who listens."""
    while True:
        await speaker.publish("ev.server.1", b"x" * LARGE)
        with contextlib.suppress(nats.errors.TimeoutError):
            return await heard.next_msg(timeout=0.2)


async def _connect(url: str) -> Client:
    async with asyncio.timeout(10):
        return await nats.connect(url, max_reconnect_attempts=50, error_cb=_ignore)


async def _ignore(_error: Exception) -> None:
    """It is not up yet, or refuses on purpose."""
