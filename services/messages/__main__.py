"""Starts the messages service."""

from services.messages.chunks import Chunks
from services.messages.clearing import Clearing
from services.messages.directs import Directs
from services.messages.messages import Messages
from services.messages.reactions import Reactions
from services.messages.reads import Reads
from services.messages.remains import Remains
from services.messages.typing_signs import TypingSigns
from shared.service import Parts, run_service


def handlers(parts: Parts) -> list[object]:
    return [
        Messages(parts),
        Chunks(parts),
        Reactions(parts),
        Clearing(parts),
        TypingSigns(parts),
        Reads(parts),
        Directs(parts),
        Remains(parts),
    ]


if __name__ == "__main__":
    run_service("messages", handlers)
