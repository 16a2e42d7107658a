"""What Prometheus is to read exists, once."""

from __future__ import annotations

from typing import Any

import yaml

from tests.manifests.sources import ROOT, SERVICES, containers, image_environment

NAMES = {"haproxy", "gateway-on-bus", *SERVICES}


def discovery() -> dict[str, Any]:
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    return dict(found)


def addresses(container: str) -> set[str]:
    """The networks on which Prometheus would find it."""
    return set(containers()[container]["networks"]) & set(containers()["prometheus"]["networks"])


def test_it_reads_every_part_once() -> None:
    assert set(discovery()["names"]) == NAMES
    assert all(len(addresses(name)) == 1 for name in NAMES - {"gateway-on-bus"})
    aliases = [network.get("aliases", []) for network in containers()["gateway"]["networks"].values()]
    assert sorted(aliases) == [[], ["gateway-on-bus"]]
    assert "bus" in addresses("gateway")


def test_it_reads_the_admin_port() -> None:
    assert str(discovery()["port"]) == image_environment()["ADMIN_PORT"]
    assert f"bind :{discovery()['port']}\n" in (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()
