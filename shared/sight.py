"""What in a server's entries may have changed what one user sees: then nothing about it can be proved any more."""

from __future__ import annotations

from collections.abc import Iterable

from shared.journal.entry import Entry, happened


def sight_changed(changes: Iterable[Entry], user_id: str) -> bool:
    """Whether any of a server's entries may have changed what this user sees of its channels."""
    changes = list(changes)
    joined = (params["member"]["user"]["id"] for params in happened(changes, "member_added"))
    left = (params["user_id"] for params in happened(changes, "member_deleted"))
    return user_id in {*joined, *left}
