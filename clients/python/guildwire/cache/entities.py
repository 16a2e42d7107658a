"""How one entity takes a change: the rules of the protocol's section 2 that need no knowledge of what it is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

Entity = dict[str, Any]
"""A whole entity or what is known of it. Never changed in place: an app may be holding it."""


class Outcome(Enum):
    APPLIED = auto()
    IGNORED = auto()
    """Mine is as new already."""
    BEHIND = auto()
    """Mine is older than what the change is based on: ask again."""


def replaces(mine: Entity | None, whole: Mapping[str, Any]) -> bool:
    """A whole entity replaces mine if its rev is not older."""
    return mine is None or bool(whole["rev"] >= mine["rev"])


def change(mine: Entity, changes: Mapping[str, Any], was: int, rev: int) -> tuple[Entity, Outcome]:
    """My entity after a change from revision `was` to `rev`.

    The rev of an entity out of a list or a single reply may be that of its scope, later than its own last change; so
    mine is what the change is based on from `was` up to, but not including, `rev`.
    """
    if mine["rev"] >= rev:
        return mine, Outcome.IGNORED
    if mine["rev"] < was:
        return mine, Outcome.BEHIND
    return {**mine, **changes, "rev": rev}, Outcome.APPLIED
