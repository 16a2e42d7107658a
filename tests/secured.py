"""NATS and MongoDB with a user for each part, for systems that tests start: the permissions of production.

The servers' own `url` is that of a tester who may do everything.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.credentials import PARTS, SERVICES, mongo_url, nats_passwords, nats_url
from deploy.embedded import REPLICA_SET, Mongod, NatsServer
from deploy.mongo.roles import make_role, make_user, role_of
from deploy.nats.permissions import users_conf

TESTER = "tester"
_AUTHENTICATION_FAILED = 18


def credentials_of(part: str) -> tuple[str, str]:
    """User and password."""
    return part, f"password-of-{part}"


def nats_authorization() -> str:
    """The block for nats-server's configuration."""
    passwords = nats_passwords(dict(map(credentials_of, PARTS)))
    user, password = credentials_of(TESTER)
    tester = f'  {{ user: {user}, password: "{password}" }}\n]\n'
    users = users_conf().replace('include "passwords.conf"', passwords).removesuffix("]\n") + tester
    return f"authorization {{\n{users}}}\n"


def make_users(client: MongoClient[dict[str, Any]], database: str) -> None:
    """The services' users of this database with their roles; the client must be allowed to make them."""
    for service in SERVICES:
        make_role(client, service, database)
        make_user(client, role_of(service, database), credentials_of(service)[1], service, database)


def environment_of(part: str, nats: Sequence[str], mongo: Sequence[str], database: str) -> dict[str, str]:
    """What a process of this part is told of these servers, each `host:port`."""
    env = {"NATS_URL": nats_url(*credentials_of(part), nats), "MONGO_DB": database}
    if part in SERVICES:
        env["MONGO_URL"] = mongo_url(role_of(part, database), credentials_of(part)[1], mongo)
    return env


def overstepped(log: Path) -> list[str]:
    """What processes said in the logs of this folder of what they tried and may not."""
    lines = (line for file in sorted(log.glob("*.log")) for line in file.read_text(errors="replace").splitlines())
    return [line for line in lines if "nats_forbidden" in line or "not authorized on" in line]


class SecuredNats(NatsServer):
    @property
    def url(self) -> str:
        return nats_url(*credentials_of(TESTER), [self.address])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        argv = super().command()
        with Path(argv[-1]).open("a") as config:
            config.write(nats_authorization())
        return argv


class SecuredMongod(Mongod):
    @property
    def url(self) -> str:
        return mongo_url(*credentials_of(TESTER), [self.address])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        key = self.home.parent / "mongod.key"
        if not key.exists():
            key.write_text(base64.b64encode(b"what members of a set know each other by").decode())
            key.chmod(0o600)
        return [*super().command(), "--keyFile", str(key)]

    def ready(self) -> bool:
        """On the way there also makes the tester: as long as there is nobody, whoever is local may."""
        with contextlib.suppress(PyMongoError), self._client() as anybody:
            if not (hello := anybody.admin.command("hello")).get("isWritablePrimary"):
                if "setName" not in hello:
                    config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": self.address}]}
                    anybody.admin.command("replSetInitiate", config)
                return False
            user, password = credentials_of(TESTER)
            try:
                with self._client(username=user, password=password) as tester:
                    return int(tester.admin.command("serverStatus")["pid"]) == self.pid
            except OperationFailure as error:
                if error.code == _AUTHENTICATION_FAILED:
                    anybody.admin.command("createUser", user, pwd=password, roles=["root"])
        return False

    def _client(self, **login: str) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            "127.0.0.1",
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=1000,
            socketTimeoutMS=5000,
            **login,  # type: ignore[arg-type]
        )
