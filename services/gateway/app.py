"""The gateway as one process: its parts put together, its HTTP routes, its start and its end."""

from __future__ import annotations

import asyncio

from aiohttp import web

from services.gateway.addresses import Addresses
from services.gateway.admission import Admission
from services.gateway.dispatch import Parts
from services.gateway.doorstep import Doorstep
from services.gateway.drain import Drain
from services.gateway.entrance import Entrance
from services.gateway.heard_users import HeardUsers
from services.gateway.images import Images
from services.gateway.interest import Interest
from services.gateway.lease import Lease
from services.gateway.limits import Limits
from services.gateway.sessions import Sessions
from services.gateway.socket import Sockets
from services.gateway.tokens import Tokens
from services.gateway.upstream import Upstream
from services.gateway.visibility import Visibility
from shared.bus import Bus
from shared.http_log import http_log
from shared.process import until_it_works
from shared.settings import Settings
from shared.telemetry import logger

_KEPT_OPEN = 75.0
"""Seconds between two HTTP requests of a connection: more than balancers keep theirs, so that they close first."""


class Gateway:
    """Ready means started and not going away: a dependency that is down is no reason to drop every socket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bus = Bus(settings, "gateway")
        upstream = Upstream(self._bus, settings)
        self._interest = Interest(self._bus, upstream, settings)
        users = HeardUsers(self._interest, settings.users_per_connection)
        self._visibility = Visibility(self._interest, upstream, users, settings.interest_linger)
        self._sessions = Sessions(self._bus, upstream, settings.digest_interval)
        self._lease = Lease(upstream, settings)
        limits, addresses = Limits(settings), Addresses(settings.trusted_proxies)
        tokens = Tokens(upstream, limits)
        admission = Admission(settings.authentications)
        entrance = Entrance(
            upstream, self._interest, self._visibility, users, self._sessions, self._lease, tokens, admission
        )
        parts = Parts(settings, upstream, self._interest, users, entrance, limits)
        self._sockets = Sockets(parts, self._visibility, addresses, admission)
        self._images = Images(upstream, settings, limits, tokens, addresses)
        upstream.on_new_epoch = self._sockets.end_all
        self._upstream = upstream
        self._bus.on_doubt = self._doubt
        self._doorstep = Doorstep(
            settings.handshake_timeout,
            settings.idle_connections,
            lambda: self._runner.server.connections if self._runner.server else [],
        )
        self._runner = web.AppRunner(
            self._routes(),
            access_log=None,
            shutdown_timeout=1,
            keepalive_timeout=_KEPT_OPEN,
            # A packed body is left packed: a megabyte of it may be a gigabyte, which nobody has asked for.
            auto_decompress=False,
            logger=http_log(),
        )
        self.ready = False

    async def start(self) -> None:
        await until_it_works("nats", self._bus.connect)
        await self._upstream.hear_replicas()
        await until_it_works("nats", self._bus.must_be_permitted)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, self._settings.port, backlog=1024).start()
        logger().info("listening", host=self._settings.host, port=self._runner.addresses[0][1])
        self.ready = True

    async def work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._upstream.run())
            group.create_task(self._interest.run())
            group.create_task(self._visibility.run())
            group.create_task(self._sessions.run())
            group.create_task(self._lease.run())
            group.create_task(self._doorstep.run())

    async def drain(self) -> None:
        self.ready = False
        window = self._settings.drain_seconds
        uploads_end = self._images.uploads_end(within=window + self._settings.request_timeout)
        await asyncio.gather(Drain(self._sockets, window).run(), uploads_end)

    async def stop(self) -> None:
        self.ready = False
        await self._sockets.close()
        await self._runner.cleanup()
        await self._bus.close()

    def _doubt(self, why: str) -> None:
        self._interest.doubt(why)
        self._sessions.doubt()

    def _routes(self) -> web.Application:
        app = web.Application(middlewares=[self._doorstep.let_in])
        app.router.add_get("/ws", self._sockets.handle)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._images.serve(app.router)
        return app

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if self.ready else web.Response(status=503, text="not ready\n")
