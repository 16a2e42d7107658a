"""Starts the messages service."""

from services.messages.chunks import Chunks
from services.messages.messages import Messages
from shared.service import Parts, run_service


def handlers(parts: Parts) -> list[object]:
    return [Messages(parts), Chunks(parts)]


if __name__ == "__main__":
    run_service("messages", handlers)
