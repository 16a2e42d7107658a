"""Settings: the client's own JSON, kept for all devices of a user. Served by presence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator

from shared.protocol.contract import Delta, Entity, Event, Method, Params
from shared.protocol.fields import Rev

LARGEST = 16 << 10
DEEPEST = 32
_RESERVED = "$ref"
"""MongoDB's drivers take an object with this key for a reference to a document."""


def _storable(settings: dict[str, Any]) -> dict[str, Any]:
    """What the journal can keep exactly as it came."""
    _check(settings, 1)
    if len(orjson.dumps(settings)) > LARGEST:
        raise ValueError(f"has more than {LARGEST} bytes")
    return settings


def _check(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"is nested deeper than {DEEPEST} levels")
    match value:
        case dict():
            for key, inner in value.items():
                if "\x00" in key or key == _RESERVED:
                    raise ValueError(f"has a key with a NUL character, or {_RESERVED}")
                _check(inner, depth + 1)
        case list():
            for inner in value:
                _check(inner, depth + 1)
        case int() if not -(2**63) <= value < 2**63:
            raise ValueError("has a whole number beyond 64 bits")


class Settings(Entity):
    """`settings` is what the client last gave, or `{}`."""

    settings: dict[str, Any]
    rev: int


class FullSettings(Settings):
    full: Literal[True] = True


class SettingsDelta(Delta[Settings, str]):
    """The settings, if they changed."""


class GetSettings(Params):
    since: Rev | None = None


class UpdateSettings(Params):
    """At most 16 KiB as compact JSON, 32 levels deep; no key may be `$ref` or hold a NUL character."""

    settings: Annotated[dict[str, Any], AfterValidator(_storable)]


class SettingsChanged(Event):
    settings: dict[str, Any]


GET_SETTINGS: Method[GetSettings, FullSettings | SettingsDelta] = Method(
    "get_settings", "presence", GetSettings, FullSettings, delta=SettingsDelta, reads="self:{me}"
)
UPDATE_SETTINGS = Method("update_settings", "presence", UpdateSettings, Settings)
