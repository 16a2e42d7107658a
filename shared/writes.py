"""What a change writes, said before it is done: `Transaction.apply` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Insert:
    collection: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Update:
    """Must match exactly one document, else the change it belongs to has lost a race."""

    collection: str
    filter: dict[str, Any]
    update: dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Upsert:
    """Updates the document that a unique key names, or makes it."""

    collection: str
    filter: dict[str, Any]
    update: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UpdateAll:
    """Every document that matches, none included."""

    collection: str
    filter: dict[str, Any]
    update: dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Delete:
    collection: str
    filter: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Every document that matches, none included."""

    collection: str
    filter: dict[str, Any]


Write = Insert | Update | Upsert | UpdateAll | Delete | DeleteAll
