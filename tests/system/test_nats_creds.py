"""NATS_CREDS_FILE: a nats-server that lets in who has a JWT, with permissions in it instead of in users.conf."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.embedded import NatsServer
from deploy.nats.permissions import permissions
from shared.bus import Bus, Reply, Request
from shared.errors import Misconfigured
from shared.settings import Settings, SettingsError

_KINDS = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
_SEED = 18 << 3
_NO_LIMIT = {"subs": -1, "data": -1, "payload": -1}


@dataclass(frozen=True)
class Key:
    """An nkey (github.com/nats-io/nkeys)."""

    kind: str
    secret: Ed25519PrivateKey

    @classmethod
    def make(cls, kind: str) -> Key:
        return cls(kind, Ed25519PrivateKey.generate())

    @property
    def public(self) -> str:
        return _encoded(bytes([_KINDS[self.kind]]) + self.secret.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        kind = _KINDS[self.kind]
        return _encoded(bytes([_SEED | kind >> 5, (kind & 31) << 3]) + self.secret.private_bytes_raw())

    def says(self, of: Key, **nats: Any) -> str:
        """A JWT of that key, signed with this one (github.com/nats-io/jwt)."""
        claims = {
            "jti": of.public,
            "iat": int(time.time()),
            "iss": self.public,
            "name": of.kind,
            "sub": of.public,
            "nats": {**nats, "type": of.kind, "version": 2},
        }
        parts = [_url(orjson.dumps(each)) for each in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims)]
        return ".".join([*parts, _url(self.secret.sign(".".join(parts).encode()))])


def _encoded(raw: bytes) -> str:
    checksum = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + checksum).decode().rstrip("=")


def _url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


OPERATOR, ACCOUNT = Key.make("operator"), Key.make("account")


class JwtNats(NatsServer):
    def command(self) -> list[str]:
        argv = super().command()
        limits = {**_NO_LIMIT, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
        account = OPERATOR.says(ACCOUNT, limits=limits, default_permissions={})
        with Path(argv[-1]).open("a") as config:
            config.write(f"operator: {OPERATOR.says(OPERATOR)}\nresolver: MEMORY\n")
            config.write(f"resolver_preload: {{ {ACCOUNT.public}: {account} }}\n")
        return argv


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JwtNats]:
    running = JwtNats(tmp_path_factory.mktemp("nats"))
    running.start()
    yield running
    running.stop()


def creds(file: Path, part: str, by: Key = ACCOUNT) -> Path:
    """The file of a user who may do what the part may."""
    user, allowed = Key.make("user"), permissions(part)
    answers = {"resp": {"max": 1, "ttl": 70_000_000_000}} if "allow_responses" in allowed else {}
    jwt = by.says(user, pub=allowed["publish"], sub=allowed["subscribe"], **answers, **_NO_LIMIT)
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"*** secret ***\n\n-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    return file


def bus(server: JwtNats, part: str, file: Path | None) -> Bus:
    return Bus(Settings(name=part, nats_url=server.url, nats_creds_file=file), part)


async def test_parts_ask_and_answer(server: JwtNats, tmp_path: Path) -> None:
    gateway, guilds = (bus(server, part, creds(tmp_path / part, part)) for part in ("gateway", "guilds"))
    await gateway.connect()
    await guilds.connect()

    async def answer(request: Request) -> Reply:
        return Reply(request.payload, request.headers)

    await guilds.serve("rpc.guilds.add_server", "guilds", answer)
    for each in (gateway, guilds):
        await each.must_be_permitted()
    replied = await gateway.request("rpc.guilds.add_server", b"tea", {"status": "ok"}, 5)
    assert (replied.payload, replied.headers["status"]) == (b"tea", "ok")
    await gateway.publish("ev.server.s", b"{}")
    with pytest.raises(Misconfigured, match=r"ev\.server"):
        await gateway.must_be_permitted()
    await gateway.close()
    await guilds.close()


async def test_who_has_none_or_another_account_s_is_refused(server: JwtNats, tmp_path: Path) -> None:
    stranger = creds(tmp_path / "stranger", "gateway", by=Key.make("account"))
    for file in (None, stranger):
        with pytest.raises(Misconfigured, match=r"refuses the credentials in NATS_URL or NATS_CREDS_FILE"):
            await bus(server, "gateway", file).connect()


def test_what_is_no_such_file_is_named_before_anything_starts(tmp_path: Path) -> None:
    file = creds(tmp_path / "creds", "gateway")
    whole = file.read_text()
    assert Settings.load({"NATS_CREDS_FILE": str(file)}).nats_creds_file == file
    for text, said in ((whole[:100], "holds no NATS user's JWT"), (_one_letter_changed(whole), "is damaged")):
        file.write_text(text)
        with pytest.raises(SettingsError, match=f"^NATS_CREDS_FILE: .*{said}"):
            Settings.load({"NATS_CREDS_FILE": str(file)})


def _one_letter_changed(text: str) -> str:
    place = text.index("\nSU") + 20
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
