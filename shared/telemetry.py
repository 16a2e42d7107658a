"""Logs as JSON lines with the ids that follow a request, and the Prometheus metrics of every part."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog
from prometheus_client import Counter, Gauge, Histogram

_LATENCY = (0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Histogram(
    "guildwire_requests_seconds", "Requests a service has run.", ["method", "outcome"], buckets=_LATENCY
)
COMMITS = Histogram("guildwire_journal_commit_seconds", "Journal transactions, to their majority.", buckets=_LATENCY)
GROUP_SIZE = Histogram(
    "guildwire_journal_group_size", "Appends that shared one transaction.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 200)
)
LOST_RACES = Counter("guildwire_journal_lost_races", "Commits begun again because another writer was first.")
ENTRIES = Counter("guildwire_journal_entries", "Entries committed.", ["kind"])
REPUBLISHED = Counter("guildwire_outbox_republished", "Entries a sweeper published for a writer that did not.")
PRUNED = Counter("guildwire_journal_pruned", "Old entries removed.")
PUBLISH_FAILURES = Counter("guildwire_publish_failures", "Publications that failed; the sweeper repeats them.")
REFUSED = Counter("guildwire_requests_refused", "Requests refused before they ran.", ["why"])
CASCADES = Counter("guildwire_cascade_batches", "Batches of what large changes left to be done.", ["kind", "outcome"])
IN_FLIGHT = Gauge("guildwire_requests_in_flight", "Requests a service is working on.")

LOOP_LAG = Histogram(
    "guildwire_loop_lag_seconds", "How late the event loop was for a timer.", buckets=(*_LATENCY, 20, 60)
)

CONNECTIONS = Gauge("guildwire_gateway_connections", "Open sockets.", ["state"])
FRAMES_IN = Counter("guildwire_gateway_frames_received", "Frames received from clients.")
FORWARDED_IN_VAIN = Counter(
    "guildwire_gateway_forwarded_in_vain", "Requests whose X-Forwarded-For came from none of TRUSTED_PROXIES."
)
CLOSES = Counter("guildwire_gateway_closes", "Sockets the gateway closed.", ["code"])
REPLIES = Histogram(
    "guildwire_gateway_request_seconds", "From a request's frame to its reply.", ["method", "reason"], buckets=_LATENCY
)
DELIVERIES = Counter("guildwire_gateway_deliveries", "Events sent, counted once per connection.")
FEEDS = Gauge("guildwire_gateway_scopes", "Scopes this gateway follows.", ["kind"])
CATCHING_UP = Gauge("guildwire_gateway_catching_up", "Connections being told what they missed, once per scope.")
GAPS = Counter("guildwire_gateway_gaps", "Gaps in a scope's revisions that the journal had to fill.")
REPAIRED = Counter("guildwire_gateway_repaired_entries", "Entries that came from the journal instead of a hint.")
SUSPICIONS = Counter("guildwire_gateway_suspicions", "Times all scopes were compared with the journal.", ["why"])
SUBSCRIPTIONS = Gauge("guildwire_nats_subscriptions", "Subjects subscribed to at NATS.")
NATS_FORBIDDEN = Counter("guildwire_nats_forbidden", "Publications and subscriptions that NATS did not permit.")
NATS_STATE = Gauge("guildwire_nats_connected", "1 while the NATS connection stands.")


def configure_logging(process: str, level: str) -> None:
    """JSON lines on stderr, one per event, with what `bind` has put into the context of the running task."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


def bind(**ids: str) -> None:
    """Puts ids (request, session, user, trace) into every log line of the running task."""
    structlog.contextvars.bind_contextvars(**{name: value for name, value in ids.items() if value})


def logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
