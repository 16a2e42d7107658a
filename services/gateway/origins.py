"""Which handshakes are no client's of ours: pages of other sites, and whoever puts a secret where it gets logged."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import hdrs, web

ANY = "*"


def unwanted(request: web.Request, allowed: Collection[str]) -> web.Response | None:
    """The answer to a handshake that is refused for what it says; None for all others."""
    if request.query_string:
        text = "This address takes no query. A token goes into `authenticate`, never into a URL.\n"
        return web.Response(status=400, text=text)
    if _is_foreign(request.headers.get(hdrs.ORIGIN), request.headers.get(hdrs.HOST, ""), allowed):
        return web.Response(status=403, text="Pages of this origin may not connect here (ALLOWED_ORIGINS).\n")
    return None


def _is_foreign(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Only browsers name an origin, and pages can't change it: RFC 6455, section 10.2."""
    if origin is None or ANY in allowed or origin.lower() in allowed:
        return False
    return not host or origin.lower().partition("://")[2] != host.lower()
