"""What aiohttp has to say of a connection, as lines of our log; of a peer's own words only what kind of error they are.

aiohttp quotes the bytes it could not read, and these may hold a token.
"""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError

from shared.telemetry import logger


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | ConnectionError):
            logger().debug("http_peer_failed", error=type(error).__name__)
        elif record.levelno >= logging.ERROR:
            logger().error("bug", about=record.getMessage(), exc_info=error)


def http_log() -> logging.Logger:
    """For `web.AppRunner(…, logger=http_log())`."""
    log = logging.Logger("http")  # noqa: LOG001 - of its own: nothing else is to hear of it
    log.addHandler(_Lines())
    return log
