"""Words that stand in one place each, and who may have heard them: whoever hears another's has been told too much."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable

_WORD = re.compile(r"word\d+x")


class Words:
    """A word may be heard by a user who has seen its place at any time since the word stood there."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._standing: dict[str, set[str]] = defaultdict(set)
        self._permitted: dict[int, set[str]] = defaultdict(set)

    def new(self, author: int) -> str:
        """A word of a user's own: one may make what one doesn't see, and is answered with it."""
        word = f"word{next(self._numbers)}x"
        self._permitted[author].add(word)
        return word

    def put(self, word: str, place: str) -> None:
        self._standing[place].add(word)

    def seen(self, user: int, places: Iterable[str]) -> None:
        """The user sees these places now, and all that stands there."""
        for place in places:
            self._permitted[user] |= self._standing.get(place, set())

    def leaked(self, user: int, texts: Iterable[str]) -> set[str]:
        heard = {word for text in texts for word in _WORD.findall(text)}
        return heard - self._permitted[user]
