"""What the people of the property test were told had happened: it must stand, whatever dies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Server:
    """A server as the acknowledged steps made it."""

    id: str
    owner: int
    invite: str
    members: set[int]
    channels: list[str]


@dataclass
class Message:
    """A message as the acknowledged steps made it; `rev` is that of the last of them, `key` channel and id."""

    key: tuple[str, int]
    author: int
    content: str
    rev: int
    deleted: bool = False


@dataclass
class Said:
    """A message's nonce, to be used again."""

    user: int
    channel_id: str
    content: str
    nonce: str
    id: int
