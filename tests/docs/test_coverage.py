"""The list of rows and their tests says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from docs.contracts import public_events, public_methods
from tests.docs.coverage import problems
from tests.docs.rows import PATH, rows

ROOT = PATH.parents[2]


@pytest.mark.slow
def test_every_row_is_shown_by_a_test() -> None:
    """As `make protocol-coverage` does, in a process of its own: pytest can't collect within itself."""
    argv = [sys.executable, "-m", "tests.docs.coverage"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "0 problems\n"), done.stderr


def test_all_that_is_built_is_a_row() -> None:
    assert problems(rows(), {name: ["a test"] for name in rows()}) == []
    kinds = {name: kind for name, kind in rows().items() if name != "add_server"}
    assert problems(kinds, {name: ["a test"] for name in kinds}) == ["method add_server is in no row"]


def test_a_row_without_a_test_and_a_test_without_a_row_are_told() -> None:
    tests = {name: ["a test"] for name in rows() if name != "add_friend"} | {"no_such": ["tests/x.py::test_y"]}
    assert problems(rows(), tests) == [
        "method add_friend is shown by no test",
        "tests/x.py::test_y shows no_such, which is no row",
    ]


def test_a_method_and_an_event_are_not_taken_for_each_other() -> None:
    kinds = rows()
    assert {kinds[method.name] for method in public_methods()} == {"method"}
    assert {kinds[event.name] for event in public_events()} == {"event"}
