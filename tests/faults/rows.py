"""How large the rows of docs/reliability.md are played: small by `make test`, whole by `make test-faults`."""

from __future__ import annotations

import os
from typing import TypeVar

FULL = os.environ.get("FAULTS") == "full"

Size = TypeVar("Size")


def sized(small: Size, full: Size) -> Size:
    return full if FULL else small


ENV: dict[str, dict[str, str]] = sized(
    {
        "*": {"LEASE_BEAT": "1", "LEASE_EXPIRY": "4", "LEASE_QUIET": "6"},
        "gateway": {"DIGEST_INTERVAL": "8", "STATUS_GRACE": "4"},
    },
    {},
)
"""Of the installation that rows share: in a small run it soon loses patience."""
