"""What can go wrong, as exceptions: one class per reason of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class GuildwireError(Exception):
    """Whatever this package raises."""


class Refused(GuildwireError):
    """The server answered with an error. `data` is what it said beside `message`."""

    reason: ClassVar[str] = ""

    def __init__(self, code: int, message: str, data: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = dict(data)


class InvalidRequest(Refused):
    """Also `parse_error`: a bug of this client."""

    reason = "invalid_request"


class MethodNotFound(Refused):
    reason = "method_not_found"


class InvalidParams(Refused):
    reason = "invalid_params"

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong, by field."""
        return {each["field"]: each["problem"] for each in self.data.get("errors", [])}


class Unauthenticated(Refused):
    """A bad name or password (it is not said which), or a token that is valid no more."""

    reason = "unauthenticated"


class Forbidden(Refused):
    reason = "forbidden"

    @property
    def needs(self) -> str | None:
        """The permission that is missing, where one is."""
        return self.data.get("needs")


class NotFound(Refused):
    """It does not exist, or may not be seen."""

    reason = "not_found"


class Conflict(Refused):
    reason = "conflict"


class RateLimited(Refused):
    reason = "rate_limited"

    @property
    def retry_after(self) -> float:
        """Seconds."""
        return float(self.data.get("retry_after_ms", 1000)) / 1000


class Unavailable(Refused):
    """Something the server depends on is down or slow. Whether the request took effect is unknown."""

    reason = "unavailable"


class Internal(Refused):
    reason = "internal"


class Disconnected(GuildwireError):
    """The connection ended, or none came about in time. Whether a request under way took effect is unknown."""


class TurnedAway(Disconnected):
    """The node takes no more connections for now, and says in how many seconds it may."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LoggedOut(GuildwireError):
    """The session was ended or its token refused: log in again."""


_REASONS = {each.reason: each for each in Refused.__subclasses__()}


def refusal(error: Mapping[str, Any]) -> Refused:
    """The exception for an error object of the wire; a reason that is not known yet is a plain `Refused`."""
    data = error.get("data") or {}
    kind = _REASONS.get(data.get("reason", ""), Refused)
    if data.get("reason") == "parse_error":
        kind = InvalidRequest
    return kind(error["code"], error["message"], data)
