"""A child process of the launcher or of a test: its log, its pid file, whether it is ready, and its end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# Every child carries its data folder in this variable: what a killed launcher left behind is known by it,
# however often process ids were given out again since.
MARK = "GUILDWIRE_DATA"

POLL_SECONDS = 0.05
TAIL_BYTES = 65_536


class ProcessError(Exception):
    """A child did not start, or ended. Its text is one line that says what to do."""


class Child(ABC):
    """One process, with `log/<name>.log` beside `run_dir` and `run_dir/<name>.pid`.

    `env` is added to this process's environment. Not thread-safe.
    """

    grace_seconds = 10.0
    quick_signal = signal.SIGTERM

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], run_dir: Path) -> None:
        self.name = name
        self.argv = list(argv)
        self.env = dict(env)
        self.run_dir = run_dir.resolve()
        self.log = self.run_dir.parent / "log" / f"{name}.log"
        self._pid_file = self.run_dir / f"{name}.pid"
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def ready(self) -> bool:
        """Say whether it can be used by now; takes a second at most, and raises nothing while it can't."""

    def start(self) -> None:
        """Start it for the first time."""
        self.spawn()

    def spawn(self) -> None:
        """Start the process, also again, and return at once; ProcessError if it can't be executed."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.env, MARK: str(self.run_dir.parent)}
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            try:
                # A session of its own: Ctrl-C goes to the launcher alone, which then stops all in order.
                self._popen = subprocess.Popen(
                    self.argv,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"{self.name} can't be started: {self.argv[0]}: {error.strerror}") from error
        partial = self._pid_file.with_suffix(".pid.new")
        partial.write_text(f"{self._popen.pid}\n")
        partial.replace(self._pid_file)

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def ending(self) -> str:
        """How it ended, in words, with the last thing its log says."""
        code = self._started().poll()
        if code is None:
            return "still running"
        how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = self.last_words()
        return f"{how}: {last}" if last and code > 0 else how

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Block until it is ready; ProcessError as soon as it has died, or after `timeout` seconds."""
        wait_all_ready([self], timeout)

    def terminate(self, signum: signal.Signals | None = None) -> None:
        """Ask it to stop, as quickly as it can unless `signum` says otherwise, without waiting."""
        if self.running:
            self._started().send_signal(signum or self.quick_signal)

    def stop(self, grace: float | None = None, signum: signal.Signals | None = None) -> None:
        """Stop it, with SIGKILL if it still runs after `grace` seconds. Does nothing when it has ended."""
        if self._popen is None:
            return
        self.terminate(signum)
        try:
            self._popen.wait(self.grace_seconds if grace is None else grace)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget_files()

    def kill(self) -> None:
        """End it at once, as a crash would; its files stay."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def last_words(self) -> str:
        """Find the line of its log, since its last start, that says best why it ended."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
            entries = [_log_entry(line) for line in lines]
            errors = [entry for entry in entries if entry.error]
            return (errors or entries)[-1].text[:500] if entries else ""
        return ""

    def _forget_files(self) -> None:
        self._pid_file.unlink(missing_ok=True)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise ProcessError(f"{self.name} was not started")
        return self._popen


class Process(Child):
    """One gateway or service. It tells its admin port by a file, and there whether it is ready."""

    # SIGTERM would have a gateway send its clients elsewhere first.
    quick_signal = signal.SIGINT

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], run_dir: Path) -> None:
        self._admin_file = run_dir.resolve() / f"{name}.admin"
        own = {"NAME": name, "ADMIN_PORT": "0", "ADMIN_FILE": str(self._admin_file)}
        super().__init__(name, argv, {**own, **env}, run_dir)

    @property
    def admin_port(self) -> int:
        """The port of `/readyz` and `/metrics`; ProcessError as long as it has not told."""
        try:
            return int(self._admin_file.read_text())
        except (OSError, ValueError):
            raise ProcessError(f"{self.name} has not told its admin port yet") from None

    def spawn(self) -> None:
        self._admin_file.unlink(missing_ok=True)
        super().spawn()

    def ready(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=1)
            with contextlib.closing(connection):
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.HTTPStatus.OK
        except (ProcessError, OSError, http.client.HTTPException):
            return False

    def _forget_files(self) -> None:
        super()._forget_files()
        self._admin_file.unlink(missing_ok=True)


def wait_all_ready(children: Collection[Child], timeout: float) -> None:
    """Block until all are ready; ProcessError as soon as one of them has died, or after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    waiting = list(children)
    while waiting:
        for child in children:
            if not child.running:
                raise ProcessError(f"{child.name} {child.ending}; log: {child.log}")
        waiting = [child for child in waiting if not child.ready()]
        if waiting and time.monotonic() > deadline:
            first = waiting[0]
            said = first.last_words() or "nothing"
            raise ProcessError(f"{first.name} is not ready after {timeout:g} s; it last said: {said}; log: {first.log}")
        if waiting:
            time.sleep(POLL_SECONDS)


def stop_all(children: Iterable[Child]) -> None:
    """Stop them side by side: the wait is that of the slowest, not of all together."""
    together = list(children)
    for child in together:
        child.terminate()
    for child in together:
        child.stop()


class _LogEntry(NamedTuple):
    text: str
    error: bool


def _log_entry(line: str) -> _LogEntry:
    """Make one line of a log readable, be it JSON, ours or mongod's, or plain text."""
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return _LogEntry(line, error=False)
    if not isinstance(entry, dict):
        return _LogEntry(line, error=False)
    attributes = entry.get("attr")
    told = attributes if isinstance(attributes, dict) else entry
    parts = [entry.get("msg") or entry.get("event"), *(told.get(key) for key in ("what", "error", "exception"))]
    text = ": ".join(str(part).strip().splitlines()[-1] for part in parts if part)
    return _LogEntry(text or line, error=str(entry.get("s") or entry.get("level")).upper() in _ERROR_LEVELS)


_ERROR_LEVELS = frozenset({"E", "F", "ERROR", "CRITICAL"})
