"""What every process does around its work: settings, logging, the admin port, signals, an orderly end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol

import uvloop

from shared.admin import Admin
from shared.errors import Misconfigured
from shared.settings import Settings, SettingsError
from shared.telemetry import LOOP_LAG, configure_logging, logger

_RETRY_FIRST, _RETRY_MOST = 0.2, 3.0
_LAG_EVERY = 0.1


class Part(Protocol):
    """A gateway or a service, as the process sees it."""

    async def start(self) -> None: ...

    async def work(self) -> None:
        """Runs until cancelled; its end by itself is a fault that ends the process."""

    async def drain(self) -> None:
        """Parts with whoever is connected, in its own time; cut short by a second signal."""

    async def stop(self) -> None: ...

    @property
    def ready(self) -> bool: ...


def run(kind: str, make: Callable[[Settings], Part]) -> None:
    """Runs one part until a signal; exits with 1 and one line on stderr when it cannot start.

    SIGTERM lets it drain first. SIGINT, or a second SIGTERM, stops it at once.
    """
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.exit(f"{kind}: {error}")
    if not settings.name:
        settings = settings.model_copy(update={"name": f"{kind}-{socket.gethostname()}-{os.getpid()}"})
    configure_logging(settings.name, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_live(make(settings), settings)))


async def _live(part: Part, settings: Settings) -> int:
    ended, at_once = _signals()
    admin = Admin(settings, lambda: part.ready and not ended.is_set())
    try:
        await admin.start()
    except OSError as error:
        logger().error("admin_port_unusable", port=settings.admin_port, error=error.strerror)
        return 1
    life = asyncio.create_task(_start_and_work(part))
    watch = asyncio.create_task(_watch_loop())
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait({life, ending}, return_when=asyncio.FIRST_COMPLETED)
    failed = life.done() and not ended.is_set()
    if failed:
        _say_why(life.exception() if not life.cancelled() else None)
    ending.cancel()
    if not failed:
        await _drain(part, at_once)
    await part.stop()
    life.cancel()
    watch.cancel()
    await asyncio.wait({life, watch}, timeout=5)
    await admin.close()
    logger().info("stopped")
    return 1 if failed else 0


def _say_why(error: BaseException | None) -> None:
    if isinstance(error, Misconfigured):
        logger().error("cannot_start", error=str(error))
    else:
        logger().error("stopped_by_itself", exc_info=error)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first signal; and by the one that bears no delay."""
    ended, at_once = asyncio.Event(), asyncio.Event()

    def end(signum: signal.Signals) -> None:
        if ended.is_set() or signum == signal.SIGINT:
            at_once.set()
        ended.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, end, signum)
    return ended, at_once


async def _drain(part: Part, at_once: asyncio.Event) -> None:
    draining, hurrying = asyncio.create_task(part.drain()), asyncio.create_task(at_once.wait())
    await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    draining.cancel()
    await asyncio.wait({draining})
    if not draining.cancelled() and (error := draining.exception()):
        logger().error("bug", exc_info=error)  # it stops all the same


async def _start_and_work(part: Part) -> None:
    await part.start()
    gc.collect()
    gc.freeze()
    logger().info("started")
    await part.work()


async def _watch_loop() -> None:
    """Measures how long whatever comes has to wait until the loop turns to it."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_EVERY
        await asyncio.sleep(_LAG_EVERY)
        LOOP_LAG.observe(max(loop.time() - due, 0.0))


async def until_it_works(what: str, attempt: Callable[[], Awaitable[object]]) -> None:
    """Repeats `attempt` with growing pauses: a dependency that is not up yet is waited for, and said in the log.

    Raises Misconfigured: for that there is nothing to wait for.
    """
    pause = _RETRY_FIRST
    while True:
        try:
            await attempt()
        except Misconfigured:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a driver raises while its server is not up
            logger().warning("waiting_for", what=what, error=str(error) or type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_MOST)
        else:
            return
