"""What tests share: one mongod, one running system, people to connect, and how hard hypothesis searches."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, settings

from deploy.embedded import Mongod
from tests.idle import Idle, watch_idle
from tests.rig import Known, People, System
from tests.secured import SecuredMongod, overstepped
from tests.web import Web

_STATEFUL: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    "print_blob": True,
}
settings.register_profile(
    "default",
    max_examples=6,
    stateful_step_count=20,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    **_STATEFUL,
)
settings.register_profile("shrink", max_examples=30, stateful_step_count=25, **_STATEFUL)
settings.register_profile("thorough", max_examples=150, stateful_step_count=50, **_STATEFUL)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """One mongod for the whole run; each system has a database of its own in it."""
    server = SecuredMongod(tmp_path_factory.mktemp("mongod"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[System]:
    """The running system that all tests share which damage nothing: two gateways, one of each service.

    Secured, so that whatever a part does in any of these tests is something that it may do.
    """
    # Who is gone stays online: that others go offline meanwhile would be news in the midst of any test.
    env = {"gateway": {"STATUS_GRACE": "3600"}}
    with System(tmp_path_factory.mktemp("system"), mongod, env=env, secured=True) as running:
        yield running
        assert overstepped(running.directory / "log") == []


@pytest.fixture
def make_system(tmp_path: Path, mongod: Mongod) -> Iterator[Callable[..., System]]:
    """Makes systems for tests that damage theirs: not started yet, stopped at the end of the test."""
    made: list[System] = []

    def make(**options: Any) -> System:
        made.append(System(tmp_path / f"system-{len(made)}", mongod, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture(scope="session")
def idle(system: System) -> Future[Idle]:
    """What becomes of sockets that never authenticate: it takes long, so it runs beside the other tests."""
    outcome: Future[Idle] = Future()

    def watch() -> None:
        try:
            outcome.set_result(asyncio.run(watch_idle(system.url())))
        except BaseException as error:  # noqa: BLE001 - the test that waits for it raises it
            outcome.set_exception(error)

    threading.Thread(target=watch, name="idle", daemon=True).start()
    return outcome


@pytest.fixture(scope="session")
def known() -> dict[str, Known]:
    """The users whom tests share."""
    return {}


@pytest_asyncio.fixture
async def people(system: System, known: dict[str, Known], idle: Future[Idle]) -> AsyncIterator[People]:
    """People of the shared system; with the first of them `idle` begins to wait."""
    assert not idle.cancelled()
    everybody = People(system, known)
    yield everybody
    await everybody.close()


@pytest_asyncio.fixture
async def web(system: System, people: People) -> AsyncIterator[Web]:
    """HTTP to the shared system, as somebody who has a token."""
    browser = Web(system, await people.anybody("ann"))
    yield browser
    await browser.session.close()
