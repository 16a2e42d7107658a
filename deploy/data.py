"""The launcher's data folder: one launcher at a time, one format, and nothing left running from before."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

import psutil

from deploy.processes import MARK

FORMAT = 1
ROTATE_BYTES = 16 << 20
STRAY_GRACE_SECONDS = 10.0


class DataError(Exception):
    """The data folder can't be used. Its text is one line that says what to do; nothing was changed."""


class DataFolder:
    """`path` with `run/` (pid files), `log/`, the servers' own folders, a lock and a version file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version_file = path / "version.json"
        self._lock: IO[str] | None = None

    def lock(self) -> None:
        """Make the folder ours until this process ends; DataError if another launcher has it, or it can't be written.

        The system lets go of the lock when its holder ends, however it ends.
        """
        try:
            for folder in (self.path, self.path / "run", self.path / "log"):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise DataError(
                f"{self.path} can't be written ({error.strerror}): choose another folder, {EXAMPLE}"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise DataError(
                f"{self.path} is in use by a launcher (process {holder}): stop that one, or choose another folder"
                f" and port, {EXAMPLE}"
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def check_version(self, mongod: tuple[int, int] | None) -> None:
        """Refuse what another format or another mongod wrote, before either touches it; record ours otherwise.

        `mongod` is the version of the embedded one, or None if it is not used. A mongod may convert or reject
        the files of another version, and only the same one is sure to do neither.
        """
        known = self._known_version()
        if known.get("format", FORMAT) != FORMAT:
            raise DataError(f"{self.path} was made by another version of Guildwire: {MOVE_AWAY}")
        made_by = known.get("mongod")
        if mongod is not None:
            self._check_mongod(made_by, mongod)
            made_by = list(mongod)
        partial = self._version_file.with_suffix(".new")
        partial.write_text(json.dumps({"format": FORMAT, "mongod": made_by}) + "\n")
        partial.replace(self._version_file)

    def _check_mongod(self, made_by: list[int] | None, ours: tuple[int, int]) -> None:
        files = self.path / "mongod"
        if made_by is None and files.is_dir() and any(files.iterdir()):
            raise DataError(f"{files} was not made by this launcher: {MOVE_AWAY}")
        if made_by is not None and made_by != list(ours):
            theirs = ".".join(str(part) for part in made_by)
            raise DataError(
                f"{self.path} was made by mongod {theirs}, not {ours[0]}.{ours[1]}: use that one, or {MOVE_AWAY}"
            )

    def _known_version(self) -> dict[str, Any]:
        try:
            known = json.loads(self._version_file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            known = None
        if not isinstance(known, dict):
            raise DataError(f"{self._version_file} can't be understood: {MOVE_AWAY}")
        return known

    def rotate_logs(self) -> None:
        """Put large logs aside, one generation each: nothing grows for ever."""
        for log in (self.path / "log").glob("*.log"):
            if log.stat().st_size > ROTATE_BYTES:
                log.replace(log.with_suffix(".log.1"))

    def end_strays(self) -> int:
        """End the children that a launcher of this folder left running, and say how many there were.

        They are known by their environment, not by pid files: a pid may have been given out again.
        """
        strays = {process: env for process in psutil.process_iter() if (env := self._environment_if_ours(process))}
        # Services first, as in any stop: without NATS and MongoDB they could not end in order.
        _end([process for process, env in strays.items() if "ADMIN_FILE" in env])
        _end([process for process, env in strays.items() if "ADMIN_FILE" not in env])
        for file in [*(self.path / "run").glob("*.pid"), *(self.path / "run").glob("*.admin")]:
            file.unlink(missing_ok=True)
        return len(strays)

    def _environment_if_ours(self, process: psutil.Process) -> dict[str, str]:
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            return {}
        ours = process.pid != os.getpid() and environment.get(MARK) == str(self.path)
        return environment if ours else {}


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        _signal(process, kill=False)
    _, stubborn = psutil.wait_procs(processes, timeout=STRAY_GRACE_SECONDS)
    for process in stubborn:
        _signal(process, kill=True)
    psutil.wait_procs(stubborn, timeout=STRAY_GRACE_SECONDS)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    """Signal it; psutil makes sure that it is still the process that was looked at, not a later one of that id."""
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.Error:
        return


EXAMPLE = "for example make run DATA=.local2 PORT=8090"
MOVE_AWAY = f"move the folder away, or choose another, {EXAMPLE}"
