"""The rows of the protocol's tables: `docs/protocol/rows.txt` has them all, also those that are not built yet."""

from __future__ import annotations

from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "docs" / "protocol" / "rows.txt"


def rows() -> dict[str, str]:
    """Each row with its kind: `method`, `event` or `http`."""
    lines = (line.strip() for line in PATH.read_text(encoding="utf-8").splitlines())
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return {name: kind for kind, _, name in pairs}
