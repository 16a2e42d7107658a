"""Frames to requests: nothing a client sends may raise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.jsonrpc import BATCH_LIMIT, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "x"])
VALUES = st.sampled_from(["2.0", "ping", "get_server", "identify", ""]) | JSON


def ask(**message: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", **message})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "parse_error"),
        ("{", "parse_error"),
        ("NaN", "parse_error"),
        ("[" * 10_000 + "]" * 10_000, "parse_error"),
        ("1", "invalid_request"),
        ("[]", "invalid_request"),
        (json.dumps({"method": "ping", "id": 1}), "invalid_request"),
        (ask(id=1), "invalid_request"),
        (ask(id=1, method=7), "invalid_request"),
        (ask(id=True, method="ping"), "invalid_request"),
        (ask(id={}, method="ping"), "invalid_request"),
        (ask(id=1, method="ping", params=3), "invalid_request"),
        (ask(id=1, method="ping", params=[]), "invalid_params"),
        (ask(id=1, method="nothing"), "method_not_found"),
        (ask(id=1, method="identify"), "method_not_found"),
        (json.dumps([{}] * (BATCH_LIMIT + 1)), "invalid_request"),
    ],
)
def test_what_is_wrong_becomes_an_answer(text: str, reason: str) -> None:
    [request] = parse(text).requests
    assert request.error is not None
    assert request.error.reason == reason
    assert request.answered


def test_a_notification_is_not_answered_even_when_wrong() -> None:
    [request] = parse(ask(method="nothing")).requests
    assert not request.answered


def test_an_id_of_null_is_an_id() -> None:
    [request] = parse(ask(method="ping", id=None)).requests
    assert request.answered


def test_a_batch_keeps_its_order_and_its_wrong_members() -> None:
    frame = parse(json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, 7]))
    assert frame.batch
    assert [request.error is None for request in frame.requests] == [True, False]


@given(st.text() | JSON.map(json.dumps) | st.dictionaries(KEYS, VALUES).map(json.dumps))
def test_nothing_raises(text: str) -> None:
    for request in parse(text).requests:
        assert (request.error is None) == (request.method is not None and isinstance(request.params, dict))
