"""The list of a channel's messages, with those not acknowledged yet below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from guildwire import Outgoing
from guildwire.cache.entities import Entity
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from guildwire_chat.lines import Lines
from guildwire_chat.wording import day

TURN = timedelta(minutes=5)
NEAR_THE_TOP = 3


@dataclass(frozen=True)
class Row:
    """`what` is a message of mine or another's, one on its way, or None for a line between days."""

    key: str
    prompt: Content
    what: Entity | Outgoing | None = None


def rows_of(messages: Sequence[Entity], outgoing: Sequence[Outgoing], lines: Lines) -> list[Row]:
    """Messages in their order, one turn under one head, a line where a new day begins."""
    rows: list[Row] = []
    before: tuple[str, datetime] | None = None
    for message in messages:
        made = datetime.fromisoformat(message["created_date"])
        if before is None or before[1].astimezone().date() != made.astimezone().date():
            rows.append(Row(f"day-{made.date()}-{message['id']}", Content.styled(f"── {day(made)} ──", "dim")))
            before = None
        heads = before is None or before[0] != message["author_id"] or made - before[1] > TURN
        rows.append(Row(f"m-{message['id']}", lines.message(message, heads=heads), message))
        before = (message["author_id"], made)
    for each in outgoing:
        heads = before is None or before[0] != lines.me or each.made_at - before[1] > TURN
        rows.append(Row(f"o-{each.nonce}", lines.outgoing(each, heads=heads), each))
        before = (lines.me, each.made_at)
    return rows


class MessageList(OptionList):
    """Scrolls with its end while one is there; asks for older messages near its beginning."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "act('edit')", "Edit"),
        Binding("d", "act('delete')", "Delete"),
        Binding("r", "act('reply')", "Reply"),
        Binding("plus,a", "act('react')", "React", key_display="+"),
        Binding("escape", "leave", "Back to writing"),
    ]

    class Older(Message):
        """The reader has come to the beginning."""

    class Act(Message):
        """Something is to be done with a message."""

        def __init__(self, act: str, what: Entity | Outgoing) -> None:
            super().__init__()
            self.act = act
            self.what = what

    class Left(Message):
        """Back to writing."""

    class AtEnd(Message):
        """The reader has come to the newest."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - as widgets name it
        super().__init__(id=id, markup=False)
        self._rows: list[Row] = []
        self.follows = True
        """Whoever is at the end stays there when something is added."""
        self._arranging = False

    def show(self, rows: list[Row], *, anew: bool = False) -> None:
        """`anew`: another channel; else what is read keeps its place."""
        self.follows = self.follows or anew
        from_end = self.virtual_size.height - self.scroll_y
        old, self._rows = self._rows, rows
        if not anew and _keys(old) == _keys(rows[: len(old)]):
            for index, (before, after) in enumerate(zip(old, rows, strict=False)):
                if not before.prompt.is_same(after.prompt):
                    self.replace_option_prompt_at_index(index, after.prompt)
            self.add_options(_options(rows[len(old) :]))
            if self.follows:
                self.call_after_refresh(self._go_to_end)
        else:
            self._replace_all(old, rows)
            self.call_after_refresh(self._go_to_end if self.follows else self._keep_place, from_end)

    def on_resize(self) -> None:
        """Lines break elsewhere now."""
        from_end = self.virtual_size.height - self.scroll_y
        self._replace_all(self._rows, self._rows)
        self.call_after_refresh(self._go_to_end if self.follows else self._keep_place, from_end)

    def _replace_all(self, old: list[Row], rows: list[Row]) -> None:
        self._arranging = True
        marked = old[self.highlighted].key if self.highlighted is not None and self.highlighted < len(old) else ""
        self.set_options(_options(rows))
        self.highlighted = next((index for index, row in enumerate(rows) if row.key == marked), None)

    def _go_to_end(self, _from_end: float = 0) -> None:
        self.scroll_end(animate=False, immediate=True)
        self._arranging = False

    def _keep_place(self, from_end: float) -> None:
        self.scroll_to(y=self.virtual_size.height - from_end, animate=False, immediate=True)
        self._arranging = False

    def mark_last(self, me: str) -> None:
        """My newest message, for who comes up from writing to mend it; or the newest of all."""
        mine = [index for index, row in enumerate(self._rows) if isinstance(row.what, Outgoing) or _is_by(row.what, me)]
        if self._rows:
            self.highlighted = mine[-1] if mine else len(self._rows) - 1

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._arranging:
            return
        followed, self.follows = self.follows, new_value >= self.max_scroll_y - 1
        if self.follows and not followed:
            self.post_message(self.AtEnd())
        if new_value <= NEAR_THE_TOP and new_value < old_value:
            self.post_message(self.Older())

    def action_act(self, act: str) -> None:
        what = self._rows[self.highlighted].what if self.highlighted is not None else None
        if what is not None:
            self.post_message(self.Act(act, what))

    def action_cursor_down(self) -> None:
        """Below the last message one writes."""
        if self.highlighted is None or self.highlighted >= len(self._rows) - 1:
            self.post_message(self.Left())
        else:
            super().action_cursor_down()

    def action_cursor_up(self) -> None:
        if self.highlighted is None or self.highlighted > 0:
            super().action_cursor_up()
        else:
            self.post_message(self.Older())

    def action_leave(self) -> None:
        self.post_message(self.Left())


def _is_by(message: Entity | None, user_id: str) -> bool:
    return message is not None and message["author_id"] == user_id


def _keys(rows: Sequence[Row]) -> list[str]:
    return [row.key for row in rows]


def _options(rows: Sequence[Row]) -> list[Option]:
    return [Option(row.prompt, id=row.key, disabled=row.what is None) for row in rows]
