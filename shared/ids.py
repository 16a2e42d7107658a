"""Identifiers: opaque entity ids, tokens, and the ids that follow a request through the parts."""

from __future__ import annotations

import hashlib
import secrets
import time

_CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


def new_id() -> str:
    """A new id of a user, server, channel, category or role: 24 hex digits, roughly in order of creation."""
    return f"{int(time.time()):08x}{secrets.token_hex(8)}"


def new_token() -> str:
    """A session token of 256 random bits; only its digest is stored."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """What is stored of a token. A plain hash suffices: 256 random bits cannot be guessed from it."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_invite_code() -> str:
    """Ten characters that a person can read out, about 58 bits."""
    return "".join(secrets.choice(_CODE_ALPHABET) for _ in range(10))


def new_epoch() -> str:
    """Names one history of a database; another value tells everyone to drop what they remember."""
    return secrets.token_hex(8)


def new_trace() -> str:
    """A `traceparent` header value (W3C Trace Context, level 1) that starts a new trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    """The trace id inside a `traceparent`, or an empty string when there is none."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""
