"""A gateway that goes away: its clients leave one after the other, so that the others don't get them all at once.

From the first moment it takes nobody new; who is connected is served as ever until their time has come.
"""

from __future__ import annotations

import asyncio
import random

from services.gateway.socket import Sockets
from shared.telemetry import logger

_LAST_LEAVES_AT = 0.9
"""Of the window. The rest is for the answers and the closing of the last ones."""


class Drain:
    """Within `window` seconds, unless a request that was taken before takes longer."""

    def __init__(self, sockets: Sockets, window: float) -> None:
        self._sockets = sockets
        self._window = window

    async def run(self) -> None:
        """Returns when every socket is closed or about to be; early when all clients have gone before that."""
        sockets = self._sockets.accept_no_more()
        logger().info("draining", sockets=len(sockets), seconds=self._window)
        # Nobody always goes last for having come last, or for being of the same server.
        random.shuffle(sockets)
        times = delays(len(sockets), self._window)
        await asyncio.gather(*(socket.leave(after) for socket, after in zip(sockets, times, strict=True)))


def delays(amount: int, window: float) -> list[float]:
    """Seconds for each of so many, as far from each other as can be; the first too has some, to find another place."""
    step = window * _LAST_LEAVES_AT / max(amount, 1)
    return [step * number for number in range(1, amount + 1)]
