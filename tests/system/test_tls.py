"""TLS to NATS and MongoDB: real servers with certificates, and processes that trust the right CA or another."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from deploy.embedded import REPLICA_SET, Mongod, NatsServer, free_port
from deploy.processes import Process, ProcessError, stop_all, wait_all_ready
from shared.bus import Bus
from shared.errors import Misconfigured
from shared.settings import Settings
from shared.store import Store
from tests.certificates import HOST, Authority
from tests.client import Client
from tests.rig import CHEAP_PASSWORDS, SERVICES, general

ELSEWHERE = "127.0.0.2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Authority:
    return Authority.make(folder / "ours.pem")


@pytest.fixture(scope="module")
def another(folder: Path) -> Authority:
    return Authority.make(folder / "another.pem")


class TlsNats(NatsServer):
    certificate: Path

    def command(self) -> list[str]:
        argv = super().command()
        with Path(argv[-1]).open("a") as config:
            config.write(f'tls {{ cert_file: "{self.certificate}", key_file: "{self.certificate}" }}\n')
        return argv


class TlsMongod(Mongod):
    authority: Authority
    certificate: Path

    def command(self) -> list[str]:
        tls = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(self.certificate)]
        trusts = ["--tlsCAFile", str(self.authority.file), "--tlsAllowConnectionsWithoutCertificates"]
        return [*super().command(), *tls, *trusts]

    def ready(self) -> bool:
        with contextlib.suppress(PyMongoError), self._client() as client:
            if client.admin.command("hello").get("isWritablePrimary"):
                return True
            self._configure(client)
        return False

    def _client(self) -> MongoClient[dict[str, object]]:
        return MongoClient(
            HOST, self.port, directConnection=True, serverSelectionTimeoutMS=1000, tlsCAFile=str(self.authority.file)
        )


@pytest.fixture(scope="module")
def nats(folder: Path, ours: Authority) -> Iterator[TlsNats]:
    server = TlsNats(folder)
    server.certificate = ours.sign(folder / "nats.pem")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mongod(folder: Path, ours: Authority) -> Iterator[TlsMongod]:
    server = TlsMongod(folder)
    server.authority, server.certificate = ours, ours.sign(folder / "mongod.pem")
    server.start()
    yield server
    server.stop()


def part(folder: Path, name: str, **env: str) -> Process:
    argv = [sys.executable, "-m", f"services.{name}"]
    return Process(name, argv, {"HOST": HOST, "PORT": str(free_port()), **env}, folder / "run")


def ending(process: Process) -> str:
    """How it ends by itself instead of becoming ready."""
    process.start()
    try:
        with pytest.raises(ProcessError) as raised:
            process.wait_ready(30)
        assert not process.running
        return str(raised.value)
    finally:
        process.stop()


async def test_all_parts_work_over_tls_alone(tmp_path: Path, nats: TlsNats, mongod: TlsMongod, ours: Authority) -> None:
    port = free_port()
    env = {
        "NATS_URL": nats.url,
        "NATS_CA_FILE": str(ours.file),
        "MONGO_URL": mongod.url,
        "MONGO_CA_FILE": str(ours.file),
        "PORT": str(port),
        **CHEAP_PASSWORDS,
    }
    parts = [part(tmp_path, name, **env) for name in (*SERVICES, "gateway")]
    try:
        for each in parts:
            each.start()
        await asyncio.to_thread(wait_all_ready, parts, 30)
        async with await Client.connect(f"ws://{HOST}:{port}/ws") as client:
            made = await client.call("register", name="ann", password="correct horse")
            await client.call("authenticate", token=made["token"])
            channel_id = await general(client, (await client.call("add_server", name="Tea house"))["id"])
            said = await client.call("add_message", channel_id=channel_id, content="over TLS")
            page = await client.call("get_message_chunk", channel_id=channel_id, amount=1, anchor=0, direction=False)
            assert page["messages"] == [said]
            heard = await client.event("message_added")
            assert heard.params["message"]["content"] == "over TLS"
    finally:
        await asyncio.to_thread(stop_all, parts)


def test_a_process_that_trusts_another_ca_ends_and_says_why(
    tmp_path: Path, nats: TlsNats, mongod: TlsMongod, another: Authority
) -> None:
    wrong = str(another.file)
    gateway = part(tmp_path, "gateway", NATS_URL=nats.url, NATS_CA_FILE=wrong)
    assert "ended with exit code 1: cannot_start: NATS's certificate was not signed by NATS_CA_FILE" in ending(gateway)
    guilds = part(tmp_path, "guilds", MONGO_URL=mongod.url, MONGO_CA_FILE=wrong)
    assert "cannot_start: MongoDB's certificate was not signed by MONGO_CA_FILE" in ending(guilds)


async def test_a_certificate_is_for_its_host_alone(folder: Path, ours: Authority) -> None:
    server = TlsNats(folder / "elsewhere")
    server.certificate = ours.sign(folder / "elsewhere.pem", host=ELSEWHERE)
    server.start()
    try:
        with pytest.raises(Misconfigured, match=r"not signed by NATS_CA_FILE for the host in NATS_URL"):
            await connect(server.url, ours.file)
    finally:
        server.stop()


@pytest.mark.parametrize("asks", ["NATS_CA_FILE", "tls://"])
async def test_to_a_nats_that_speaks_no_tls_nothing_is_said(asks: str, ours: Authority) -> None:
    """Nor where somebody in between says so in its place: least of all the password."""
    heard = bytearray()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.0","max_payload":8388608,"auth_required":true}\r\n')
        heard.extend(await reader.read())
        writer.close()

    server = await asyncio.start_server(plain, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"{'tls' if asks == 'tls://' else 'nats'}://gateway:secret@{HOST}:{port}"
        with pytest.raises(Misconfigured, match=r"NATS does not speak TLS"):
            await connect(url, ours.file if asks == "NATS_CA_FILE" else None)
    assert heard == b""


async def test_with_tls_no_server_is_reached_by_a_way_without(ours: Authority) -> None:
    with pytest.raises(Misconfigured, match=r"every server in NATS_URL must begin with tls:// or nats://"):
        await connect("nats://nowhere:4222,ws://nowhere:4222", ours.file)


async def test_to_a_mongod_that_speaks_no_tls_nothing_is_said(ours: Authority) -> None:
    heard = bytearray()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(plain, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"mongodb://guilds:secret@{HOST}:{port}/?replicaSet={REPLICA_SET}"
        store = Store(Settings(mongo_url=url, mongo_ca_file=ours.file))
        with pytest.raises(PyMongoError):
            await store.prepare(["journal"])
        store.close()
    assert heard
    assert heard[:2] == b"\x16\x03"  # a TLS handshake
    assert b"guilds" not in heard


async def connect(url: str, ca_file: Path | None) -> None:
    bus = Bus(Settings(nats_url=url, nats_ca_file=ca_file), "gateway")
    async with asyncio.timeout(15):
        await bus.connect()
