"""The passwords of compose are made once, and are for their owner."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from deploy.credentials import PARTS, credentials, write
from tests.manifests.sources import ROOT, SERVICES


def test_they_are_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert write(folder)
    before = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(before) == set(credentials())
    assert not write(folder)
    assert {file.name: file.read_text() for file in folder.iterdir()} == before


def test_only_their_owner_reaches_them_and_every_container_reads_its_own(tmp_path: Path) -> None:
    write(tmp_path / "secrets")
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o444}


def test_those_of_another_version_are_not_taken_for_these(tmp_path: Path) -> None:
    write(tmp_path / "secrets")
    (tmp_path / "secrets" / "nats-url-guilds").unlink()
    argv = [sys.executable, "-m", "deploy.credentials", str(tmp_path / "secrets")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "lacks nats-url-guilds: move it away" in done.stderr


def test_each_part_has_a_user_of_its_own() -> None:
    made = credentials()
    users = {part: set(re.findall(r"//(\w+):", made[f"nats-url-{part}"])) for part in PARTS}
    assert users == {part: {part} for part in PARTS}
    assert {part for part in PARTS if f"mongo-url-{part}" in made} == set(SERVICES)
    passwords = re.findall(r"[0-9a-f]{48}", "".join(map(str, made.values())))
    # NATS's stand with the servers and in a URL that names three of those, MongoDB's in one; root's and the cluster's.
    assert len(set(passwords)) == len(PARTS) + len(SERVICES) + 2


def test_no_two_are_alike() -> None:
    first, second = credentials(), credentials()
    assert not set(first.values()) & set(second.values())


def test_they_need_nothing_but_python(tmp_path: Path) -> None:
    """They are made before anything is installed."""
    argv = [sys.executable, "-S", "-m", "deploy.credentials", str(tmp_path / "secrets")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"{tmp_path / 'secrets'}: written\n"
