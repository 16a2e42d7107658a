"""`make run`: the whole system on one machine, for development. `deploy/options.py` says what it can be told."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from types import FrameType

from deploy.data import DataError, DataFolder
from deploy.embedded import Mongod, NatsServer, Server, mongod_version, port_obstacle
from deploy.options import OptionError, Options
from deploy.processes import Child, Process, ProcessError, stop_all, wait_all_ready
from deploy.supervisor import Supervisor

CHECK_SECONDS = 0.1
READY_SECONDS = 60.0
OPEN_FILES = 65_536


class PortError(Exception):
    """A gateway's port can't be used. Its text is one line that says what to do."""


class Interrupt:
    """Ctrl-C, SIGTERM, or a terminal that was closed: the first one interrupts, what follows is ignored.

    It is kept as well as raised, since an exception gets lost where the interpreter can't pass it on.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.happened = False

    def install(self) -> None:
        """Raise KeyboardInterrupt in the main thread from now on; under nohup, not for a closed terminal."""
        for number in self.SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def ignore(self) -> None:
        """Let nothing disturb the orderly end."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.ignore()
        self.happened = True
        raise KeyboardInterrupt


class Local:
    """The embedded servers, the services and the gateways, as one."""

    def __init__(self, options: Options, data: DataFolder) -> None:
        self._options = options
        self._data = data
        self._servers: list[Server] = []
        self._services: list[Child] = []
        self._gateways: list[Child] = []

    def start(self) -> None:
        """Start everything, and return when all of it is ready; the error says what did not start, and why."""
        env = {"LIMITS": self._options.limits, "HOST": "127.0.0.1", "ADMIN_HOST": "127.0.0.1"}
        env |= self._start_servers()
        run_dir = self._data.path / "run"
        for service, count in self._options.replicas.items():
            for number in range(count):
                argv = [sys.executable, "-m", f"services.{service}"]
                self._services.append(Process(f"{service}-{number}", argv, env, run_dir))
        for number, port in enumerate(self._options.ports):
            argv = [sys.executable, "-m", "services.gateway"]
            self._gateways.append(Process(f"gateway-{number}", argv, {**env, "PORT": str(port)}, run_dir))
        for child in (*self._services, *self._gateways):
            child.start()
        wait_all_ready(self._children, READY_SECONDS)

    def keep_running(self, interrupt: Interrupt) -> None:
        """Start again whatever dies, until interrupted."""
        supervisor = Supervisor(self._children, say)
        while not interrupt.happened:
            supervisor.check()
            time.sleep(CHECK_SECONDS)

    def stop(self) -> None:
        """Stop everything, each layer before what it needs: gateways, services, servers."""
        stop_all(self._gateways)
        stop_all(self._services)
        stop_all(self._servers)
        # An interrupt may have come between the start of a child and our knowing of it.
        self._data.end_strays()

    @property
    def _children(self) -> list[Child]:
        return [*self._servers, *self._services, *self._gateways]

    def _start_servers(self) -> dict[str, str]:
        """Start those that are not replaced by a URL, and give the URLs as the environment of all others."""
        urls = {"MONGO_URL": self._options.mongo_url, "NATS_URL": self._options.nats_url}
        for variable, kind in (("MONGO_URL", Mongod), ("NATS_URL", NatsServer)):
            if urls[variable] is None:
                server = kind(self._data.path, avoid=self._options.ports)
                self._servers.append(server)
                server.start()
                urls[variable] = server.url
        return {variable: url for variable, url in urls.items() if url is not None}


def check_ports(ports: range) -> None:
    """Refuse before anything starts if a gateway could not listen."""
    for port in ports:
        if why := port_obstacle(port):
            raise PortError(f"port {port}: {why}; stop what listens there, or choose another: make run PORT=8090")


def prepare(options: Options) -> DataFolder:
    """Make the data folder ours, and clear away what a killed launcher left."""
    data = DataFolder(options.data)
    data.lock()
    data.check_version(mongod_version() if options.mongo_url is None else None)
    if ended := data.end_strays():
        say(f"ended {ended} processes that an earlier launcher left running")
    data.rotate_logs()
    check_ports(options.ports)
    return data


def raise_file_limit() -> None:
    """Let gateways hold more sockets than a shell's default allows, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def say(line: str) -> None:
    """Tell the person at the terminal, who may have gone away."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def run(interrupt: Interrupt) -> None:
    """Start everything, keep it running until interrupted, and stop it."""
    options = Options.read(os.environ)
    raise_file_limit()
    local = Local(options, prepare(options))
    try:
        local.start()
        say(f"ready: http://127.0.0.1:{options.port}")
        for port in options.ports[1:]:
            say(f"also:  http://127.0.0.1:{port}")
        local.keep_running(interrupt)
    finally:
        interrupt.ignore()
        local.stop()


def main() -> int:
    """Give the exit code: 0 after a wanted stop, 1 after an error, which takes one line on stderr."""
    interrupt = Interrupt()
    interrupt.install()
    try:
        run(interrupt)
    except KeyboardInterrupt:
        return 0
    except (OptionError, DataError, PortError, ProcessError, OSError) as error:
        with contextlib.suppress(OSError):
            print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
