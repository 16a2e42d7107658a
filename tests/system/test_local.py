"""The launcher with real processes: what a person sees of `make run`, and what it leaves behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import TypeVar

import psutil
import pytest

from deploy.embedded import free_port
from deploy.options import OptionError, Options
from deploy.processes import MARK, ROOT

T = TypeVar("T")

DIRECT = [sys.executable, "-m", "deploy.local"]
NAMES = ["gateway-0", "gateway-1", "guilds-0", "messages-0", "presence-0", "mongod", "nats-server"]


def eventually(found: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """Poll until `found` gives something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError(f"after {seconds} s still not: {what}")


class Launcher:
    """One launcher, started by `argv`, with its output in a file."""

    def __init__(self, data: Path, port: int, argv: list[str]) -> None:
        self.data = data
        self.port = port
        self._output = data.parent / f"{data.name}.out"
        env = {**os.environ, "DATA": str(data), "PORT": str(port), "GATEWAYS": "2"}
        for name in ("GUILDS", "MESSAGES", "PRESENCE", "MONGO_URL", "NATS_URL"):
            env.pop(name, None)
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_ready(self) -> None:
        self.wait_for(f"ready: http://127.0.0.1:{self.port}")

    def wait_for(self, line: str) -> None:
        def said() -> bool:
            assert self.process.poll() is None, self.output
            return line in self.output.splitlines()

        eventually(said, f"the line {line!r} in {self.output}")

    def pid(self, name: str) -> int:
        return int((self.data / "run" / f"{name}.pid").read_text())

    def answers(self, name: str) -> bool:
        """Say whether that process calls itself ready, on its admin port."""
        try:
            return get(int((self.data / "run" / f"{name}.admin").read_text()), "/readyz") == 200
        except (OSError, ValueError):
            return False

    def children(self) -> list[psutil.Process]:
        """Every process that belongs to this launcher's data folder, however it was started."""
        return [process for process in psutil.process_iter() if marked(process, self.data)]

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        for child in self.children():
            child.kill()


def marked(process: psutil.Process, data: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(data)
    except psutil.Error:
        return False


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def two_free_ports() -> int:
    """Give a port that is free, as is the next one."""
    while True:
        first = free_port()
        with socket.socket() as second:
            try:
                second.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
            return first


def refused(data: Path, **options: str) -> str:
    """Run a launcher that must refuse to start, and give its one line."""
    env = {**os.environ, "DATA": str(data), "PORT": str(free_port()), **options}
    with subprocess.Popen(DIRECT, cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE, text=True) as launcher:
        try:
            out, error = launcher.communicate(timeout=20)
        finally:
            launcher.terminate()
    assert (launcher.returncode, out) == (1, ""), error
    line = error.removesuffix("\n")
    assert line.startswith("error: ")
    assert "\n" not in line
    return line


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """A system that was started the way a person does it."""
    launcher = Launcher(tmp_path_factory.mktemp("made") / "data", two_free_ports(), ["make", "--silent", "run"])
    try:
        launcher.wait_ready()
        yield launcher
    finally:
        launcher.clean_up()


def test_ready_means_that_every_process_is(running: Launcher) -> None:
    for name in NAMES:
        assert marked(psutil.Process(running.pid(name)), running.data), name
    for name in NAMES[:5]:
        assert running.answers(name), name
    assert get(running.port, "/readyz") == 200
    assert get(running.port + 1, "/readyz") == 200
    running.wait_for(f"also:  http://127.0.0.1:{running.port + 1}")


def test_data_in_use_is_refused_and_left_alone(running: Launcher) -> None:
    before = {name: running.pid(name) for name in NAMES}
    assert "is in use by a launcher (process " in refused(running.data)
    assert {name: running.pid(name) for name in NAMES} == before
    assert all(psutil.pid_exists(pid) for pid in before.values())


def test_a_taken_port_is_named(running: Launcher, tmp_path: Path) -> None:
    line = refused(tmp_path / "data", PORT=str(running.port - 1), GATEWAYS="2")
    assert f"port {running.port}: Address already in use" in line


def test_whoever_dies_is_started_again(running: Launcher) -> None:
    before = {name: running.pid(name) for name in NAMES}
    ports = {name: (running.data / "run" / f"{name}.port").read_text() for name in ("mongod", "nats-server")}
    killed = ["gateway-1", "messages-0", "mongod", "nats-server"]
    for name in killed:
        os.kill(before[name], signal.SIGKILL)
    for name in killed:
        running.wait_for(f"{name} is back")
        assert f"{name} ended by signal 9; starting it again in 0.1 s" in running.output
        assert running.pid(name) != before[name]
    for name in NAMES[:5]:
        eventually(lambda name=name: running.answers(name), f"{name} is ready again")  # type: ignore[misc]
    assert get(running.port + 1, "/readyz") == 200
    for name, port in ports.items():
        assert (running.data / "run" / f"{name}.port").read_text() == port


def test_what_a_killed_launcher_left_is_ended_and_nothing_else(tmp_path: Path) -> None:
    first = Launcher(tmp_path / "data", two_free_ports(), DIRECT)
    second: Launcher | None = None
    with subprocess.Popen(["sleep", "120"]) as stranger:
        try:
            first.wait_ready()
            first.process.kill()
            first.process.wait()
            left = first.children()
            assert len(left) == len(NAMES)
            (first.data / "run" / "guilds-0.pid").write_text(f"{stranger.pid}\n")

            second = Launcher(first.data, first.port, DIRECT)
            second.wait_ready()
            assert f"ended {len(NAMES)} processes that an earlier launcher left running" in second.output
            assert not any(process.is_running() for process in left)
            assert stranger.poll() is None

            second.process.terminate()
            assert second.process.wait(20) == 0
            assert second.children() == []
            assert not list((second.data / "run").glob("*.pid"))
            assert "Traceback" not in second.output
        finally:
            stranger.kill()
            for launcher in filter(None, (first, second)):
                launcher.clean_up()


def test_a_service_that_cannot_start_is_named_and_all_is_stopped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert "SERVICE_CONCURRENCY" in refused(data, SERVICE_CONCURRENCY="many")
    assert not any(marked(process, data) for process in psutil.process_iter())


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "mongod"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\necho 'mongod: error while loading shared libraries: libcurl.so.4: no file' >&2\nexit 127\n"
    )
    fake.chmod(0o755)
    line = refused(tmp_path / "data", PATH=f"{fake.parent}:{os.environ['PATH']}")
    assert "mongod lacks libcurl.so.4: install OpenSSL 3 and libcurl 4" in line


@pytest.mark.parametrize(
    ("version", "complaint"),
    [
        ({"format": 0}, "made by another version of Guildwire"),
        ({"format": 1, "mongod": [4, 4]}, "made by mongod 4.4"),
        ([], "can't be understood"),
        (None, "was not made by this launcher"),
    ],
)
def test_data_of_another_version_is_left_alone(tmp_path: Path, version: object, complaint: str) -> None:
    precious = tmp_path / "mongod" / "WiredTiger"
    precious.parent.mkdir()
    precious.write_text("precious")
    if version is not None:
        (tmp_path / "version.json").write_text(json.dumps(version))
    assert complaint in refused(tmp_path)
    assert [path.name for path in precious.parent.iterdir()] == ["WiredTiger"]
    assert precious.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("PORT", value) for value in ("99999", "0", "-1", "http", "8080.0", "9" * 5000)),
        *(("GATEWAYS", value) for value in ("x", "0", "65", "1e1")),
        ("PRESENCE", "many"),
        ("LIMITS", "maybe"),
        ("MONGO_URL", "127.0.0.1:27017"),
        ("MONGO_URL_FILE", "/nowhere/at/all"),
    ],
)
def test_options_are_checked(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=f"^{name}\\b"):
        Options.read({name: value})


def test_gateways_must_fit_below_the_highest_port() -> None:
    assert Options.read({"PORT": "65535"}).ports == range(65535, 65536)
    with pytest.raises(OptionError, match=r"^PORT must be a whole number from 1 to 65534"):
        Options.read({"PORT": "65535", "GATEWAYS": "2"})


def test_a_wrong_option_is_one_line(tmp_path: Path) -> None:
    assert refused(tmp_path, GATEWAYS="x") == "error: GATEWAYS must be a whole number from 1 to 64, not 'x'"
