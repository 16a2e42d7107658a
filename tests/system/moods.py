"""How users say they are, and who may know of it, said once more and plainly; it shares no code with the system."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Glimpse:
    """A status that a user was shown to have, and as of which revision of theirs."""

    user_id: str
    status: str
    rev: int


class Moods:
    """Each choice of a status may be known to who was acquainted with its user at any time since it was made."""

    def __init__(self) -> None:
        self._chosen: dict[str, list[tuple[int, str]]] = defaultdict(lambda: [(0, "online")])
        """Each choice with the revision since when it stands."""
        self._known: dict[tuple[str, str], int] = {}
        """How many of another's choices a reader may know."""

    def choose(self, user_id: str, rev: int, status: str) -> None:
        if self._chosen[user_id][-1][1] != status:
            self._chosen[user_id].append((rev, status))

    def choice(self, user_id: str) -> str:
        """What the user's own devices show."""
        return self._chosen[user_id][-1][1]

    def shown(self, user_id: str) -> str:
        """What acquaintances see, of one who has a socket somewhere."""
        return _shown(self.choice(user_id))

    def seen(self, reader_id: str, user_id: str) -> None:
        """The two are acquainted now."""
        self._known[reader_id, user_id] = len(self._chosen[user_id])

    def leaked(self, reader_id: str, glimpses: Iterable[Glimpse]) -> list[Glimpse]:
        return [glimpse for glimpse in glimpses if not self._may_know(reader_id, glimpse)]

    def _may_know(self, reader_id: str, glimpse: Glimpse) -> bool:
        """One's own status is no secret, and neither is that somebody does not show theirs."""
        if glimpse.user_id == reader_id or glimpse.status == "offline":
            return True
        standing = [status for rev, status in self._chosen[glimpse.user_id] if rev <= glimpse.rev]
        known = self._known.get((reader_id, glimpse.user_id), 0)
        return len(standing) <= known and glimpse.status == _shown(standing[-1])


def glimpses(frame: Any) -> Iterator[Glimpse]:
    """Every status in a frame: of whole users wherever they stand in it, and of what changes in them."""
    match frame:
        case {"id": str(user_id), "status": str(status), "rev": int(rev)}:
            yield Glimpse(user_id, status, rev)
        case {"user_id": str(user_id), "changes": {"status": str(status)}, "rev": int(rev)}:
            yield Glimpse(user_id, status, rev)
        case dict():
            for each in frame.values():
                yield from glimpses(each)
        case list():
            for each in frame:
                yield from glimpses(each)


def _shown(status: str) -> str:
    return "offline" if status == "invisible" else status
