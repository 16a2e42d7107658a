"""How things read on the screen. Nothing that others wrote reaches the terminal as more than text."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from guildwire import GuildwireError, InvalidParams, Phase, State
from textual.content import Content

_KEPT = frozenset("\n\u200c\u200d")
"""Line breaks, and the joiners that Persian, Indic scripts and composed emoji need."""


def safe(text: str) -> str:
    """Control characters would be orders to the terminal; those that turn writing round would hide what it says."""
    return "".join(
        letter if letter in _KEPT or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co"} else "�"
        for letter in text.replace("\r\n", "\n").replace("\t", "    ")
    )


def clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M")


def day(moment: datetime) -> str:
    return moment.astimezone().strftime("%A, %-d %B %Y")


def status(state: State, waiting: int) -> Content:
    """The honest truth about the connection, in one line."""
    unsent = f" · {waiting} message{'s' if waiting > 1 else ''} not sent yet" if waiting else ""
    match state.phase:
        case Phase.ONLINE:
            return Content.assemble(("● online", "$success"), (f" · {_host(state)}", "dim"), (unsent, "$warning"))
        case Phase.RESUMING:
            return Content.assemble(("◐ connected, catching up", "$warning"), (f" · {_host(state)}", "dim"), unsent)
        case Phase.LOGGED_OUT:
            return Content.assemble(("○ logged out", "$error"), f" · {state.why}" if state.why else "")
    since = f"since {state.since.astimezone():%H:%M:%S} ({_ago(state.since)})"
    doing = f"trying {_host(state)} now" if state.phase is Phase.CONNECTING else _next_try(state)
    why = f" · {state.why}" if state.why else ""
    return Content.assemble(
        (f"○ offline {since}", "$error"), (unsent, "$warning"), (f" · {doing}", "$warning"), (why, "dim")
    )


def _host(state: State) -> str:
    return state.url.removeprefix("ws://").removeprefix("wss://").removesuffix("/ws")


def _next_try(state: State) -> str:
    if state.retry_at is None:
        return "trying again"
    left = max((state.retry_at - datetime.now(UTC)).total_seconds(), 0)
    return f"next try in {left:.0f} s (Ctrl+R: now)" if left >= 1 else "trying again"


def _ago(moment: datetime) -> str:
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    if seconds < 120:
        return f"{max(seconds, 0)} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def trouble(error: GuildwireError) -> str:
    """What went wrong, as a sentence for people."""
    if isinstance(error, InvalidParams) and error.fields:
        return "; ".join(f"{field}: {problem}" for field, problem in error.fields.items())
    return str(error)
