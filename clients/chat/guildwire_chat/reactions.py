"""Reacting to a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AT_HAND = ("👍", "❤", "😂", "🎉", "😮", "😢")
"""What has a number, for terminals on which emoji can't be typed."""

QUESTION = "React with " + "  ".join(f"{number} {emoji}" for number, emoji in enumerate(AT_HAND, 1))
HINT = "a number, or any emoji; one of yours: it is taken back"


def chosen(text: str) -> str:
    """The emoji that the answer stands for."""
    return AT_HAND[int(text) - 1] if text.isdecimal() and 0 < int(text) <= len(AT_HAND) else text


def is_mine(message: Mapping[str, Any], emoji: str) -> bool:
    return any(each["emoji"] == emoji and each["me"] for each in message["reactions"])
