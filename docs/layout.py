"""JSON as a person reads it: on one line where it fits, and else one member a line."""

from __future__ import annotations

import json
from typing import Any

WIDTH = 112


def layout(value: Any, indent: int = 0, before: int = 0) -> str:
    """`before`: characters that stand on the first line already."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + before + len(line) <= WIDTH or not value or not isinstance(value, dict | list):
        return line
    inner = indent + 2
    if isinstance(value, dict):
        keys = {name: f"{json.dumps(name)}: " for name in value}
        members = [keys[name] + layout(each, inner, len(keys[name]) + 1) for name, each in value.items()]
    else:
        members = [layout(each, inner, 1) for each in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(" " * inner + each for each in members) + f"\n{' ' * indent}{closing}"
