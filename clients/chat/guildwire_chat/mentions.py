"""Naming others: `@ann` is what one writes and reads, `<@id>` what is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from guildwire import Cache
from textual.content import Content

from guildwire_chat.wording import safe

SENT = re.compile(r"<@([0-9a-f]{24})>")
WRITTEN = re.compile(r"(?<![\w<])@([a-z0-9_.]{2,32})")


def who_can_be_named(cache: Cache, channel_id: str) -> dict[str, str]:
    """Ids by user name: of the server's members as far as they are loaded, or of those in the direct channel."""
    server = cache.servers.get(cache.guilds.server_of.get(channel_id, ""))
    user_ids = server.members if server is not None else cache.direct_channels.get(channel_id, {}).get("user_ids", ())
    users = (cache.users.get(user_id) for user_id in user_ids)
    return {user["name"]: user["id"] for user in users if user is not None}


def to_send(text: str, ids: Mapping[str, str]) -> str:
    """A dot behind a name may end the sentence."""

    def sent(found: re.Match[str]) -> str:
        name, stem = found[1], found[1].rstrip(".")
        for known in (name, stem):
            if known in ids:
                return f"<@{ids[known]}>{name[len(known) :]}"
        return found[0]

    return WRITTEN.sub(sent, text)


def to_edit(content: str, ids: Mapping[str, str]) -> str:
    """What was written, as far as the names are known."""
    names = {user_id: name for name, user_id in ids.items()}
    return SENT.sub(lambda found: f"@{names[found[1]]}" if found[1] in names else found[0], content)


def to_read(content: str, names: Mapping[str, str], me: str) -> Content:
    """The names stand out, one's own the most."""
    shown = Content("")
    end = 0
    for found in SENT.finditer(content):
        shown += Content(safe(content[end : found.start()]))
        style = "bold reverse $warning" if found[1] == me else "bold $accent"
        shown += Content.styled(f"@{safe(names.get(found[1], 'someone'))}", style)
        end = found.end()
    return shown + Content(safe(content[end:]))
