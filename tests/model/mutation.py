"""A guard of production's algorithm, and the edit that takes it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.model.production import Edits

W = TypeVar("W")


@dataclass(frozen=True)
class Mutation(Generic[W]):
    """`weather` is the one that shows that the guard is gone."""

    guard: str
    weather: W
    edits: Edits

    def __str__(self) -> str:
        return self.guard.replace(" ", "-")


def edit(module: str, *edits: tuple[str, str]) -> Edits:
    return {module: edits}
