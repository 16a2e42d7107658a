"""What the documentation says becomes of a call, by who calls and by how their rights came to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.system.permission_table import Need, Row


class Kind(StrEnum):
    """Who calls. The two granted kinds have a role with exactly the rule that is needed."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    LOW_ADMINISTRATOR = "administrator who ranks lowest"
    GRANTED = "granted"
    OUTRANKED = "granted but lower rank"
    UNGRANTED = "not granted"
    STRANGER = "not a member"
    BANNED = "banned"


class Way(StrEnum):
    """How the rule reaches those it is granted to, or fails to."""

    BY_ROLE = "by role"
    ALLOWED_HERE = "allowed to the role in the channel alone"
    DENIED_HERE = "denied to the role in the channel"
    ALLOWED_TO_ALL = "allowed to everyone in the channel"
    DENIED_TO_ALL = "denied to everyone in the channel"
    RESTORED = "denied to everyone in the channel, allowed to the role"


OUTSIDE = {Kind.STRANGER, Kind.BANNED}
ADMINISTRATORS = {Kind.ADMINISTRATOR, Kind.LOW_ADMINISTRATOR}
RANKED_LOW = {Kind.OUTRANKED, Kind.LOW_ADMINISTRATOR}
HOLDERS = {
    Way.BY_ROLE: {Kind.GRANTED, Kind.OUTRANKED},
    Way.ALLOWED_HERE: {Kind.GRANTED, Kind.OUTRANKED},
    Way.DENIED_HERE: set[Kind](),
    Way.ALLOWED_TO_ALL: {Kind.GRANTED, Kind.OUTRANKED, Kind.UNGRANTED},
    Way.DENIED_TO_ALL: set[Kind](),
    Way.RESTORED: {Kind.GRANTED, Kind.OUTRANKED},
}


@dataclass(frozen=True)
class Outcome:
    reason: str
    needs: str | None = None

    @property
    def data(self) -> dict[str, Any]:
        return {"reason": self.reason} | ({"needs": self.needs} if self.needs else {})


OK, NOT_FOUND, FORBIDDEN = Outcome("ok"), Outcome("not_found"), Outcome("forbidden")


def expected(row: Row, kind: Kind, way: Way = Way.BY_ROLE) -> Outcome:
    if kind in OUTSIDE:
        return _outside(row, kind)
    if kind is Kind.OWNER:
        return Outcome(row.owner)
    if row.needs in {Need.OWNER, Need.AUTHOR}:
        return FORBIDDEN
    if row.needs in set(Need) or kind in ADMINISTRATORS | HOLDERS[way]:
        return FORBIDDEN if row.ranked and kind in RANKED_LOW else OK
    return NOT_FOUND if row.needs == "view_channel" else Outcome("forbidden", row.needs)


def _outside(row: Row, kind: Kind) -> Outcome:
    if row.needs == Need.ANYBODY or (row.needs == Need.NOT_BANNED and kind is Kind.STRANGER):
        return OK
    return FORBIDDEN if row.needs == Need.ACQUAINTED else NOT_FOUND
