"""How a method and an event are declared: once, here, for gateway, services, documentation and SDKs alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

P = TypeVar("P", bound="Params")
R = TypeVar("R", bound=BaseModel)
E = TypeVar("E", bound="Entity")
K = TypeVar("K", str, int)


class Params(BaseModel):
    """What a client may send: nothing unknown, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Entity(BaseModel):
    """What we make: an undeclared field fails here, not at the client."""

    model_config = ConfigDict(extra="forbid")


class Empty(Entity):
    """Nothing more than that it was done."""


class Delta(Entity, Generic[E, K]):
    """The answer to `since`: what changed after it, and what is gone or no longer visible."""

    rev: int
    full: Literal[False] = False
    updated: list[E]
    deleted: list[K]


class NoParams(Params):
    """A method that takes none."""


class Audience(StrEnum):
    """Who, of those that hold the event's scope, is told. Anything unknown is told to nobody."""

    SCOPE = "scope"
    MEMBERS = "members"
    """Connections that loaded the server's members, and the member named by `user_id` in the event."""


@dataclass(frozen=True)
class Method(Generic[P, R]):
    """One method of the wire.

    `reads` is the scope a `get_*` reads, as a template over its params (`server:{server_id}`): while the call is
    under way that scope's events on the same connection wait.
    `delta` is the form of the reply to a `since`. `loads_members`: from its reply on, the connection hears the
    member events of the server named. `entrance` methods work before `authenticate`; `internal` ones are never
    reachable by a client.
    """

    name: str
    service: str
    params: type[P]
    result: type[R]
    delta: type[BaseModel] | None = None
    reads: str = ""
    loads_members: bool = False
    cost: float = 1
    entrance: bool = False
    internal: bool = False

    @property
    def subject(self) -> str:
        return f"rpc.{self.service}.{self.name}"


class Event(Entity):
    """One event of the wire; the class's name in snake case is the event's."""

    audience: ClassVar[Audience] = Audience.SCOPE
    name: ClassVar[str] = ""

    def users(self) -> dict[str, int]:
        """The whole users in it, with their revisions: who is told hears of them from then on."""
        return {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
