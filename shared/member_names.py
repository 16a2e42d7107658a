"""By what members are found and ordered: their shown names, and the beginnings of all their names, in lower case.

Both stand in the member's document, so that a page of a large server is one walk along an index. A change of nick
(guilds) and a rename (presence) keep them.
"""

from __future__ import annotations

from shared.store import Document

LONGEST = 8
"""Beginnings longer than this are not kept: few members share so long a one."""


def name_key(nick: str | None, display_name: str) -> str:
    """What the list of members is ordered by: the shown name in lower case."""
    return (nick or display_name).lower()


def beginnings(*names: str | None) -> list[str]:
    """All beginnings of these names, up to `LONGEST` characters."""
    lowered = [name.lower()[:LONGEST] for name in names if name]
    return sorted({name[:length] for name in lowered for length in range(1, len(name) + 1)})


def named(nick: str | None, name: str, display_name: str) -> Document:
    """The fields of a member's document that come from names."""
    return {
        "nick": nick,
        "name_key": name_key(nick, display_name),
        "nick_prefixes": beginnings(nick),
        "prefixes": beginnings(nick, display_name, name),
    }


def renamed(name: str, display_name: str) -> list[Document]:
    """The update of every membership of a user who is shown by another name; where there is a nick, that stays."""
    # A name may begin with a $: as a literal it is no path of a field.
    key = {"$cond": [{"$eq": ["$nick", None]}, {"$literal": name_key(None, display_name)}, "$name_key"]}
    theirs = {"$literal": beginnings(display_name, name)}
    return [{"$set": {"name_key": key, "prefixes": {"$setUnion": ["$nick_prefixes", theirs]}}}]
