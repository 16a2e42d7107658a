"""The MongoDB of compose, as its one-shot job leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.errors import OperationFailure

from deploy.embedded import Mongod
from deploy.mongo.initiate import ELECTION_MILLISECONDS
from tests.manifests.replica_set import ReplicaSet
from tests.manifests.sources import Document

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


def test_the_services_user_can_do_what_services_do(replica_set: ReplicaSet) -> None:
    with replica_set.user() as client:
        database = client["guildwire"]
        database["journal"].create_index([("scope", 1), ("rev", 1)], unique=True)
        with (
            client.start_session() as session,
            session.start_transaction(write_concern=WriteConcern("majority", j=True)),
        ):
            database["journal"].insert_one({"scope": "server:1", "rev": 1}, session=session)
        stages: list[dict[str, Any]] = [{"$documents": [{"scope": "server:1"}]}]
        assert list(database.aggregate(stages)) == [{"scope": "server:1"}]
        assert (
            database["journal"].with_options(write_concern=WriteConcern(3, wtimeout=20_000)).insert_one({}).inserted_id
        )


def test_the_services_user_can_do_nothing_else(replica_set: ReplicaSet) -> None:
    with replica_set.user() as client:
        for command in ("usersInfo", "replSetGetConfig"):
            with pytest.raises(OperationFailure, match="not authorized"):
                client.admin.command(command)
        with pytest.raises(OperationFailure, match="not authorized"):
            client["other"]["things"].insert_one({})


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
