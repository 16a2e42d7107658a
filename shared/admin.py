"""The port for those who run the system: /metrics, /healthz (the process lives) and /readyz (it can do its work)."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.http_log import http_log
from shared.settings import Settings
from shared.telemetry import logger


class Admin:
    """Serves until `close`; `ready` decides what /readyz says."""

    def __init__(self, settings: Settings, ready: Callable[[], bool]) -> None:
        self._settings = settings
        self._ready = ready
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        # Nobody has a body to send here; one that comes packed is left packed, for it may be a gigabyte.
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False, logger=http_log())

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.admin_host, self._settings.admin_port)
        await site.start()
        port = self._runner.addresses[0][1]
        logger().info("admin_listening", port=port)
        if self._settings.admin_file:
            self._settings.admin_file.write_text(str(port), encoding="utf-8")

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if self._ready() else web.Response(status=503, text="not ready\n")
