"""How one message reads in the list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from guildwire import Outgoing
from guildwire.cache.entities import Entity
from textual.content import Content

from guildwire_chat.mentions import SENT, to_read
from guildwire_chat.wording import clock, safe

QUOTED = 40


@dataclass(frozen=True)
class Lines:
    """`names` by user id; `targets`: the messages that others answer, by id."""

    names: Mapping[str, str]
    me: str
    targets: Mapping[int, Entity]

    def message(self, message: Entity, *, heads: bool) -> Content:
        """`heads`: who and when stand above it, for it begins a new turn."""
        body = self._quoted(message["reply_to"]) + to_read(message["content"], self.names, self.me)
        if message["edited_date"]:
            body += Content.styled(" (edited)", "dim")
        if message["reactions"]:
            body += Content("\n") + _reactions(message["reactions"])
        if not heads:
            return body
        made = datetime.fromisoformat(message["created_date"])
        return self._head(message["author_id"], made) + body

    def outgoing(self, outgoing: Outgoing, *, heads: bool) -> Content:
        """Not acknowledged yet: it must not look as if others had it."""
        text = to_read(outgoing.content, self.names, self.me).plain
        if outgoing.problem:
            body = Content.assemble(
                (text, "strike"), (f"\n✗ not sent: {outgoing.problem} (r: try again, d: drop it)", "$error")
            )
        else:
            body = Content.assemble((text, "dim italic"), ("  … sending", "$warning"))
        body = self._quoted(outgoing.reply_to) + body
        return self._head(self.me, outgoing.made_at) + body if heads else body

    def beginning(self, message: Entity) -> str:
        """Whose it is and how it begins, on one line."""
        named = SENT.sub(lambda found: f"@{self.names.get(found[1], 'someone')}", message["content"])
        text = " ".join(safe(named).split())
        return f"{self._name(message['author_id'])}: {text if len(text) <= QUOTED else text[:QUOTED].rstrip() + '…'}"

    def _quoted(self, message_id: int | None) -> Content:
        if message_id is None:
            return Content("")
        target = self.targets.get(message_id)
        text = self.beginning(target) if target is not None else "a message that is not there"
        return Content.styled(f"╭ {text}\n", "dim")

    def _head(self, author_id: str, moment: datetime) -> Content:
        style = "bold $success" if author_id == self.me else "bold $accent"
        return Content.assemble((self._name(author_id), style), (f"  {clock(moment)}", "dim"), "\n")

    def _name(self, user_id: str) -> str:
        return safe(self.names.get(user_id, "you" if user_id == self.me else "someone"))


def _reactions(reactions: list[Entity]) -> Content:
    """With a mark at one's own."""
    shown = [
        Content.styled(f"{safe(each['emoji'])} {each['count']}{' ✓' if each['me'] else ''}", _style(each))
        for each in reactions
    ]
    return Content("  ").join(shown)


def _style(reaction: Entity) -> str:
    return "bold $success" if reaction["me"] else "dim"
