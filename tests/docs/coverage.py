"""Lists the rows of the protocol with the tests that show them, and fails when a row has none.

`make protocol-coverage`. A test says which rows it shows with `@pytest.mark.protocol("add_server", "server_added")`:
the reply, the events at the others, the stored documents. pytest itself collects them.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import defaultdict
from collections.abc import Mapping

import pytest

from docs.contracts import public_events, public_methods
from tests.docs.rows import rows


class Shown:
    """What pytest collected: for each row the tests that are marked with it."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            test = item.nodeid.partition("[")[0]
            for name in (name for mark in item.iter_markers("protocol") for name in mark.args):
                if test not in self.tests[name]:
                    self.tests[name].append(test)


def collected() -> dict[str, list[str]]:
    """Raises RuntimeError when a test file can't be read."""
    shown = Shown()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main(["--collect-only", "-q"], plugins=[shown])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"pytest could not collect the tests: {code!r}\n{said.getvalue()}")
    return dict(shown.tests)


def problems(kinds: Mapping[str, str], tests: Mapping[str, list[str]]) -> list[str]:
    """What is wrong, a line each: rows without a test, marks of no row, and what is built but stands in no row."""
    built = {method.name: "method" for method in public_methods()} | {event.name: "event" for event in public_events()}
    found = [f"{kind} {name} is shown by no test" for name, kind in kinds.items() if not tests.get(name)]
    found += [f"{test} shows {name}, which is no row" for name in tests if name not in kinds for test in tests[name]]
    return found + [f"{kind} {name} is in no row" for name, kind in built.items() if kinds.get(name) != kind]


def main() -> int:
    kinds, tests = rows(), collected()
    for name, kind in kinds.items():
        for number, test in enumerate(tests.get(name) or ["-"]):
            print(f"{f'{kind} {name}' if not number else '':32} {test}")  # noqa: T201 - what this program is for
    found = problems(kinds, tests)
    print(*found, f"{len(found)} problems", sep="\n", file=sys.stderr)  # noqa: T201
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
