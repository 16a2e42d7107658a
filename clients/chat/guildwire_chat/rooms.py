"""Where one can talk: direct channels, and the servers one is in with their channels by category."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from guildwire import Cache
from guildwire.cache.entities import Entity
from guildwire.cache.servers import CachedServer
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from guildwire_chat.directs import others_in
from guildwire_chat.reading import Reading, Unread
from guildwire_chat.wording import safe


@dataclass(frozen=True)
class Room:
    """`data` is `directs`, `server:<id>`, `category:<id>` or `channel:<id>`; only a channel can be opened."""

    data: str
    label: Text
    inside: tuple[Room, ...] = ()


class Rooms(Tree[str]):
    """Its nodes carry the data of a room."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back to writing")]

    class Left(Message):
        """Back to writing."""

    class Opened(Message):
        def __init__(self, channel_id: str) -> None:
            super().__init__()
            self.channel_id = channel_id

    def __init__(self, *, id: str) -> None:  # noqa: A002 - as widgets name it
        super().__init__("Servers", id=id)
        self.show_root = False
        self.guide_depth = 2
        self._shown: list[Room] = []

    def show(self, cache: Cache, reading: Reading, open_channel: str) -> None:
        rooms = Listing(cache, reading, open_channel).rooms()
        if rooms == self._shown:
            return
        self._shown = rooms
        marked = self.cursor_node.data if self.cursor_node is not None else None
        closed = {node.data for node in _under(self.root) if node.allow_expand and not node.is_expanded}
        self.clear()
        for room in rooms:
            _add(self.root, room, closed)
        self.root.expand()
        self.call_after_refresh(self.mark, marked or f"channel:{open_channel}")

    def mark(self, data: str) -> None:
        """Moves the cursor to a node."""
        for node in _under(self.root):
            if node.data == data:
                self.move_cursor(node)

    def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
        event.stop()
        kind, _, identity = (event.node.data or "").partition(":")
        if kind == "channel":
            self.post_message(self.Opened(identity))

    def action_leave(self) -> None:
        self.post_message(self.Left())


def _under(node: TreeNode[str]) -> Iterator[TreeNode[str]]:
    for child in node.children:
        yield child
        yield from _under(child)


def _add(node: TreeNode[str], room: Room, closed: set[str | None]) -> None:
    if room.data.startswith("channel:"):
        node.add_leaf(room.label, data=room.data)
        return
    made = node.add(room.label, data=room.data, expand=room.data not in closed)
    for inside in room.inside:
        _add(made, inside, closed)


@dataclass(frozen=True)
class Listing:
    """What the cache has, as rooms."""

    cache: Cache
    reading: Reading
    open_channel: str

    def rooms(self) -> list[Room]:
        found = [self._room(channel_id, f"@ {name}") for name, channel_id in self._directs()]
        directs = [Room("directs", Text("Direct", "bold"), tuple(found))] if found else []
        servers = sorted(self.cache.servers.items(), key=lambda each: (each[1].entity["name"].lower(), each[0]))
        return directs + [self._server(server_id, server) for server_id, server in servers]

    def _directs(self) -> list[tuple[str, str]]:
        named = (
            (", ".join(others_in(self.cache, channel_id)), channel_id) for channel_id in self.cache.direct_channels
        )
        return sorted(named, key=lambda each: (each[0].lower(), each[1]))

    def _server(self, server_id: str, server: CachedServer) -> Room:
        inside = [self._channel(each) for each in server.in_order() if each.get("category_id") is None]
        for category in sorted(server.categories.values(), key=lambda each: (each["position"], each["id"])):
            named = [each for each in server.in_order() if each.get("category_id") == category["id"]]
            channels = tuple(self._channel(each) for each in named)
            inside.append(Room(f"category:{category['id']}", Text(safe(category["name"]), "dim bold"), channels))
        return Room(f"server:{server_id}", Text(safe(server.entity["name"]), "bold"), tuple(inside))

    def _channel(self, channel: Entity) -> Room:
        return self._room(channel["id"], f"# {safe(channel['name'])}")

    def _room(self, channel_id: str, name: str) -> Room:
        label, unread = Text(name), self.reading.unread(channel_id)
        if channel_id == self.open_channel:
            label.stylize("reverse")
        elif unread:
            label.stylize("bold")
            label.append_text(_marks(unread))
        return Room(f"channel:{channel_id}", label)


def _marks(unread: Unread) -> Text:
    """How much is unread, and how often it names the reader."""
    count = "•" if unread.count is None else str(unread.count) if unread.count < 100 else "99+"
    marks = Text(f"  {count}", "bold yellow")
    if unread.mentions:
        marks.append(f" @{unread.mentions}", "bold red")
    return marks
