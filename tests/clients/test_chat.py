"""The terminal chat, driven by keys against a real system."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from guildwire import Outgoing, Phase, State
from guildwire_chat.app import ChatApp
from guildwire_chat.chat import Chat
from guildwire_chat.login import Login
from guildwire_chat.messages import MessageList, rows_of
from guildwire_chat.store import Store
from guildwire_chat.wording import safe, status
from guildwire_chat.write import Write
from textual.app import App, ComposeResult
from textual.events import Key, Paste
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.clients.wire import ME, message
from tests.rig import System, eventually

Look = Callable[[], str]


def shown(app: ChatApp) -> str:
    """The messages on the screen."""
    rows = app.screen.query_one(MessageList).options
    return "\n".join(str(row.prompt) for row in rows)


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str) -> None:
    await eventually(condition, what)
    await pilot.pause()


async def write(pilot: Pilot[None], text: str) -> None:
    """Into the field that has the focus: a key a letter would take as long as a person."""
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.value = text
    await pilot.press("enter")


async def test_a_new_user_makes_a_server_and_talks(system: System, tmp_path: Path) -> None:
    app = ChatApp([system.url(0), system.url(1)], Store(tmp_path, "ann"))
    async with app.run_test(size=(100, 30)) as pilot:
        await write(pilot, "chat.ann")
        app.screen.query_one("#password", Input).value = "correct horse"
        await pilot.press("tab", "tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, Chat), "logged in")
        await pilot.press("f3")
        await pilot.pause()
        await write(pilot, "Tea")
        await until(pilot, lambda: isinstance(app.screen, Chat) and app.screen.channel_id != "", "a channel is open")
        await write(pilot, "helo")
        await until(pilot, lambda: "helo" in shown(app) and not app.outbox.count(), "it is said")
        await pilot.press("up", "e", "backspace", "l", "o", "enter")
        await until(pilot, lambda: "hello (edited)" in shown(app), "it is mended")
        await pilot.press("up", "d", "y")
        await until(pilot, lambda: "hello" not in shown(app), "it is gone")
        await write(pilot, "still here")
        await until(pilot, lambda: "still here" in shown(app) and not app.outbox.count(), "it is said")

    # The next start shows what was there before any gateway has answered, and says so.
    app = ChatApp(["ws://127.0.0.1:9/ws"], Store(tmp_path, "ann"))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "still here" in shown(app), "the cache is shown")
        await until(pilot, lambda: "offline since" in str(app.screen.query_one("#status", Static).content), "honest")
        await write(pilot, "anybody?")
        await until(pilot, lambda: "anybody?  … sending" in shown(app), "not sent yet")
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert "not sent yet" in str(app.screen.query_one(Static).content)
        await pilot.press("y")


async def test_a_wrong_password_is_said_to_be_one(system: System, tmp_path: Path) -> None:
    app = ChatApp([system.url(0)], Store(tmp_path, "nobody"))
    async with app.run_test() as pilot:
        await write(pilot, "chat.nobody")
        await write(pilot, "wrong.password")
        problem = app.screen.query_one("#problem", Static)
        await until(pilot, lambda: "Wrong name or wrong password" in str(problem.content), "it says why")
        assert isinstance(app.screen, Login)


class OneLine(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def compose(self) -> ComposeResult:
        yield Write(select_on_focus=False)

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
        listed.show(rows_of([message(n, n, content="ten letters" * 4) for n in range(1, 30)], [], {}, ME), anew=True)
        for size in ((24, 10), (70, 30), (40, 8)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: listed.scroll_y == listed.max_scroll_y > 0, f"the end at {size}")


def test_what_others_write_is_no_order_to_the_terminal() -> None:
    assert safe("a\x1b[2Jb\x07\u202ec\r\nd\te\x9b") == "a�[2Jb��c\nd    e�"
    assert safe("👩‍👧 می‌خواهم") == "👩‍👧 می‌خواهم"


def test_one_turn_has_one_head_and_what_is_unsent_looks_so() -> None:
    said = [message(1, 1), message(2, 2), message(3, 3, author_id="u2", edited_date="2026-01-01T00:00:01.000Z")]
    failed = Outgoing("c1", "five", problem="No.", made_at=datetime(2026, 1, 1, tzinfo=UTC))
    rows = rows_of(said, [Outgoing("c1", "four", made_at=failed.made_at), failed], {ME: "Me", "u2": "You"}, ME)
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
