"""How long is looked for an input that breaks something, and where it is kept once found.

As a part of `make test` each search tries a few inputs, the same ones every time. `make fuzz` sets `FUZZ_SECONDS`: then
each tries others until its share of them is over.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

CORPUS = Path(__file__).with_name("corpus")
"""Per kind of input a folder of files, each a JSON value: what is tried first, every time."""

_SECONDS = float(os.environ.get("FUZZ_SECONDS") or 0)
_AT_ONCE = 40
"""Inputs between two looks at the clock."""

T = TypeVar("T")


def kept(kind: str) -> list[Path]:
    return sorted((CORPUS / kind).glob("*.json"))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def hunt(kind: str, inputs: SearchStrategy[T], check: Callable[[T], None], *, examples: int, share: float) -> int:
    """Returns how many were tried. The smallest that fails is written into the corpus, and its error raised."""
    tried = 0
    failing: list[T] = []

    def attempt(value: T) -> None:
        nonlocal tried
        tried += 1
        try:
            check(value)
        except BaseException:
            failing[:] = [value]
            raise

    try:
        if _SECONDS:
            until = time.monotonic() + _SECONDS * share
            while time.monotonic() < until:
                _searched(inputs, attempt, _AT_ONCE, until)
        else:
            _searched(inputs, attempt, examples, None)
    except BaseException as error:
        if failing:
            # Hypothesis ends with the smallest.
            error.add_note(f"The input is kept in {_keep(kind, failing[0])}; `make test` tries it from now on.")
        raise
    return tried


def _searched(inputs: SearchStrategy[T], attempt: Callable[[T], None], examples: int, until: float | None) -> None:
    found = False

    def in_time(value: T) -> None:
        nonlocal found
        if until is not None and time.monotonic() > until and not found:
            return
        try:
            attempt(value)
        except BaseException:
            found = True
            raise

    search = settings(
        max_examples=examples,
        derandomize=until is None,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    test = given(inputs)(in_time)
    search(test if until is None else seed(random.getrandbits(64))(test))()


def _keep(kind: str, value: Any) -> Path:
    text = json.dumps(value, indent=1) + "\n"
    path = CORPUS / kind / f"found-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
