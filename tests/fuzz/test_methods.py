"""Hostile params to every method of a running system: a documented answer, no bug, and no secret in any log."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.hostile import PUBLIC, SECRET, Call, calls
from tests.fuzz.hunt import hunt, kept, read
from tests.fuzz.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


@pytest.mark.parametrize("path", kept("calls"), ids=lambda path: path.stem)
def test_what_was_kept(scene: Scene, path: Path) -> None:
    asked: list[Call] = [(method, params) for method, params in read(path)]
    scene.try_out(asked)


@pytest.mark.parametrize("method", PUBLIC)
def test_hostile_params(scene: Scene, method: str) -> None:
    hunt("calls", calls([method], 4, 12), scene.try_out, examples=2, share=0.4 / len(PUBLIC))
    assert scene.tried[method] >= 4


def test_hostile_sequences(scene: Scene) -> None:
    """Of all methods, each in what the others have left; not all of it is refused at the door."""
    hunt("calls", calls(PUBLIC, 4, 40), scene.try_out, examples=6, share=0.2)
    assert sum(scene.done.values()) > sum(scene.tried.values()) / 20


def test_a_secret_in_a_log_would_be_seen(scene: Scene) -> None:
    scene.look_around()
    logs = {path.stem: path for path in (scene.system.directory / "log").glob("*.log")}
    assert {"gateway-0", "guilds-0", "messages-0", "presence-0", "nats-server"} <= logs.keys()
    for path in logs.values():
        with path.open("a") as log:
            log.write(f"said {SECRET}\n")
        with pytest.raises(AssertionError, match=SECRET):
            scene.look_around()
