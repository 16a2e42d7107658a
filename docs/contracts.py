"""The contracts as the pages go through them: what is public, in the order of the modules that declare it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from docs.words import REFUSALS, TITLES
from shared import protocol
from shared.protocol import EVENTS, METHODS
from shared.protocol.contract import Audience, Event, Method
from shared.protocol.server import FullServer

Model = type[BaseModel]

ANY_METHOD = ("rate_limited", "unavailable", "internal")
"""Reasons for which anything may be refused."""

_OTHER_REPLIES: dict[str, Model] = {"get_server": FullServer}
"""A second normal form of a reply: a member's server has `me`, the one an invite leads to has not."""


@dataclass
class Section:
    """What one module of contracts declares: an entity with its methods and events."""

    title: str
    about: str
    module: str
    methods: list[Method[Any, Any]] = field(default_factory=list)
    events: list[type[Event]] = field(default_factory=list)


def public_methods() -> list[Method[Any, Any]]:
    return [method for method in METHODS.values() if not method.internal]


def public_events() -> list[type[Event]]:
    return [event for event in EVENTS.values() if event.audience != Audience.NOBODY]


def replies(method: Method[Any, Any]) -> list[Model]:
    """The forms a result may have: the normal ones, and the answer to a `since`."""
    other = _OTHER_REPLIES.get(method.name)
    return [model for model in (method.result, other, method.delta) if model is not None]


def reasons(method: Method[Any, Any]) -> list[str]:
    """Why it may be refused."""
    found = ["invalid_params"] if method.params.model_fields else []
    if not method.entrance:
        found.append("unauthenticated")
    return list(dict.fromkeys([*found, *REFUSALS.get(method.name, ()), *ANY_METHOD]))


def sections() -> list[Section]:
    """One for each module that declares something public, in the order in which the protocol lists them."""
    homes = {id(thing): module for module in _modules() for thing in vars(module).values() if _is_declared(thing)}
    found: dict[str, Section] = {}
    for method in public_methods():
        _section(found, homes[id(method)]).methods.append(method)
    for event in public_events():
        _section(found, homes[id(event)]).events.append(event)
    return list(found.values())


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(protocol.__path__, f"{protocol.__name__}."):
        yield importlib.import_module(found.name)


def _is_declared(thing: Any) -> bool:
    return isinstance(thing, Method) or (isinstance(thing, type) and issubclass(thing, Event) and thing is not Event)


def _section(found: dict[str, Section], module: ModuleType) -> Section:
    name = module.__name__.rpartition(".")[2]
    about, _, _ = (module.__doc__ or "").partition("\n")
    title = TITLES.get(name, f"{name.replace('_', ' ').capitalize()}s")
    return found.setdefault(name, Section(title, _without_server(about), module.__name__))


def _without_server(sentences: str) -> str:
    """Who serves something is not for those who use it."""
    return ". ".join(part for part in sentences.rstrip(".").split(". ") if not part.startswith("Served by")) + "."
