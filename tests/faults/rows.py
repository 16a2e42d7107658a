"""How large the rows of docs/reliability.md are played: small by `make test`, whole by `make test-faults`."""

from __future__ import annotations

import os
from typing import TypeVar

FULL = os.environ.get("FAULTS") == "full"

Size = TypeVar("Size")


def sized(small: Size, full: Size) -> Size:
    return full if FULL else small
