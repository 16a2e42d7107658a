"""The terminal chat's parts, without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from guildwire import Outgoing, Phase, State
from guildwire_chat.app import ChatApp
from guildwire_chat.lines import Lines
from guildwire_chat.messages import MessageList, rows_of
from guildwire_chat.store import Store
from guildwire_chat.typing_signs import TypingSigns, sentence
from guildwire_chat.wording import safe, status
from guildwire_chat.write import Write
from textual.app import App, ComposeResult
from textual.events import Key, Paste
from textual.widgets import Input, Static

from tests.clients.test_chat import until
from tests.clients.wire import ME, message


class OneLine(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def compose(self) -> ComposeResult:
        yield Write()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.written.append(event.value)


async def test_keys_that_come_at_once_take_effect_in_order() -> None:
    app = OneLine()
    async with app.run_test() as pilot:
        keys = [*"blck", "backspace", "backspace", *"ack", "enter", *"tea", "home", *"not", "enter", *"mor"]
        for key in keys:
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: app.query_one(Write).value == "mor", "all is typed")
        app.post_message(Paste("e of\nit"))
        await until(pilot, lambda: app.query_one(Write).value == "more of it", "it is pasted")
    assert app.written == ["black", "nottea"]


async def test_what_is_read_stays_in_sight_when_the_window_changes() -> None:
    class Reading(App[None]):
        def compose(self) -> ComposeResult:
            yield MessageList(id="messages")

    app = Reading()
    async with app.run_test(size=(60, 10)) as pilot:
        listed = app.query_one(MessageList)
        listed.show(
            rows_of([message(n, n, content="ten letters" * 4) for n in range(1, 30)], [], Lines({}, ME, {})), anew=True
        )
        for size in ((24, 10), (70, 30), (40, 8)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: listed.scroll_y == listed.max_scroll_y > 0, f"the end at {size}")
            await pilot.pause()
            assert listed.scroll_y == listed.max_scroll_y


def test_what_others_write_is_no_order_to_the_terminal() -> None:
    assert safe("a\x1b[2Jb\x07\u202ec\r\nd\te\x9b") == "a�[2Jb��c\nd    e�"
    assert safe("👩‍👧 می‌خواهم") == "👩‍👧 می‌خواهم"


def test_one_turn_has_one_head_and_what_is_unsent_looks_so() -> None:
    said = [message(1, 1), message(2, 2), message(3, 3, author_id="u2", edited_date="2026-01-01T00:00:01.000Z")]
    failed = Outgoing("c1", "five", problem="No.", made_at=datetime(2026, 1, 1, tzinfo=UTC))
    rows = rows_of(
        said, [Outgoing("c1", "four", made_at=failed.made_at), failed], Lines({ME: "Me", "u2": "You"}, ME, {})
    )
    texts = [row.prompt.plain.splitlines() for row in rows]
    assert [text[-1] for text in texts[1:4]] == ["message 1", "message 2", "message 3 (edited)"]
    assert [len(text) for text in texts] == [1, 2, 1, 2, 2, 2]
    assert texts[4][-1] == "four  … sending"
    assert texts[5] == ["five", "✗ not sent: No. (r: try again, d: drop it)"]


STATES = [
    (State(Phase.ONLINE, url="ws://a/ws"), 0, "● online · a"),
    (State(Phase.ONLINE, url="ws://a/ws"), 2, "● online · a · 2 messages not sent yet"),
    (State(Phase.RESUMING, url="ws://a/ws"), 0, "◐ connected, catching up · a"),
    (State(Phase.LOGGED_OUT, why="The session was ended."), 0, "○ logged out · The session was ended."),
]


@pytest.mark.parametrize(("state", "waiting", "expected"), STATES)
def test_the_status_line_says_how_it_is(state: State, waiting: int, expected: str) -> None:
    assert status(state, waiting).plain == expected


def test_the_status_line_says_since_when_it_is_not() -> None:
    line = status(State(Phase.OFFLINE, since=datetime(2026, 1, 1, 9, 30, tzinfo=UTC), why="It was lost."), 1).plain
    assert line.startswith(f"○ offline since {datetime(2026, 1, 1, 9, 30, tzinfo=UTC).astimezone():%H:%M:%S} (")
    assert line.endswith(") · 1 message not sent yet · trying again · It was lost.")


def test_a_typing_sign_lasts_eight_seconds() -> None:
    now = [100.0]
    signs = TypingSigns(lambda: now[0])
    signs.began("c", "ann")
    signs.began("c", "bob")
    signs.began("d", "cid")
    assert sentence(signs.in_channel("c")) == "ann and bob are typing…"
    signs.said("c", "bob")
    assert sentence(signs.in_channel("c")) == "ann is typing…"
    now[0] += 8
    assert sentence(signs.in_channel("c")) == ""
    assert [signs.is_due("c"), signs.is_due("c"), signs.is_due("d")] == [True, False, True]
    now[0] += 5
    assert signs.is_due("d")


async def test_who_has_nothing_yet_is_told_how_to_begin(tmp_path: Path) -> None:
    store = Store(tmp_path, "new")
    store.token = "of an account without servers"
    app = ChatApp(["ws://127.0.0.1:9/ws"], store)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.screen.query("#title")), "the chat is shown")
        title = app.screen.query_one("#title", Static)
        assert "F3 makes a server" in str(title.content)
        assert title.size.width * title.size.height >= len(str(title.content)), "all of it is on the screen"
