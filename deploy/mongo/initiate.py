"""Makes fresh mongods a replica set with its users; run again, it finds all done: the one-shot job of compose.

    python -m deploy.mongo.initiate --secrets FOLDER mongo-0:27017 mongo-1:27017 mongo-2:27017

The folder holds `mongo-root-password`, and for each service `mongo-url-<service>` with its user and password.
It must reach the first of them as 127.0.0.1, because MongoDB lets only local connections make the first user (the
localhost exception of its manual, "Deploy Replica Set With Keyfile Authentication").
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import InvalidURI, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from deploy.mongo.roles import SERVICES, Client, make_role, make_user
from shared.settings import Settings, SettingsError

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.5
ELECTION_MILLISECONDS = 3_000
"""A primary that has been silent for so long is replaced. MongoDB waits for ten seconds: docs/decisions/032."""

ROOT = "root"
SECRETS = Path("/run/secrets")
_ALREADY_INITIALIZED, _AUTHENTICATION_FAILED, _UNAUTHORIZED = 23, 18, 13


class InitiateError(Exception):
    """One line that says what is wrong."""


class Job:
    """What is to be made: the set of `hosts`, user `root`, and the users of these URLs, by service, for `database`."""

    def __init__(self, hosts: Sequence[str], urls: Mapping[str, str], database: str, root_password: str) -> None:
        self._hosts = hosts
        self._users = {service: parse_uri(url) for service, url in urls.items()}
        named = {each["username"] for each in self._users.values() if each["username"] and each["password"]}
        sets = {each["options"].get("replicaSet") for each in self._users.values()}
        if len(named) < len(urls) or len(sets) > 1 or None in sets:
            raise InitiateError("every mongo-url-… must have a user of its own, a password and the same replicaSet=…")
        self._set = str(sets.pop())
        self._database = database
        self._root_password = root_password
        self._until = time.monotonic() + PATIENCE_SECONDS

    def run(self) -> None:
        """Raises InitiateError when it can't be done."""
        self._try(self._initiate, "the members to become a replica set")
        self._try(self._make_root, "the first user to be made")
        self._try(self._finish, "the primary")

    def _try(self, step: Callable[[], None], what: str) -> None:
        """Repeats the step while members start, vote or can't be reached."""
        while True:
            try:
                return step()
            except PyMongoError as error:
                if time.monotonic() > self._until:
                    raise InitiateError(f"waited in vain for {what}: {error}") from error
                time.sleep(PAUSE_SECONDS)

    def _initiate(self) -> None:
        """Only members that belong to no set and hold no data accept this, so it never splits one that exists."""
        # For a moment the first is preferred, so that it becomes the primary, on which users are made, and soon.
        members = [{"_id": n, "host": host, "priority": 2 if n == 0 else 1} for n, host in enumerate(self._hosts)]
        config = {"_id": self._set, "members": members, "settings": {"electionTimeoutMillis": 1000}}
        with self._local() as first:
            try:
                first.admin.command("replSetInitiate", config)
            except OperationFailure as error:
                # With users it may no longer be asked without a password, and then it was done before.
                if error.code not in {_ALREADY_INITIALIZED, _UNAUTHORIZED}:
                    raise

    def _make_root(self) -> None:
        if self._root_exists():
            return
        with self._local() as first:
            first.admin.command("createUser", ROOT, pwd=self._root_password, roles=["root"])

    def _root_exists(self) -> bool:
        """Whether it can log in, on the first member: while there are no users, nobody can."""
        with self._local(username=ROOT, password=self._root_password) as first:
            try:
                first.admin.command("ping")
            except OperationFailure as error:
                if error.code == _AUTHENTICATION_FAILED:
                    return False
                raise
            return True

    def _finish(self) -> None:
        """Gives the members equal chances and a patience for good, and each service's user its password and role."""
        client: Client = MongoClient(
            list(self._hosts),
            replicaSet=self._set,
            username=ROOT,
            password=self._root_password,
            serverSelectionTimeoutMS=5000,
        )
        with client:
            config = client.admin.command("replSetGetConfig")["config"]
            if any(member["priority"] != 1 for member in config["members"]):
                for member in config["members"]:
                    member["priority"] = 1
                config["settings"]["electionTimeoutMillis"] = ELECTION_MILLISECONDS
                config["version"] += 1
                client.admin.command("replSetReconfig", config)
            for service, each in self._users.items():
                make_role(client, service, self._database)
                make_user(client, each["username"], each["password"], service, self._database)

    def _local(self, **login: Any) -> Client:
        port = int(self._hosts[0].rpartition(":")[2])
        return MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=5000, **login)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="deploy.mongo.initiate", description="Make fresh mongods a replica set.")
    parser.add_argument("hosts", nargs="+", metavar="HOST:PORT")
    parser.add_argument("--secrets", type=Path, default=SECRETS, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        settings = Settings.load()
        password = (options.secrets / "mongo-root-password").read_text().strip()
        urls = {service: (options.secrets / f"mongo-url-{service}").read_text().strip() for service in SERVICES}
        Job(options.hosts, urls, settings.mongo_db, password).run()
    except (InitiateError, SettingsError, InvalidURI, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"replica set of {', '.join(options.hosts)} is ready")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
