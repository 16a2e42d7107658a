"""The MongoDB of compose, as its one-shot job leaves it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from deploy.embedded import Mongod
from deploy.mongo.initiate import ELECTION_MILLISECONDS
from shared.errors import Misconfigured
from shared.indexes import INDEXES
from shared.journal import Head
from shared.journal.reader import read_heads
from shared.ownership import ALSO_READ, ALSO_UPDATED, COMMON, EVERY, NEVER_CHANGED, OWN, made_by
from shared.settings import Settings
from shared.store import Store
from tests.manifests.replica_set import ReplicaSet
from tests.manifests.sources import SERVICES, Document

UNAUTHORIZED = 13

# Three mongods and an election.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_all_members_are_equal(replica_set: ReplicaSet) -> None:
    with replica_set.root() as client:
        config = client.admin.command("replSetGetConfig")["config"]
    assert config["settings"]["electionTimeoutMillis"] == ELECTION_MILLISECONDS
    assert [(member["host"], member["priority"], member["votes"]) for member in config["members"]] == [
        (host, 1, 1) for host in replica_set.hosts
    ]


def test_the_job_finds_all_done_the_second_time(replica_set: ReplicaSet) -> None:
    again = replica_set.initiate()
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_can_do_what_services_do(replica_set: ReplicaSet, service: str) -> None:
    with replica_set.user(service) as client:
        database = client["guildwire"]
        database["journal"].create_index([("scope", 1), ("rev", 1)], unique=True)
        with (
            client.start_session() as session,
            session.start_transaction(write_concern=WriteConcern("majority", j=True)),
        ):
            database["journal"].insert_one({"scope": f"server:{service}", "rev": 1}, session=session)
        assert (
            database["outbox"].with_options(write_concern=WriteConcern(3, wtimeout=20_000)).insert_one({}).inserted_id
        )


def test_each_changes_its_own_alone(replica_set: ReplicaSet) -> None:
    """Every service at every collection: what it may do there, as the table of decisions/006 says it."""
    may: dict[tuple[str, str], str] = {}
    for service in SERVICES:
        with replica_set.user(service) as client:
            for collection in EVERY:
                may[service, collection] = _done(client["guildwire"][collection])
    for (service, collection), done in may.items():
        assert done == _expected(service, collection), f"{service} can {done} {collection}"
    assert may["guilds", "messages"] == may["presence", "messages"] == may["messages", "sessions"] == ""
    assert may["messages", "servers"] == "find"
    assert may["messages", "users"] == "find update"


def _expected(service: str, collection: str) -> str:
    if collection in OWN[service] | COMMON:
        changes = "" if collection in NEVER_CHANGED else " update"
        return f"find{changes} insert remove index"
    if collection in ALSO_UPDATED[service]:
        return "find update"
    return "find" if collection in ALSO_READ[service] else ""


def _done(collection: Collection[Document]) -> str:
    """What of all this is not refused; it leaves an index behind, and nothing else."""
    attempts: dict[str, Callable[[], object]] = {
        "find": collection.find_one,
        "update": lambda: collection.update_one({"_id": "nobody"}, {"$set": {"x": 1}}),
        "insert": lambda: collection.insert_one({"_id": "x"}),
        "remove": lambda: collection.delete_one({"_id": "x"}),
        "index": lambda: collection.create_index([("x", 1)], name="x"),
    }
    done = [name for name, attempt in attempts.items() if _allowed(attempt)]
    return " ".join(done)


def _allowed(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return False
    return True


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_can_do_nothing_else(replica_set: ReplicaSet, service: str) -> None:
    with replica_set.user(service) as client:
        for command in ("usersInfo", "replSetGetConfig"):
            with pytest.raises(OperationFailure, match="not authorized"):
                client.admin.command(command)
        with pytest.raises(OperationFailure, match="not authorized"):
            client["other"]["things"].insert_one({})
        with pytest.raises(OperationFailure, match="not authorized"):
            client["guildwire"]["things"].insert_one({})
        with pytest.raises(OperationFailure, match="not authorized"):
            client["guildwire"].command("drop", next(iter(OWN[service])))


def test_nobody_comes_in_without_a_password(replica_set: ReplicaSet) -> None:
    with MongoClient[Document](replica_set.hosts, replicaSet="guildwire") as client:
        with pytest.raises(OperationFailure, match="requires authentication"):
            client["guildwire"]["journal"].find_one()
        with pytest.raises(OperationFailure, match="requires authentication"):
            client.admin.command("createUser", "mallory", pwd="x", roles=["root"])


def test_a_transaction_lives_as_long_as_in_the_embedded_one(replica_set: ReplicaSet, tmp_path: Path) -> None:
    name = "transactionLifetimeLimitSeconds"
    embedded = next(option for option in Mongod(tmp_path).command() if option.startswith(name))
    with replica_set.root() as client:
        assert embedded == f"{name}={client.admin.command({'getParameter': 1, name: 1})[name]}"


async def test_a_wrong_password_and_another_s_user_are_said_to_be_so(replica_set: ReplicaSet) -> None:
    """At the start, and instead of waiting for what would never come."""
    wrong = re.sub(r"//guilds:\w+@", "//guilds:wrong@", replica_set.urls["guilds"])
    for url, said in ((wrong, "refuses the user or the password"), (replica_set.urls["presence"], "lacks rights")):
        store = Store(Settings(mongo_url=url))
        with pytest.raises(Misconfigured, match=said):
            await store.prepare(made_by("guilds"))
        store.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_makes_its_own_collections_and_reads_heads(replica_set: ReplicaSet, service: str) -> None:
    store = Store(Settings(mongo_url=replica_set.urls[service]))
    await store.prepare(made_by(service))
    await store.epoch()
    assert await read_heads(store, ["server:nowhere", "self:nobody"]) == {
        "server:nowhere": Head(),
        "self:nobody": Head(),
    }
    assert await store.take_lease(f"test:{service}", "here", 1000) is False
    assert await store.take_lease(f"test:{service}", "here", 1000) is True
    store.close()


def test_indexes_are_of_collections_that_somebody_owns() -> None:
    assert set(INDEXES) <= EVERY
    assert len(EVERY) == len(COMMON) + sum(map(len, OWN.values()))
    for service in SERVICES:
        others = ALSO_READ[service] | ALSO_UPDATED[service]
        assert not others & (OWN[service] | COMMON)
        assert not ALSO_READ[service] & ALSO_UPDATED[service]
        assert others <= EVERY
    assert NEVER_CHANGED <= COMMON
