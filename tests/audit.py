"""Known holes in what requirements.lock pins: `python -m tests.audit`, a part of `make check`.

pip-audit finds "no known vulnerabilities" also where its service knows of no package at all, as behind a mirror that
passes on files alone. So it is asked first about a version with a hole that everybody knows of: where that one is not
reported, nothing has been audited, which is said and is no failure. `AUDIT_OSV_URL` names an OSV service to ask
(`https://api.osv.dev/v1/query`, or one of one's own) instead of PyPI.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
KNOWN_HOLE = "jinja2==2.10"
"""CVE-2019-10906."""

EXCEPTIONS: Mapping[str, str] = {}
"""By a hole's id, why it does us no harm."""

_TIMEOUT = "5"


class NoAnswer(Exception):
    """pip-audit came to no result; the text is what it said last."""


def audit(lock: Path) -> int:
    """Prints what was found; returns 1 for a hole, or a package that a working service doesn't know."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            example = Path(folder) / "requirements.txt"
            example.write_text(f"{KNOWN_HOLE}\n", encoding="utf-8")
            reported = any(each.get("vulns") for each in _asked(example))
        why = f"the service doesn't report the known hole in {KNOWN_HOLE}"
    except NoAnswer as error:
        reported, why = False, str(error)
    if not reported:
        _say(f"audit: NOT DONE, no vulnerability service can be reached: {why}")
        return 0
    try:
        packages = _asked(lock)
    except NoAnswer as error:
        _say(f"audit: broken off: {error}")
        return 1
    wrong = [line for package in packages for line in _complaints(package)]
    _say("\n".join(wrong) or f"audit: no known hole in {len(packages)} packages")
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _asked(requirements: Path) -> list[dict[str, Any]]:
    """pip-audit's findings, for each package either `vulns` or `skip_reason`."""
    service = os.environ.get("AUDIT_OSV_URL")
    argv = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--requirement", str(requirements)]
    argv += ["--format", "json", "--progress-spinner", "off", "--timeout", _TIMEOUT]
    argv += ["--vulnerability-service", "osv", "--osv-url", service] if service else []
    argv += [word for hole in EXCEPTIONS for word in ("--ignore-vuln", hole)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        raise NoAnswer((done.stderr.strip().splitlines() or ["it said nothing"])[-1]) from None
    return found


def _complaints(package: dict[str, Any]) -> list[str]:
    name = package["name"]
    if "skip_reason" in package:
        return [f"audit: {name} could not be audited: {package['skip_reason']}"]
    return [
        f"audit: {name} {package['version']} has {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'nothing'}"
        for hole in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(audit(LOCK))
