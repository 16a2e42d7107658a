"""How a method and an event are declared: once, here, for gateway, services, documentation and SDKs alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

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


class Changes(Params):
    """The fields to change, and no others. What may be cleared is declared as optional; else null is refused."""

    def wanted(self) -> dict[str, Any]:
        """What was sent, as documents keep it."""
        return self.model_dump(include=self.model_fields_set)


def unsent() -> Any:
    """The default of a field of `Changes` that can't be null: it stands for what was not sent."""
    return Field(default=None)


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
    NOBODY = "nobody"
    """No client: the gateways alone act upon it."""
    MEMBERS = "members"
    """Connections that loaded the server's members, and the member named by `user_id` in the event."""
    VIEWERS = "viewers"
    """Who sees the channel or category it is about, before and after. Coming into sight and going out of it is told
    by each gateway as `channel_added` and `channel_deleted`, whatever caused it."""
    ACQUAINTANCES = "acquaintances"
    """Those to whom a user's status is shown: the user, who shares a server, and whom the event's facts name."""
    OWN = "own"
    """The user who is told more of it than others, where to others it would say nothing."""


@dataclass(frozen=True)
class Method(Generic[P, R]):
    """One method of the wire.

    `reads` is the scope a `get_*` reads, as a template over its params (`server:{server_id}`; `{server_of}` is the
    server of the channel named): while the call is under way that scope's events on the same connection wait.
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
    """One event of the wire; the class's name in snake case is the event's. One not `scoped` is in no journal."""

    audience: ClassVar[Audience] = Audience.SCOPE
    scoped: ClassVar[bool] = True
    name: ClassVar[str] = ""

    _facts: dict[str, Any] = PrivateAttr(default_factory=dict)

    def judged_by(self, **facts: Any) -> Self:
        """Adds what was so before, by which it is judged who is to be told; nobody is told of it."""
        self._facts.update(facts)
        return self

    @property
    def facts(self) -> dict[str, Any]:
        return self._facts

    def users(self) -> dict[str, int]:
        """The whole users in it, with their revisions: who is told hears of them from then on."""
        return {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
