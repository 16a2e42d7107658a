"""The figures of each row, and the system that the rows share."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, datetime

import pytest

from docs.reliability import ROWS, forget, record
from tests.faults.installation import Installation, installation
from tests.faults.rows import ENV, FULL
from tests.secured import overstepped

HELD = pytest.StashKey[bool]()
SEEN = pytest.StashKey[list[str]]()


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What the test has measured, by name; a full run that held keeps it for the page."""
    (row,) = request.node.get_closest_marker("row").args
    told: dict[str, str] = {}
    yield told
    summary = request.config.stash.setdefault(SEEN, [])
    summary.append(f"{row}. {ROWS[row].fault}: {'; '.join(f'{name} {value}' for name, value in told.items())}")
    if FULL and not request.node.stash.get(HELD, False):
        forget(row, request.node.name)
    elif FULL:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        machine = f"{cores} cores, {platform.system()}, Python {platform.python_version()}"
        on = datetime.now(UTC).date().isoformat()
        record(row, request.node.name, {"on": on, "machine": machine, "figures": told})


def pytest_asyncio_loop_factories(item: pytest.Function) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A module with thousands of clients names a quicker loop for them: they share the machine with the system."""
    return {"of the module": getattr(item.module, "LOOP", asyncio.new_event_loop)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets fixtures know whether their test has held."""
    report = yield
    if report.when == "call":
        item.stash[HELD] = report.passed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what was measured, also where a test did not hold."""
    if seen := config.stash.get(SEEN, []):
        terminalreporter.section("figures, by the rows of docs/reliability.md")
        for line in seen:
            terminalreporter.write_line(line)


@pytest.fixture(scope="package")
def _installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("installation"), ENV) as running:
        yield running


@pytest.fixture
def everything(_installation: Installation) -> Iterator[Installation]:
    """The installation that rows share; whatever a test leaves broken is mended, and nobody may have overstepped."""
    yield _installation
    _installation.mend()
    assert overstepped(_installation.directory / "log") == []
