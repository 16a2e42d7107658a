"""The terminal chat, driven by keys against a real system."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from guildwire import Phase
from guildwire_chat.app import ChatApp
from guildwire_chat.chat import Chat
from guildwire_chat.dialogs import Ask, Confirm
from guildwire_chat.lines import QUOTED
from guildwire_chat.login import Login
from guildwire_chat.members import Members
from guildwire_chat.messages import MessageList
from guildwire_chat.rooms import Rooms
from guildwire_chat.store import Store
from guildwire_chat.write import Write
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static
from textual.widgets.tree import TreeNode

from tests.rig import People, Person, System, eventually, promote


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


def rooms(app: ChatApp) -> str:
    """The rooms on the screen, deeper ones indented."""

    def lines(node: TreeNode[str], depth: int) -> Iterator[str]:
        for child in node.children:
            yield " " * depth + str(child.label)
            yield from lines(child, depth + 1)

    return "\n".join(lines(app.screen.query_one(Rooms).root, 0))


@asynccontextmanager
async def chatting(system: System, person: Person, home: Path) -> AsyncIterator[Pilot[None]]:
    """Someone's chat, with a channel open."""
    store = Store(home, person.name)
    store.token = person.token
    app = ChatApp([system.url(0), system.url(1)], store)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Chat) and app.screen.channel_id != "", "a channel is open")
        yield pilot


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
        await until(pilot, lambda: bool(next(iter(app.client.cache.servers.values())).members), "she is a member")
        await write(pilot, "still here")
        await until(pilot, lambda: "still here" in shown(app) and not app.outbox.count(), "it is said")

    # The next start shows what was there before any gateway has answered, and says so.
    app = ChatApp(["ws://127.0.0.1:9/ws"], Store(tmp_path, "ann"))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "still here" in shown(app), "the cache is shown")
        await until(pilot, lambda: "offline since" in str(app.screen.query_one("#status", Static).content), "honest")
        await write(pilot, "anybody but @chat.ann?")
        await until(pilot, lambda: "anybody but @chat.ann?  … sending" in shown(app), "not sent yet")
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


async def test_who_was_logged_out_before_the_chat_stands_is_asked_to_log_in(system: System, tmp_path: Path) -> None:
    app = ChatApp([system.url(0)], Store(tmp_path, "ann"))
    async with app.run_test() as pilot:
        await app.client.start("of an installation that is gone")
        await until(pilot, lambda: app.client.state.phase is Phase.LOGGED_OUT, "the token is refused")
        app.switch_screen(Chat())

        def said() -> bool:
            return any(
                "token was refused" in str(each.content) for each in app.screen.query("#problem").results(Static)
            )

        await until(pilot, said, "the login form is back")
        assert isinstance(app.screen, Login)


async def test_rooms_stand_by_category(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    async with chatting(system, room.owner_is, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)
        await write(pilot, "/category Kitchen")
        await until(pilot, lambda: "Kitchen" in rooms(app), "the category is listed")
        await write(pilot, "/channel kitchen/stove")
        await until(pilot, lambda: "stove" in rooms(app), "the channel is listed")
        assert rooms(app) == "Tea house\n # general\n Kitchen\n  # stove"
        await write(pilot, "/channel sink")
        await until(pilot, lambda: rooms(app).endswith("\n Kitchen\n  # stove\n  # sink"), "where the open one stands")


async def test_what_is_unread_is_marked_until_it_is_looked_at(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    other = (await room.owner.call("add_channel", server_id=room.server_id, name="other"))["id"]
    for content in ("one", f"two <@{room.owner_is.id}>"):
        await room.member.call("add_message", channel_id=other, content=content)
    async with chatting(system, room.owner_is, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)
        await until(pilot, lambda: "# other  • @1" in rooms(app), "it is marked, though never opened")
        cast("Chat", app.screen).open_channel(other)
        await until(pilot, lambda: reads(system, room.owner_is).get(other) == 2, "the server knows that it was read")
        cast("Chat", app.screen).open_channel(room.channel_id)
        await pilot.pause()
        assert rooms(app).endswith("# other")
        await room.member.call("add_message", channel_id=other, content="three")
        await until(pilot, lambda: rooms(app).endswith("# other  1"), "it is counted")
        await room.owner.call("update_read_state", channel_id=other, message_id=3)
        await until(pilot, lambda: rooms(app).endswith("# other"), "another device has read it")


async def test_members_stand_under_their_highest_roles(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    async with chatting(system, room.owner_is, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)

        def members() -> list[str]:
            return str(app.screen.query_one(Members).content).splitlines()

        await until(pilot, lambda: members()[:1] == ["Members — 2"] and len(members()) == 3, "both are listed")
        role = await promote(room, "manage_channels")
        await until(pilot, lambda: members()[::2] == ["x — 1", "Members — 1"], "the role stands first")
        await room.owner.call("update_role", server_id=room.server_id, role_id=role["id"], changes={"name": "keepers"})
        named = {"server_id": room.server_id, "user_id": room.member_is.id}
        await room.member.call("update_member", **named, changes={"nick": "Bobby"})
        await until(pilot, lambda: members()[0] == "keepers — 1" and members()[1].endswith(" Bobby"), "by their names")
        await write(pilot, "/nick The owner")
        await until(pilot, lambda: members()[3].endswith(" The owner"), "one's own nick")
        lower = await room.owner.call("add_role", server_id=room.server_id, name="guests", color="", rules=[])
        named = {"server_id": room.server_id, "user_id": room.owner_is.id}
        await room.owner.call("update_member", **named, changes={"roles": [lower["id"]]})
        await until(pilot, lambda: members()[::2] == ["keepers — 1", "guests — 1"], "a new role is the lowest")
        assert [line.rpartition(" ")[2] for line in members()[1::2]] == ["Bobby", "owner"]


async def test_reactions_are_counted_and_mine_are_marked(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    said = {"channel_id": room.channel_id, "message_id": 1}
    await room.member.call("add_message", channel_id=room.channel_id, content="A cake!")
    async with chatting(system, room.owner_is, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)
        await until(pilot, lambda: "A cake!" in shown(app), "it is shown")
        await room.member.call("add_reaction", **said, emoji="🎂")
        await until(pilot, lambda: shown(app).endswith("A cake!\n🎂 1"), "another's is counted")
        await react(pilot, "🎂")
        await until(pilot, lambda: shown(app).endswith("\n🎂 2 ✓"), "one's own is marked")
        await react(pilot, "1")
        await until(pilot, lambda: shown(app).endswith("\n🎂 2 ✓  👍 1 ✓"), "a second one")
        await react(pilot, "🎂")
        await until(pilot, lambda: shown(app).endswith("\n🎂 1  👍 1 ✓"), "it is taken back")
        page = {"channel_id": room.channel_id, "amount": 1, "anchor": 0, "direction": False}
        (cake,) = (await room.member.call("get_message_chunk", **page))["messages"]
        assert [(each["emoji"], each["me"]) for each in cake["reactions"]] == [("🎂", True), ("👍", False)]


async def react(pilot: Pilot[None], answer: str) -> None:
    """To the message last marked, or the newest."""
    if not isinstance(pilot.app.focused, MessageList):
        await pilot.press("up")
    await pilot.press("plus")
    await until(pilot, lambda: isinstance(pilot.app.screen, Ask), "it asks")
    await write(pilot, answer)


async def test_replies_show_what_they_answer(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    question = "Where is the tea? " * 10
    for content in (question, *(f"line {number}" for number in range(70))):
        await room.member.call("add_message", channel_id=room.channel_id, content=content)
    await room.member.call("add_message", channel_id=room.channel_id, content="In the pot.", reply_to=1)
    async with chatting(system, room.owner_is, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)
        await until(pilot, lambda: "In the pot." in shown(app), "it is shown")
        quoted = f"╭ {room.member_is.name}: {question[:QUOTED].rstrip()}…\n"
        await until(pilot, lambda: shown(app).endswith(f"{quoted}In the pot."), "with the beginning of its target")
        await pilot.press("up", "r")
        await until(pilot, lambda: "Replying to" in str(app.screen.query_one(Write).border_title), "it says so")
        await write(pilot, f"Thanks, @{room.member_is.name}.")
        await until(pilot, lambda: not app.outbox.count() and "Thanks" in shown(app), "it is said")
        pot = f"╭ {room.member_is.name}: In the pot.\n"
        assert shown(app).endswith(f"{pot}Thanks, @{room.member_is.name}.")
        stored = system.db.messages.find_one({"channel_id": room.channel_id, "id": 73})
        assert stored is not None
        assert (stored["reply_to"], stored["content"]) == (72, f"Thanks, <@{room.member_is.id}>.")
        await pilot.press("up", "e")
        assert app.screen.query_one(Write).value == f"Thanks, @{room.member_is.name}."
        await pilot.press("escape")
        await room.member.call("delete_message", channel_id=room.channel_id, message_id=72)
        await until(pilot, lambda: "╭ a message that is not there\nThanks" in shown(app), "its target is gone")
        await room.member.call("add_message", channel_id=room.channel_id, content="Not at all.", reply_to=2)
        quoted = f"╭ {room.member_is.name}: line 0\n"
        await until(pilot, lambda: shown(app).endswith(f"{quoted}Not at all."), "its target is not in the page")


async def test_who_types_is_seen_and_seen_to_type(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    async with chatting(system, room.owner_is, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)

        def line() -> str:
            return str(app.screen.query_one("#typing", Static).content)

        def told() -> bool:
            heard = room.member.heard("typing_started")
            return any(event.params["user_id"] == room.owner_is.id for event in heard)

        await until(pilot, lambda: app.client.state.phase is Phase.ONLINE, "online")
        await pilot.press("h", "i")
        await room.member.until(told, "typing_started")
        await room.member.call("start_typing", channel_id=room.channel_id)
        await until(pilot, lambda: line() == f"{room.member_is.name} is typing…", "another types")
        await room.member.call("add_message", channel_id=room.channel_id, content="Hello")
        await until(pilot, lambda: "Hello" in shown(app) and line() == "", "and has written")
        heard = room.member.heard("typing_started")
        assert [event.params["user_id"] for event in heard] == [room.owner_is.id, room.member_is.id]


async def test_a_direct_channel_is_opened_read_and_left(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    name = room.member_is.name
    async with chatting(system, room.owner_is, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)
        await until(pilot, lambda: app.client.cache.users.get(room.member_is.id) is not None, "the other is known")
        await write(pilot, f"/dm {name}")
        await until(pilot, lambda: rooms(app).startswith(f"Direct\n @ {name}\n"), "it is listed")
        await until(pilot, lambda: app.screen.query_one("#title", Static).content == f"@ {name}", "and open")
        await write(pilot, "Only for you")
        await room.member.until(lambda: bool(room.member.heard("direct_channel_added")), "direct_channel_added")
        direct = room.member.heard("direct_channel_added")[0].params["channel"]["id"]
        await until(pilot, lambda: not app.outbox.count() and "Only for you" in shown(app), "it is said")
        cast("Chat", app.screen).open_channel(room.channel_id)
        await room.member.call("add_message", channel_id=direct, content="Thanks")
        await until(pilot, lambda: f"@ {name}  1\n" in rooms(app), "the answer is unread")
        cast("Chat", app.screen).open_channel(direct)
        await until(pilot, lambda: "Thanks" in shown(app), "and is read")
        await write(pilot, "/leave")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "it asks")
        await pilot.press("y")
        await until(pilot, lambda: "Direct" not in rooms(app), "it is left")
        assert (await room.owner.call("get_direct_channels"))["channels"] == []
        assert [each["id"] for each in (await room.member.call("get_direct_channels"))["channels"]] == [direct]


async def test_friends_ask_are_accepted_and_blocked(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    ann, bob = room.owner_is, room.member_is
    async with chatting(system, ann, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)

        def listed() -> str:
            found = app.screen.query("#friends").results(OptionList)
            return "\n".join(str(option.prompt) for friends in found for option in friends.options)

        await room.member.call("add_friend", user_id=ann.id)
        status_line = app.screen.query_one("#status", Static)
        await until(pilot, lambda: "1 wants to be your friend (F7)" in str(status_line.content), "it is said")
        await pilot.press("f7")
        await until(pilot, lambda: f"{bob.name} @{bob.name} — wants to be your friend" in listed(), "it is listed")
        await pilot.press("a")
        await until(pilot, lambda: listed().endswith(f"@{bob.name}"), "they are friends")
        await room.member.until(lambda: bool(room.member.heard("friend_changed")), "friend_changed")
        await pilot.press("b", "y")
        await until(pilot, lambda: "blocked by you" in listed(), "it is blocked")
        await pilot.press("d", "y")
        await until(pilot, lambda: "Nobody yet" in listed(), "it is unblocked, and no friend any more")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Ask), "it asks for a name")
        await write(pilot, bob.name)
        await until(pilot, lambda: "you have asked" in listed(), "the other is asked")
        await room.member.call("delete_friend", user_id=ann.id)
        await until(pilot, lambda: "Nobody yet" in listed(), "who declines")
        assert (await room.owner.call("get_friends"))["friends"] == []


async def test_roles_are_made_given_and_taken(system: System, people: People, tmp_path: Path) -> None:
    room = await people.room(new=True)
    async with chatting(system, room.owner_is, tmp_path) as pilot:
        app = cast("ChatApp", pilot.app)

        def listed() -> str:
            found = app.screen.query("#roles").results(OptionList)
            return "\n".join(str(option.prompt) for roles in found for option in roles.options)

        def held() -> list[str]:
            named = {"server_id": room.server_id, "user_id": room.member_is.id}
            return list((system.db.members.find_one(named) or {})["roles"])

        await until(pilot, lambda: app.client.cache.servers[room.server_id].all_members, "the members are known")
        await write(pilot, f"/roles {room.member_is.name}")
        await until(pilot, lambda: "None yet" in listed(), "there are none")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Ask), "it asks for a name")
        await write(pilot, "keepers")
        await until(pilot, lambda: listed() == "  keepers", "it is made")
        await pilot.press("enter")
        await until(pilot, lambda: listed() == "✓ keepers", "it is given")
        assert len(held()) == 1
        await pilot.press("enter")
        await until(pilot, lambda: listed() == "  keepers", "it is taken")
        assert held() == []


def reads(system: System, person: Person) -> dict[str, int]:
    return {row["channel_id"]: row["read_id"] for row in system.db.reads.find({"user_id": person.id})}
