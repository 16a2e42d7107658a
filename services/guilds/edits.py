"""What the `update_*` have in common: an entity changes where it really differs, and only if nobody was quicker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import Conflict
from shared.journal import Change
from shared.scopes import Scope
from shared.store import Document


def must_be_current(entity: Document, if_rev: int | None) -> None:
    """Raises Conflict, with the entity's revision, when it changed after the one the client knows."""
    if if_rev is not None and entity["rev"] > if_rev:
        raise Conflict("It has changed meanwhile; look at it again.", rev=entity["rev"])


def differing(entity: Document, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted otherwise than it is."""
    return {name: value for name, value in wanted.items() if entity[name] != value}


def rights_change(change: Change, scope: Scope) -> None:
    """Says that this change of the server may alter somebody's sight or rights.

    What is written to its channels from now on is judged anew, and delivered by nobody who does not know of it.
    """
    change.update("servers", {"_id": scope.id}, {"$set": {"perm_rev": change.rev(scope)}})


def once_each(rules: Sequence[str]) -> list[str]:
    """In the order they were sent."""
    return list(dict.fromkeys(rules))
