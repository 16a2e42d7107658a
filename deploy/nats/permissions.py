"""Who may do what on NATS, made of the contract: `make docs` writes it into users.conf, beside this file.

A part has a user of its name. What is not allowed here is forbidden. An answer is allowed once, and not for ever, to
whoever asked; the bus itself sends none to anything but an inbox (`shared/bus.py`).
"""

from __future__ import annotations

import json
from typing import Any, Final

from shared.affinity import announced_at
from shared.bus import FLUSHED, inbox_of
from shared.protocol import GATEWAY, JOURNAL, SERVICES
from shared.protocol.account import SESSION_ENDED_SUBJECT
from shared.scopes import subjects_of

PARTS: Final = (GATEWAY, *SERVICES)

WRITES: Final[dict[str, tuple[str, ...]]] = {
    "guilds": ("server", "channel", "self"),
    "messages": ("channel", "self"),
    "presence": ("user", "self"),
}
"""The kinds of scopes of which each service publishes entries."""

ALSO_PUBLISHES: Final[dict[str, tuple[str, ...]]] = {"presence": (SESSION_ENDED_SUBJECT,)}
ANSWER_WITHIN: Final = "70s"
"""Longer than any REQUEST_TIMEOUT."""

_HEAD = """\
# Made by `make docs` from the code: changes made here are lost. Who may do what on NATS; what is not allowed is
# forbidden. passwords.conf sets `gateway: "…"` and so on.

include "passwords.conf"

users: [
"""


def permissions(part: str) -> dict[str, Any]:
    """As nats-server's configuration has them."""
    return _of_gateway() if part == GATEWAY else _of_service(part)


def users_conf() -> str:
    """The whole of users.conf."""
    users = "".join(
        f"  {{\n    user: {part}\n    password: ${part}\n    permissions: {_indented(permissions(part))}\n  }}\n"
        for part in PARTS
    )
    return f"{_HEAD}{users}]\n"


def _of_gateway() -> dict[str, Any]:
    """Asks, and hears; publishes nothing that anybody would take for an entry or an answer."""
    asks = [subject for service in (*SERVICES, JOURNAL) for subject in _methods_of(service)]
    hears = sorted({subjects_of(kind) for kinds in WRITES.values() for kind in kinds})
    others = [subject for subjects in ALSO_PUBLISHES.values() for subject in subjects]
    return {
        "publish": {"allow": [*asks, FLUSHED]},
        "subscribe": {"allow": [*hears, *others, *map(announced_at, SERVICES), f"{inbox_of(GATEWAY)}.>"]},
    }


def _of_service(service: str) -> dict[str, Any]:
    """Serves its own methods, and publishes what its writers commit."""
    publishes = [subjects_of(kind) for kind in WRITES[service]]
    serves = [*_methods_of(service), *_methods_of(JOURNAL)]
    return {
        "publish": {"allow": [*publishes, *ALSO_PUBLISHES.get(service, ()), announced_at(service), FLUSHED]},
        "subscribe": {"allow": [*serves, f"{inbox_of(service)}.>"]},
        "allow_responses": {"max": 1, "expires": ANSWER_WITHIN},
    }


def _methods_of(service: str) -> list[str]:
    """The service's methods; each also at a single replica, as is whether that lives."""
    return [f"rpc.{service}.*", f"rpc.{service}.*.*"]


def _indented(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2).replace("\n", "\n    ")
