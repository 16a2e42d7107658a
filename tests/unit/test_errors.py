"""Each error's code, reason and data, as the protocol's table has them."""

from __future__ import annotations

import pytest

from shared import errors
from shared.errors import GuildwireError

TABLE: list[tuple[GuildwireError, int, str, set[str]]] = [
    (errors.ParseError("x"), -32700, "parse_error", set()),
    (errors.InvalidRequest("x"), -32600, "invalid_request", set()),
    (errors.MethodNotFound("x"), -32601, "method_not_found", set()),
    (errors.InvalidParams.of("name", "is taken"), -32602, "invalid_params", {"errors"}),
    (errors.Unauthenticated("x"), 4010, "unauthenticated", set()),
    (errors.Forbidden.lacking("manage_roles"), 4030, "forbidden", {"needs"}),
    (errors.NotFound("server"), 4040, "not_found", set()),
    (errors.Conflict("x", rev=3), 4090, "conflict", {"rev"}),
    (errors.RateLimited("x", retry_after_ms=5), 4290, "rate_limited", {"retry_after_ms"}),
    (errors.Unavailable(), 5030, "unavailable", set()),
    (errors.Internal("r1"), 5000, "internal", {"request_id"}),
]


@pytest.mark.parametrize(("error", "code", "reason", "more"), TABLE, ids=lambda value: getattr(value, "reason", None))
def test_the_wire_form(error: GuildwireError, code: int, reason: str, more: set[str]) -> None:
    wire = error.wire()
    assert (wire["code"], wire["data"]["reason"]) == (code, reason)
    assert set(wire["data"]) == {"reason"} | more


def test_the_table_has_every_error() -> None:
    assert {type(row[0]) for row in TABLE} == set(GuildwireError.__subclasses__())
