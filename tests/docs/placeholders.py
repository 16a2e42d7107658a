"""Stands in for what differs from one playing of a story to the next: ids, tokens, codes, dates.

The same id has the same stand-in throughout, given in the order in which entities first show theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_ID = re.compile(r"\b[0-9a-f]{24}\b")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

DATE = "2026-01-01T12:00:00.000Z"
LATER = "2026-01-02T12:00:00.000Z"
TIME = 1767268800000
EPOCH = "e0e0e0e0e0e0e0e0"


class Placeholders:
    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._secrets: dict[str, str] = {}

    def settled(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The steps as they are each time, without what was said aside."""
        settled = []
        for step in steps:
            for text in _own_ids(step):
                self._id(text)
            if "aside" not in step:
                settled.append({name: self._value("", value) for name, value in step.items()})
        return settled

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            made = {self._text(key): self._value(key, each) for key, each in value.items()}
            return dict(sorted(made.items())) if any(map(_ID.search, value)) else made
        if isinstance(value, list):
            listed = [self._value(name, each) for each in value]
            return sorted(listed, key=str) if _is_set(name, value) else listed
        if isinstance(value, str):
            return self._secret(name, value)
        return TIME if name == "time" else value

    def _secret(self, name: str, text: str) -> str:
        if name in {"token", "code", "invite", "anchor", "next_anchor"}:
            kind = "code" if name == "invite" else name
            return self._secrets.setdefault(text, f"example-{kind.replace('_', '-')}-{len(self._secrets) + 1}")
        if name == "epoch":
            return EPOCH
        if _DATE.fullmatch(text):
            return LATER if name == "expires_date" else DATE
        return self._text(text)

    def _text(self, text: str) -> str:
        return _ID.sub(lambda found: self._id(found.group()), text)

    def _id(self, text: str) -> str:
        return self._ids.setdefault(text, f"66f{len(self._ids) + 1:021x}")


def _is_set(name: str, value: list[Any]) -> bool:
    """What has no order of its own comes in that of its ids, which are random here."""
    return name in {"users", "read_states"} or all(isinstance(each, str) and _ID.search(each) for each in value)


def _own_ids(value: Any) -> Iterator[str]:
    """The ids that stand under a name of their own, in the order of the frames."""
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str) and (name == "id" or name.endswith("_id")) and _ID.fullmatch(each):
                yield each
            else:
                yield from _own_ids(each)
    elif isinstance(value, list):
        for each in value:
            yield from _own_ids(each)
