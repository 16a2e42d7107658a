"""docker-compose.yml: the schema of compose files, and what a schema can't know."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from deploy.credentials import FOLDER, MONGO_HOSTS, NATS_HOSTS, PARTS, credentials
from deploy.mongo.initiate import SECRETS
from tests.manifests.sources import (
    COMPOSE,
    OURS,
    ROOT,
    SERVICES,
    Document,
    complaints,
    compose,
    containers,
    image_environment,
    module_of,
    our_containers,
    refused,
    settings_of,
    version,
)
from tests.manifests.stopping import longest_stop

EVERY = sorted(containers())
ONCE = "mongo-initiate"
EXACT_TAG = re.compile(r"v?\d+\.\d+\.\d+(-[a-z]+)?")


def names(entries: list[str | Document]) -> set[str]:
    """Of secrets or configs, written short or long."""
    return {entry if isinstance(entry, str) else entry["source"] for entry in entries}


def networks(container: Document) -> set[str]:
    return set(container.get("networks", []))


def seconds(duration: str) -> float:
    assert duration.endswith("s")
    return float(duration[:-1])


def test_the_schema_of_compose_files_accepts_it() -> None:
    assert (
        complaints(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE) == ""
    )


def test_every_part_has_a_container() -> None:
    parts = {"gateway", *SERVICES}
    assert {module_of(containers()[part]["command"]) for part in parts} == {f"services.{part}" for part in parts}
    assert set(our_containers()) == parts | {ONCE}
    assert containers()["gateway"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", sorted(our_containers()))
def test_environment_is_settings(name: str) -> None:
    assert refused({**image_environment(), **our_containers()[name].get("environment", {})}) == []


@pytest.mark.parametrize("part", PARTS)
def test_each_is_given_its_own_credentials_and_no_others(part: str) -> None:
    container = our_containers()[part]
    files = {value for variable, value in container["environment"].items() if variable.endswith("_FILE")}
    own = {f"nats-url-{part}"} | ({f"mongo-url-{part}"} if part in SERVICES else set())
    assert files == {f"/run/secrets/{name}" for name in own}
    assert names(container["secrets"]) == own


def test_the_job_that_makes_users_is_given_what_it_reads() -> None:
    read = {"mongo-root-password", *(f"mongo-url-{service}" for service in SERVICES)}
    assert names(containers()[ONCE]["secrets"]) == read
    assert str(SECRETS) == "/run/secrets"
    assert set(PARTS) == {"gateway", *SERVICES}


def test_secrets_are_those_that_are_made_for_it() -> None:
    declared = {name: Path(secret["file"]) for name, secret in compose()["secrets"].items()}
    assert {path.name for path in declared.values()} == set(credentials())
    assert {path.parent for path in declared.values()} == {FOLDER}
    assert {name for each in containers().values() for name in names(each.get("secrets", []))} == set(declared)


def test_configurations_exist_and_are_used() -> None:
    declared = compose()["configs"]
    assert all((ROOT / config["file"]).is_file() for config in declared.values())
    assert {name for each in containers().values() for name in names(each.get("configs", []))} == set(declared)


def test_a_gateway_can_t_reach_mongodb() -> None:
    gateway = containers()["gateway"]
    assert not [name for name in gateway["environment"] if name.startswith("MONGO")]
    assert not [name for name in names(gateway["secrets"]) if name.startswith("mongo")]
    assert not networks(gateway) & networks(containers()["mongo-0"])


def test_only_the_balancer_is_reached_from_outside() -> None:
    assert [name for name, each in containers().items() if "ports" in each] == ["haproxy"]
    assert networks(containers()["haproxy"]) == {"edge"}
    inside = {name for name, network in compose()["networks"].items() if network.get("internal")}
    assert inside == {"bus", "data"}
    assert {"edge"} == {network for each in containers().values() for network in networks(each)} - inside


@pytest.mark.parametrize("name", EVERY)
def test_it_is_confined(name: str) -> None:
    container = containers()[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    # Ours have a user in the image.
    assert name in our_containers() or str(container["user"]).partition(":")[0] not in {"", "0", "root"}
    assert "privileged" not in container


@pytest.mark.parametrize("name", EVERY)
def test_its_memory_and_its_logs_are_bounded(name: str) -> None:
    container = containers()[name]
    assert re.fullmatch(r"\d+[MG]", container["deploy"]["resources"]["limits"]["memory"])
    assert set(container["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", EVERY)
def test_it_is_watched_and_started_again(name: str) -> None:
    container = containers()[name]
    if name == ONCE:
        assert container["restart"] == "no"
        assert container["healthcheck"] == {"disable": True}
        return
    assert container["restart"] == "unless-stopped"
    # Ours have a health check in the image.
    assert ("healthcheck" in container) is (name not in our_containers())


@pytest.mark.parametrize("name", EVERY)
def test_it_waits_for_what_can_be_waited_for(name: str) -> None:
    for other, waits in containers()[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other == ONCE else "service_healthy"
        assert waits["condition"] == expected
        assert other in containers()


@pytest.mark.parametrize("name", EVERY)
def test_its_image_is_pinned(name: str) -> None:
    image, _, tag = containers()[name]["image"].rpartition(":")
    assert EXACT_TAG.fullmatch(tag), image
    assert (image == OURS) is ("build" in containers()[name])


def test_all_of_ours_are_the_same_image() -> None:
    assert {each["image"] for each in our_containers().values()} == {f"{OURS}:{version()}"}
    assert {each["build"]["dockerfile"] for each in our_containers().values()} == {"deploy/Dockerfile"}


@pytest.mark.parametrize("part", ["gateway", *SERVICES])
def test_it_is_given_the_time_that_it_needs_to_stop(part: str) -> None:
    settings = settings_of({**image_environment(), **containers()[part]["environment"]})
    assert seconds(containers()[part]["stop_grace_period"]) > longest_stop(part, settings) + 2


def test_addresses_are_containers_on_a_common_network() -> None:
    for host in MONGO_HOSTS:
        name, _, port = host.partition(":")
        assert port == "27017"
        assert networks(containers()[name]) & networks(containers()["guilds"])
    for host in NATS_HOSTS:
        assert networks(containers()[host.partition(":")[0]]) & networks(containers()["gateway"])
    assert tuple(containers()[ONCE]["command"][3:]) == MONGO_HOSTS
    assert containers()[ONCE]["network_mode"] == f"service:{MONGO_HOSTS[0].partition(':')[0]}"


def test_each_database_has_a_volume_of_its_own() -> None:
    volumes = [volume for name in EVERY for volume in containers()[name].get("volumes", [])]
    assert {volume.partition(":")[0] for volume in volumes} == set(compose()["volumes"])
    assert len(volumes) == len(set(volumes))
