"""The servers one is in, and their channels."""

from __future__ import annotations

from typing import Any, ClassVar

from guildwire import Cache
from guildwire.cache.entities import Entity
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree

from guildwire_chat.wording import safe


class Rooms(Tree[str]):
    """Nodes carry `server:<id>` or `channel:<id>`. `unread` counts, by channel, what others wrote and nobody read."""

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
        self._shown: list[Any] = []

    def show(self, cache: Cache, unread: dict[str, int], open_channel: str) -> None:
        picture = _picture(cache, unread, open_channel)
        if picture == self._shown:
            return
        self._shown = picture
        marked = self.cursor_node.data if self.cursor_node is not None else None
        closed = {node.data for node in self.root.children if not node.is_expanded}
        self.clear()
        for server_id, name, channels in picture:
            server = self.root.add(Text(name, "bold"), data=f"server:{server_id}")
            if f"server:{server_id}" not in closed:
                server.expand()
            for channel_id, label in channels:
                server.add_leaf(label, data=f"channel:{channel_id}")
        self.root.expand()
        wanted = marked or f"channel:{open_channel}"
        self.call_after_refresh(self.mark, wanted)

    def mark(self, data: str) -> None:
        """Moves the cursor to a node."""
        for server in self.root.children:
            for node in (server, *server.children):
                if node.data == data:
                    self.move_cursor(node)

    def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
        event.stop()
        kind, _, identity = (event.node.data or "").partition(":")
        if kind == "channel":
            self.post_message(self.Opened(identity))

    def action_leave(self) -> None:
        self.post_message(self.Left())


def _picture(cache: Cache, unread: dict[str, int], open_channel: str) -> list[Any]:
    return [
        (server_id, safe(server.entity["name"]), [_channel(each, unread, open_channel) for each in server.in_order()])
        for server_id, server in sorted(
            cache.servers.items(), key=lambda each: (each[1].entity["name"].lower(), each[0])
        )
    ]


def _channel(channel: Entity, unread: dict[str, int], open_channel: str) -> tuple[str, Text]:
    label, count = Text(f"# {safe(channel['name'])}"), unread.get(channel["id"], 0)
    if channel["id"] == open_channel:
        label.stylize("reverse")
    elif count:
        label.stylize("bold")
        label.append(f"  {count if count < 100 else '99+'}", "bold yellow")
    return channel["id"], label
