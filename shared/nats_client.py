"""nats-py, where it must do otherwise than it does."""

from __future__ import annotations

from typing import Any

import nats.errors
from nats.aio.client import Client


class PlainText(nats.errors.Error):
    """The server speaks no TLS, where it must."""


class NatsClient(Client):
    """nats-py speaks TLS where the server offers it. Where it must, this one sends nothing before."""

    must_be_encrypted = False

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if self.must_be_encrypted and initial_connection and not info.get("tls_required"):
            raise PlainText("the server does not speak TLS")
        await super()._process_info(info, initial_connection)

    def forget_unsent(self) -> None:
        """It would send it over the next connection, where nobody may answer or waits for what was this one's."""
        self._pending = []
        self._pending_data_size = 0
