"""deploy/k8s/base as kustomize renders it: Kubernetes' own schemas, and what a schema can't know."""

from __future__ import annotations

import importlib
import re
import shutil
import textwrap
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from shared.admin import Admin
from shared.settings import Settings
from tests.manifests.sources import (
    BASE,
    OURS,
    ROOT,
    SERVICES,
    Document,
    containers,
    image_environment,
    labels,
    last_of,
    main_container,
    module_of,
    objects,
    of_kind,
    pod,
    pod_environment,
    refused,
    settings_of,
    version,
)
from tests.manifests.stopping import longest_stop

PARTS = ("gateway", *SERVICES)
OLDEST, NEWEST = "1.30", "1.37"
MIB = {"Mi": 1, "Gi": 1024}


def deployment(part: str) -> Document:
    return of_kind("Deployment")[part]


def mebibytes(quantity: str) -> int:
    return int(quantity[:-2]) * MIB[quantity[-2:]]


def ports(part: str) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in main_container(deployment(part))["ports"]}


def selects(selector: Document, part: str) -> bool:
    assert set(selector) <= {"matchLabels"}
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels(deployment(part)).items()


def selected(selector: Document) -> set[str]:
    return {part for part in PARTS if selects(selector, part)}


def replicas(part: str) -> int:
    """The least there are."""
    scaled = [each["spec"] for each in of_kind("HorizontalPodAutoscaler").values()]
    found: int = {each["scaleTargetRef"]["name"]: each["minReplicas"] for each in scaled}[part]
    return found


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
def test_kubernetes_own_schemas_accept_it(release: str) -> None:
    assert objects()
    assert [problem for each in objects() if (problem := violation(each, release))] == []


def violation(document: Document, release: str) -> str:
    """What the schemas of a release of Kubernetes say against it."""
    validator: Any = importlib.import_module("kubernetes_validate")
    try:
        validator.validate(document, release, strict=True)
    except validator.ValidationError as error:
        return f"{document['kind']} {document['metadata']['name']}: {error.message}"
    return ""


def test_every_part_has_a_deployment_in_our_namespace() -> None:
    assert set(of_kind("Deployment")) == set(PARTS)
    assert {module_of(main_container(deployment(part))["command"]) for part in PARTS} == {
        f"services.{part}" for part in PARTS
    }
    assert {each["metadata"].get("namespace") for each in objects() if each["kind"] != "Namespace"} == {OURS}
    assert set(of_kind("Namespace")) == {OURS}


def test_all_have_the_one_image() -> None:
    images = {main_container(deployment(part))["image"] for part in PARTS}
    assert images == {f"{OURS}:{version()}"} == {containers()[part]["image"] for part in PARTS}


@pytest.mark.parametrize("part", PARTS)
def test_environment_is_settings(part: str) -> None:
    assert refused(image_environment() | pod_environment(deployment(part))) == []


def test_the_overlay_of_the_page_says_where_the_image_is_and_whom_to_believe(tmp_path: Path) -> None:
    """The base believes nobody: it can't know which addresses are a balancer's, and which are any pod's."""
    assert all("TRUSTED_PROXIES" not in pod_environment(deployment(part)) for part in PARTS)
    page = (ROOT / "docs" / "running.md").read_text()
    found = re.search(r"^    # deploy/k8s/(overlays/mine)/kustomization.yaml\n((?:    .*\n)+)", page, re.MULTILINE)
    assert found is not None
    shutil.copytree(BASE, tmp_path / "base")
    overlay = tmp_path / found[1]
    overlay.mkdir(parents=True)
    (overlay / "kustomization.yaml").write_text(textwrap.dedent(found[2]))
    rendered = objects(overlay)
    (told,) = [each["data"] for each in rendered if each["kind"] == "ConfigMap" and "TRUSTED_PROXIES" in each["data"]]
    assert len(settings_of(told).trusted_proxies) == 2
    assert told["LOG_LEVEL"] == pod_environment(deployment("gateway"))["LOG_LEVEL"]
    images = {main_container(each)["image"] for each in rendered if each["kind"] == "Deployment"}
    assert images == {f"registry.example.com/{OURS}:{version()}"}


def test_services_are_told_what_the_gateway_is_and_more() -> None:
    """Kustomize replaces some lists where it merges others."""
    told = {part: pod_environment(deployment(part)).items() for part in PARTS}
    assert {part for part in PARTS if told["gateway"] < told[part]} == set(SERVICES)
    sources = [source for part in PARTS for source in main_container(deployment(part))["envFrom"]]
    assert {source["configMapRef"]["name"] for source in sources} == set(of_kind("ConfigMap"))


@pytest.mark.parametrize("part", PARTS)
def test_files_in_settings_are_secrets_that_are_mounted(part: str) -> None:
    container, volumes = (
        main_container(deployment(part)),
        {each["name"]: each for each in pod(deployment(part))["volumes"]},
    )
    mounted = set()
    for mount in container["volumeMounts"]:
        for item in volumes[mount["name"]].get("secret", {}).get("items", []):
            mounted.add(str(PurePosixPath(mount["mountPath"]) / item["path"]))
    environment = pod_environment(deployment(part))
    assert {value for name, value in environment.items() if name.endswith("_FILE")} == mounted
    assert mounted


def test_secrets_are_only_named_and_the_page_says_what_they_hold() -> None:
    assert not of_kind("Secret")
    page = (ROOT / "docs" / "running.md").read_text()
    for part in PARTS:
        secrets = [volume["secret"] for volume in pod(deployment(part))["volumes"] if "secret" in volume]
        own = {f"guildwire-nats-{part}"} | ({f"guildwire-mongo-{part}"} if part in SERVICES else set())
        assert {secret["secretName"] for secret in secrets} == own
        assert {item["key"] for secret in secrets for item in secret["items"]} == {"url"}
    for server, those in (("nats", PARTS), ("mongo", SERVICES)):
        assert f"for part in {' '.join(those)}; do" in page
        assert f"create secret generic guildwire-{server}-$part --from-file=url={server}-url-$part" in page


def test_a_gateway_knows_nothing_of_mongodb() -> None:
    gateway = deployment("gateway")
    assert not [name for name in pod_environment(gateway) if name.startswith("MONGO")]
    assert not [volume for volume in pod(gateway)["volumes"] if "mongo" in str(volume)]
    allowed = of_kind("NetworkPolicy")["services-to-mongodb"]["spec"]["podSelector"]
    assert selected(allowed) == set(SERVICES)


@pytest.mark.parametrize("part", PARTS)
def test_probes_ask_what_is_answered(part: str) -> None:
    container = main_container(deployment(part))
    answered = {route.resource.canonical for route in _admin_routes()}
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        request = container[probe]["httpGet"]
        assert request["path"] == path
        assert path in answered
        assert str(ports(part)[request["port"]]) == image_environment()["ADMIN_PORT"]


def _admin_routes() -> list[Any]:
    app = Admin(Settings(), lambda: True)._runner.app
    assert app is not None
    return list(app.router.routes())


def test_clients_reach_the_gateway() -> None:
    assert str(ports("gateway")["clients"]) == image_environment()["PORT"]
    assert set(map(str, ports("gateway").values())) == set(last_of("EXPOSE").split())
    service = of_kind("Service")["gateway"]["spec"]
    assert selected({"matchLabels": service["selector"]}) == {"gateway"}
    assert service["sessionAffinity"] == "None"
    assert {port["targetPort"] for port in service["ports"]} == {"clients"}


@pytest.mark.parametrize("part", PARTS)
def test_deployment_selects_its_own_pods(part: str) -> None:
    assert selected(deployment(part)["spec"]["selector"]) == {part}


@pytest.mark.parametrize("part", PARTS)
def test_it_is_confined(part: str) -> None:
    spec, container = pod(deployment(part)), main_container(deployment(part))
    assert spec["automountServiceAccountToken"] is False
    # Variables like PORT would be taken from Services of the namespace.
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}" == last_of("USER")
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert of_kind("Namespace")[OURS]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("part", PARTS)
def test_it_asks_for_what_it_needs(part: str) -> None:
    resources = main_container(deployment(part))["resources"]
    assert re.fullmatch(r"\d+m", resources["requests"]["cpu"])
    assert mebibytes(resources["requests"]["memory"]) <= mebibytes(resources["limits"]["memory"])


def test_password_hashes_fit_into_memory() -> None:
    limit = main_container(deployment("presence"))["resources"]["limits"]["memory"]
    settings = Settings()
    assert mebibytes(limit) >= settings.password_workers * settings.password_memory // 1024 + 256


def test_images_being_decoded_fit_into_memory() -> None:
    limit = main_container(deployment("guilds"))["resources"]["limits"]["memory"]
    settings = Settings()
    assert mebibytes(limit) >= settings.image_workers * settings.image_memory // (1 << 20) + 512


@pytest.mark.parametrize("part", PARTS)
def test_it_is_given_the_time_that_it_needs_to_stop(part: str) -> None:
    before = main_container(deployment(part)).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    longest = longest_stop(part, settings_of(image_environment() | pod_environment(deployment(part))))
    assert pod(deployment(part))["terminationGracePeriodSeconds"] > before + longest + 2


@pytest.mark.parametrize("part", PARTS)
def test_its_replicas_are_spread_and_never_all_taken(part: str) -> None:
    spread = pod(deployment(part))["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for each in spread:
        assert selects(each["labelSelector"], part)
        assert set(each["matchLabelKeys"]) - {"pod-template-hash"} <= set(labels(deployment(part)))
    budgets = [each["spec"] for each in of_kind("PodDisruptionBudget").values()]
    (budget,) = [each for each in budgets if selects(each["selector"], part)]
    assert selected(budget["selector"]) == {part}
    assert 0 < budget["maxUnavailable"] < replicas(part)


@pytest.mark.parametrize("part", PARTS)
def test_only_the_autoscaler_says_how_many(part: str) -> None:
    """A number in the Deployment would be set again by each `apply`."""
    assert "replicas" not in deployment(part)["spec"]
    assert replicas(part) >= 2
    targets = [each["spec"]["scaleTargetRef"] for each in of_kind("HorizontalPodAutoscaler").values()]
    assert targets.count({"apiVersion": "apps/v1", "kind": "Deployment", "name": part}) == 1


def test_all_that_is_not_allowed_is_forbidden() -> None:
    policies = {name: each["spec"] for name, each in of_kind("NetworkPolicy").items()}
    every = policies.pop("every-pod")
    assert every["podSelector"] == {}
    assert set(every["policyTypes"]) == {"Ingress", "Egress"}
    assert all("from" in rule for rule in every["ingress"])
    assert all("to" in rule and "ports" in rule for rule in every["egress"])
    assert selected(policies["clients-to-gateway"]["podSelector"]) == {"gateway"}
    assert set(policies) == {"clients-to-gateway", "services-to-mongodb"}


def test_policies_name_ports_that_exist() -> None:
    for policy in of_kind("NetworkPolicy").values():
        for rule in policy["spec"].get("ingress", []):
            named = {port["port"] for port in rule["ports"]}
            for part in selected(policy["spec"]["podSelector"]):
                assert named <= set(ports(part)), policy["metadata"]["name"]
