"""The examples of the pages are what really comes, and none is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from docs import examples
from docs.contracts import public_events, public_methods, reasons
from docs.examples import Examples
from docs.words import SCOPES
from shared.protocol import EVENTS, METHODS
from tests.docs import story
from tests.docs.record import recorded, text_of
from tests.docs.rows import rows
from tests.rig import System

MISSING: set[str] = set()
"""Methods and events that have no example yet. It only ever shrinks: what has an example may not stand here."""

EXAMPLES = Examples.recorded()
WANTED = {name for name, kind in rows().items() if kind != "http"}
WANTED |= {method.name for method in public_methods()} | {event.name for event in public_events()}


async def test_the_story_goes_as_it_is_written_down(make_system: Callable[..., System]) -> None:
    steps = await recorded(make_system(env=story.ENV).start())
    written = json.loads(examples.PATH.read_text(encoding="utf-8"))
    assert [step["title"] for step in steps] == [step["title"] for step in written], "run `make examples`"
    for now, then in zip(steps, written, strict=True):
        assert now == then, "run `make examples`"
    assert examples.PATH.read_text(encoding="utf-8") == text_of(steps), "run `make examples`"


@pytest.mark.parametrize("name", sorted(WANTED))
def test_every_method_and_event_has_an_example(name: str) -> None:
    if name in MISSING:
        assert name not in EXAMPLES.shown, f"{name} has an example now: take it from MISSING"
    else:
        assert name in EXAMPLES.shown, f"{name} has no example: add it to tests/docs/story.py"


def test_only_methods_and_events_can_be_missing() -> None:
    assert not MISSING - WANTED


@pytest.mark.parametrize("step", EXAMPLES.steps, ids=lambda step: f"{step.who} {step.method}: {step.title}")
def test_a_step_is_as_the_pages_say(step: examples.Step) -> None:
    """Who is refused is refused for a reason that the method names; an event comes in the scope it is said to."""
    if step.is_refusal:
        assert step.reply["error"]["data"]["reason"] in reasons(METHODS[step.method])
    for heard in step.heard:
        params: dict[str, Any] = heard.event["params"]
        assert ("scope" in params) == ("rev" in params) == EVENTS[heard.name].scoped
        assert not EVENTS[heard.name].scoped or params["scope"].startswith(f"{SCOPES[heard.name]}:")


def test_a_method_with_since_shows_what_it_answers() -> None:
    wanted = {method.name for method in public_methods() if method.delta}
    answers = [step for step in EXAMPLES.steps if step.method in wanted and not step.is_refusal]
    assert {step.method for step in answers if step.reply["result"]["full"] is False} == wanted - MISSING
