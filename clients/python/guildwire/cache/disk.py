"""A cache as a file: versioned JSON, replaced at once or not at all, readable by its owner alone."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guildwire.cache.pages import Pages, Ranges
from guildwire.cache.servers import CachedServer

if TYPE_CHECKING:
    from guildwire.cache.cache import Cache

VERSION = 3
MESSAGES_KEPT = 1_000
"""Of each channel, the newest."""

Document = dict[str, Any]


def dump(cache: Cache) -> Document:
    for pages in cache.messages.pages.values():
        pages.trim(MESSAGES_KEPT)
    return {
        "version": VERSION,
        "user_id": cache.user_id,
        "epoch": cache.epoch,
        "parts": [[scope, name, part.rev] for scope, name, part in cache.positions],
        "servers": [_server(server) for server in cache.guilds.servers.values()],
        "pages": {channel_id: _pages(pages) for channel_id, pages in cache.messages.pages.items()},
        "users": list(cache.users.all().values()),
        "directs": list(cache.directs.channels.values()),
        "reads": cache.reads.states,
        "friends": {"list": list(cache.friends.all.values()), "complete": cache.friends.complete},
        "settings": cache.settings.value,
    }


def restore(cache: Cache, document: Document) -> None:
    """Into an empty cache. None of it is trusted before the server has been told how far it is."""
    cache.user_id = cache.users.me = cache.reads.me = document["user_id"]
    cache.epoch = document["epoch"]
    for saved in document["servers"]:
        server = CachedServer(**saved)
        cache.guilds.servers[server.entity["id"]] = server
        for channel_id in server.channels:
            cache.guilds.server_of[channel_id] = server.entity["id"]
    for channel_id, saved in document["pages"].items():
        cache.messages.pages[channel_id] = _restored(saved)
    cache.users.take_all(document["users"])
    cache.directs.channels.update((saved["id"], saved) for saved in document["directs"])
    cache.reads.states.update(document["reads"])
    friends = document.get("friends", {"list": [], "complete": False})
    cache.friends.all.update({friend["user_id"]: friend for friend in friends["list"]})
    cache.friends.complete = friends["complete"]
    cache.settings.value = document.get("settings", {})
    for scope, name, rev in document["parts"]:
        cache.positions.load(scope, name, rev)
    cache.positions.disconnect()


def write(path: Path, document: Document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The new file is whole, and on disk, before it takes the old one's place.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False, encoding="utf-8") as file:
        try:
            json.dump(document, file, separators=(",", ":"), ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def read(path: Path) -> Document | None:
    """None if there is no file, or none of this version."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("version") == VERSION else None


def _server(server: CachedServer) -> Document:
    return {
        "entity": server.entity,
        "channels": server.channels,
        "categories": server.categories,
        "roles": server.roles,
        "members": server.members,
        "all_members": server.all_members,
        "order": server.order,
    }


def _pages(pages: Pages) -> Document:
    return {
        "messages": list(pages.messages.values()),
        "ranges": pages.ranges.spans,
        "live_end": pages.live_end,
        "last_message_id": pages.last_message_id,
    }


def _restored(saved: Document) -> Pages:
    return Pages(
        messages={message["id"]: message for message in saved["messages"]},
        ranges=Ranges((low, high) for low, high in saved["ranges"]),
        live_end=saved["live_end"],
        last_message_id=saved["last_message_id"],
    )
