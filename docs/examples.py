"""The examples of the pages: one story that was played against a running system, step by step.

`tests/docs/scene.py` plays it, `make examples` writes down what came, and a test plays it again and compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parent / "protocol" / "examples.json"

Frame = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """One event, and who of the story was told exactly so."""

    to: list[str]
    event: Frame

    @property
    def name(self) -> str:
        return str(self.event["method"])


@dataclass(frozen=True)
class Step:
    """Who did what, the frames of it, and the events it caused. What nobody asked for has no request."""

    title: str
    who: str = ""
    request: Frame = field(default_factory=dict)
    reply: Frame = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)

    @property
    def method(self) -> str:
        return str(self.request.get("method", ""))

    @property
    def is_refusal(self) -> bool:
        return "error" in self.reply


class Examples:
    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps

    @classmethod
    def recorded(cls) -> Examples:
        steps = json.loads(PATH.read_text(encoding="utf-8"))
        return cls([Step(**{**step, "heard": [Heard(**each) for each in step["heard"]]}) for step in steps])

    def of_method(self, name: str) -> list[Step]:
        """What was answered first, then what was refused."""
        return sorted((step for step in self.steps if step.method == name), key=lambda step: step.is_refusal)

    def of_event(self, name: str) -> list[Heard]:
        return [heard for step in self.steps for heard in step.heard if heard.name == name]

    def causes(self, name: str) -> list[str]:
        """The methods that this event followed."""
        steps = [step for step in self.steps if any(heard.name == name for heard in step.heard)]
        return list(dict.fromkeys(step.method for step in steps if step.method))

    @property
    def shown(self) -> set[str]:
        """The methods that were answered, and the events that came."""
        answered = {step.method for step in self.steps if step.method and not step.is_refusal}
        return answered | {heard.name for step in self.steps for heard in step.heard}
