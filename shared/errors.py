"""Every way a request can fail, as classes; one function turns any of them into the wire's error object.

A reason tells the client what to do next; the codes and reasons are the table in the wire protocol, section 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ValidationError


class GuildwireError(Exception):
    """An error a client may see. `message` is one sentence for a person; `data` always carries `reason`."""

    code: ClassVar[int]
    reason: ClassVar[str]

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    def wire(self) -> dict[str, Any]:
        """The JSON-RPC error object `{code, message, data}`."""
        return {"code": self.code, "message": self.message, "data": {"reason": self.reason, **self.data}}


class ParseError(GuildwireError):
    code, reason = -32700, "parse_error"


class InvalidRequest(GuildwireError):
    code, reason = -32600, "invalid_request"


class MethodNotFound(GuildwireError):
    code, reason = -32601, "method_not_found"


class InvalidParams(GuildwireError):
    code, reason = -32602, "invalid_params"

    @classmethod
    def of(cls, field: str, problem: str) -> InvalidParams:
        """One field that a check beyond the schema found wrong."""
        return cls(f"{field}: {problem}", errors=[{"field": field, "problem": problem}])

    @classmethod
    def from_validation(cls, error: ValidationError) -> InvalidParams:
        """What pydantic found, without the values: they may be secrets."""
        problems = [
            {"field": ".".join(str(part) for part in item["loc"]), "problem": item["msg"]}
            for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]
        ]
        first = problems[0]
        return cls(f"{first['field'] or 'params'}: {first['problem']}", errors=problems)


class Unauthenticated(GuildwireError):
    code, reason = 4010, "unauthenticated"


class Forbidden(GuildwireError):
    code, reason = 4030, "forbidden"

    @classmethod
    def lacking(cls, rule: str) -> Forbidden:
        return cls(f"This needs the permission {rule}.", needs=rule)


class NotFound(GuildwireError):
    """Does not exist, or may not be seen: the two must look alike in every field, so only the kind is told."""

    code, reason = 4040, "not_found"

    def __init__(self, kind: str) -> None:
        super().__init__(f"No such {kind}.")


class Conflict(GuildwireError):
    code, reason = 4090, "conflict"


class RateLimited(GuildwireError):
    code, reason = 4290, "rate_limited"


class Unavailable(GuildwireError):
    """A dependency is down or slow. The outcome is unknown to the client, who may retry with the same nonce."""

    code, reason = 5030, "unavailable"

    def __init__(self, message: str = "A part of the service is not answering; try again.") -> None:
        super().__init__(message)


class Internal(GuildwireError):
    code, reason = 5000, "internal"

    def __init__(self, request_id: str) -> None:
        super().__init__("Something went wrong on our side; it has been logged.", request_id=request_id)


class Misconfigured(Exception):
    """What this process was told is wrong, and to wait would not help: one line that says what to do."""


class LostRace(Exception):
    """Another writer committed first; nothing was written. The whole handler is run again, on fresh reads."""
