"""The page on what breaks and what must hold: the rows are here, their figures come from `make test-faults`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).resolve().parent / "reliability.json"

INTRODUCTION = """\
# What happens when things break

Each row is a fault, done to a running system under traffic, all of it real processes on one machine. Rows 1 to 6, 13,
14 and 18 are done to a whole installation: three gateways, two replicas of each service, a MongoDB replica set of three
and a NATS cluster of three, and TCP fault proxies between them. In the others one mongod and one nats-server serve, so
that the load is the clients'. In all of them each part has its own user on both, with the permissions of production,
and none may overstep them. The figures were written by `make test-faults`, which fails and takes figures away where
something does not hold; `make test` does the same at a smaller size. A row without figures was not measured yet.
"""


@dataclass(frozen=True)
class Row:
    fault: str
    must_hold: str


ROWS = {
    1: Row("`kill -9` a gateway", "no acknowledged message missing after resume, none doubled; reconnected p99 < 5 s"),
    2: Row(
        "`kill -9` a service mid-write; clients retry with the same nonce",
        "every acknowledgement durable, exactly one message per nonce, errors for < 2 s",
    ),
    3: Row(
        "kill the MongoDB primary",
        "nothing acknowledged lost, writes back < 15 s, meanwhile `unavailable` at once or within the deadline",
    ),
    4: Row(
        "kill a NATS node; cut all of NATS for 30 s with sockets up; a network that is slow, parted, deaf in one way",
        "interest back < 3 s; caches equal < 5 s after healing; sockets stay",
    ),
    5: Row(
        "SIGSTOP a gateway for 15 s",
        "the others' p99 < 2 times before; after SIGCONT equal < 10 s, no silent gap",
    ),
    6: Row(
        "drop, double and reorder 1% of entry hints, the very last one included",
        "caches equal within 10 s of the last change",
    ),
    7: Row("a service killed between commit and publish, 1,000 times", "1,000 seen < 5 s"),
    8: Row(
        "rolling restart of all gateways with drain, 3,000 clients",
        "none lost; drain ends inside its window; reconnects evenly spread",
    ),
    9: Row(
        "all clients reconnect within 10 s, 5,000 of them",
        "all online < 60 s; entity reads near 0 thanks to resume; loop lag p99 < 250 ms; handshakes above a cap get"
        " 503 with `Retry-After`",
    ),
    10: Row("100 readers at 1 KB/s among 2,000", "closed 4008 at the limit; the others' p99 + < 10%"),
    11: Row(
        "20,000 cycles of connect, load, disconnect",
        "interest, subscriptions and memory back to the start (± 1%)",
    ),
    12: Row(
        "kick, role taken, overwrite set, at 500 messages a second",
        "no forbidden entry after the permission's revision, in pushes, resume, history, counters",
    ),
    13: Row(
        "password change, `delete_session`, account deleted, with 3 sockets open",
        "closed p99 < 2 s; < 60 s even if the push was lost",
    ),
    14: Row(
        "presence: a gateway killed; one paused 30 s and continued; NATS gone 30 s",
        "the dead one's users offline for others within 20 s, in one bounded wave; who came back in time never"
        " flickered; the paused one's users right again < 10 s; with NATS gone nobody goes offline",
    ),
    15: Row(
        "deflate bomb, JSON 10,000 deep, 5 MB frame, half-open handshakes at a byte per 10 s, 1,000 requests a minute"
        " from one socket, 200 logins a second",
        "closed or refused as documented; memory + < 50 MB; others unaffected; Argon2's memory ≤ its cap",
    ),
    16: Row(
        "foreign `Origin`, token in the URL, operator injection in every field, extra fields, ids of other servers",
        "refused, no 5000, no token or password in any log line",
    ),
    17: Row(
        "disk full; the clock of all parts, or of some, jumps ± 1 h; MongoDB restored to yesterday with and"
        " without a new `epoch`",
        "refused cleanly; order kept; caches dropped; without one: the process stops and says why",
    ),
    18: Row(
        "a zone at once: one gateway, one replica of each service, one mongod, one NATS node",
        "as 1 to 4 together",
    ),
}


def measured() -> dict[str, Any]:
    """By row and test: `machine`, `on` (a date), and `figures`, each a name with a text."""
    try:
        read: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return read


def record(row: int, part: str, told: Mapping[str, Any]) -> None:
    """Keeps what a run has measured; a row may have several parts."""
    every = measured()
    every.setdefault(str(row), {})[part] = dict(told)
    _write(every)


def forget(row: int, part: str) -> None:
    """What did not hold this time has no figures."""
    every = measured()
    every.get(str(row), {}).pop(part, None)
    _write({number: parts for number, parts in every.items() if parts})


def _write(every: Mapping[str, Any]) -> None:
    ordered = {key: dict(sorted(every[key].items())) for key in sorted(every, key=int)}
    FIGURES.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def page() -> str:
    every = measured()
    lines = [INTRODUCTION, "| # | fault, under traffic | must hold | seen |", "|---|---|---|---|"]
    for number, row in ROWS.items():
        parts = every.get(str(number), {}).values()
        seen = [_shown(part) for part in parts]
        lines.append(f"| {number} | {row.fault} | {row.must_hold} | {'<br>'.join(seen) or 'not measured'} |")
    return "\n".join(lines) + "\n"


def _shown(part: Mapping[str, Any]) -> str:
    figures = "; ".join(f"{name} {value}" for name, value in part["figures"].items())
    return f"{figures} ({part['on']}, {part['machine']})"
