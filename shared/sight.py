"""What in a server's entries may have changed what one user sees: then nothing about it can be proved any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from shared.journal.entry import Entry, happened


def sight_changed(changes: Iterable[Entry], user_id: str, roles: Collection[str] | None = None) -> bool:
    """Whether any of a server's entries may have changed what this user sees of its channels.

    `roles` are those that the user has now, `everyone` among them; without them any role may be theirs. A role that
    was deleted may have been theirs in any case: that it was is no longer written anywhere. So may the server.
    """
    changes = list(changes)
    if happened(changes, "role_deleted", "server_closed"):
        return True
    joined = (params["member"]["user"]["id"] for params in happened(changes, "member_added"))
    left = (params["user_id"] for params in happened(changes, "member_deleted"))
    if user_id in {*joined, *left}:
        return True
    for params in happened(changes, "member_changed"):
        if params["user_id"] == user_id and "roles" in params["changes"]:
            return True
    for params in happened(changes, "role_changed"):
        if "rules" in params["changes"] and (roles is None or params["role_id"] in roles):
            return True
    overwritten = any("roles" in params["changes"] for params in happened(changes, "channel_updated"))
    return overwritten or any("owner_id" in params["changes"] for params in happened(changes, "server_updated"))
