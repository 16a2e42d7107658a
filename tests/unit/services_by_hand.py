"""What a gateway asks of the services, answered by hand: a test says what each answer knows, and what no hint told.

Everything of the gateway itself is real, but for the sockets and NATS.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, cast

from pydantic import BaseModel

from services.gateway.admission import Admission
from services.gateway.connection import Connection
from services.gateway.entrance import Entrance
from services.gateway.heard_users import HeardUsers
from services.gateway.interest import Interest
from services.gateway.lease import Lease
from services.gateway.limits import Limits
from services.gateway.outbox import Outbox
from services.gateway.sessions import Sessions
from services.gateway.tokens import Tokens
from services.gateway.upstream import Upstream
from services.gateway.visibility import Visibility
from shared.bus import Bus, Reply
from shared.errors import Unavailable
from shared.journal.entry import Entry
from shared.protocol.account import Authenticate, Authenticated, Identity, User
from shared.protocol.contract import Method
from shared.protocol.internal import GET_MEMBERSHIPS, GET_SERVER_VIEW, Memberships, ServerView
from shared.protocol.lease import ENTER_USER, KEEP_LEASE, Entered, LeaseState
from shared.scopes import Scope
from shared.settings import Settings

OUTBOX = 1 << 20
PATIENCE = 5.0
AT_ONCE = 4
TURNS = 50
"""Turns of the event loop in which all is done that waits for nothing."""


class Services:
    """`memberships` and `views` are what is answered; `journal` is what is committed, readable unless `silent`."""

    epoch = ""

    def __init__(self) -> None:
        self.journal: dict[str, list[Entry]] = {}
        self.memberships = Memberships(position=0, servers={})
        self.views: dict[str, ServerView] = {}
        self.silent = False
        self.answers = asyncio.Event()
        """Set unless a test holds back whose token it is."""
        self.answers.set()
        self.asked: list[str] = []
        """By whom it was asked."""

    def commit(self, scope: Scope, *events: dict[str, Any]) -> Entry:
        """The scope's next entry. No gateway hears of it, but by reading or if the test hands it on."""
        entries = self.journal.setdefault(scope.name, [])
        entries.append(Entry(scope, len(entries) + 1, list(events)))
        return entries[-1]

    async def heads(self, scopes: Sequence[str]) -> dict[str, int]:
        return {scope: len(self.journal.get(scope, ())) for scope in scopes}

    async def entries(self, scope: str, after: int) -> list[Entry]:
        if self.silent:
            raise Unavailable
        return self.journal.get(scope, [])[after:]

    async def call(self, method: Method[Any, Any], params: Any, _user_id: str = "") -> BaseModel:
        match method.name:
            case GET_MEMBERSHIPS.name:
                return self.memberships
            case GET_SERVER_VIEW.name:
                return self.views[params.server_id]
            case KEEP_LEASE.name:
                return LeaseState(stands=True)
            case ENTER_USER.name:
                return Entered(stands=True, user=_user(params.user_id))
        raise ValueError(f"{method.name} is not asked when somebody comes in")

    async def forward(self, _method: Method[Any, Any], payload: bytes, **_how: Any) -> Reply:
        """A token is the user's id."""
        user = _user(json.loads(payload)["token"])
        self.asked.append(user.id)
        await self.answers.wait()
        identity = Identity(user=user, session_id=f"of {user.id}", epoch=self.epoch)
        return Reply(identity.model_dump_json().encode(), {"status": "ok"})


def _user(user_id: str) -> User:
    return User(id=user_id, name="ann", display_name="Ann", image=None, status="online", status_text=None, rev=1)


class Wire:
    """Stands for a socket's transport; `told` are the events written to it: name, scope and revision.

    `unread` are the bytes that the other side has not taken yet.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.unread = 0

    def writelines(self, frames: Sequence[bytes]) -> None:
        self.frames.extend(frames)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self.unread

    @property
    def told(self) -> list[tuple[str, str, int]]:
        events = [json.loads(frame[frame.index(b"{") :]) for frame in self.frames]
        return [(each["method"], each["params"]["scope"], each["params"]["rev"]) for each in events]


class Gateway:
    """A gateway in front of services that answer by hand."""

    def __init__(self, services: Services) -> None:
        settings, upstream, bus = Settings(), cast(Upstream, services), cast(Bus, None)
        self._interest = Interest(bus, upstream, settings)
        users = HeardUsers(self._interest, settings.users_per_connection)
        visibility = Visibility(self._interest, upstream, users, settings.interest_linger)
        self._lease = Lease(upstream, settings)
        sessions = Sessions(bus, upstream, settings.digest_interval)
        tokens = Tokens(upstream, Limits(settings))
        self.admission = Admission(AT_ONCE)
        self.entrance = Entrance(
            upstream, self._interest, visibility, users, sessions, self._lease, tokens, self.admission
        )

    async def comes(
        self, user_id: str, resume: dict[str, int] | None = None, *, unread: int = 0
    ) -> tuple[Connection, Authenticated, Wire]:
        """A client of this user, who claims to stand there, and has not taken so many bytes."""
        await self._lease._keep()
        wire = Wire()
        wire.unread = unread
        connection = Connection(Outbox(cast(asyncio.Transport, wire), OUTBOX), lambda _code: None)
        params = Authenticate(token=user_id, resume=resume)
        return connection, await self.entrance.authenticate(connection, params, time.monotonic() + PATIENCE), wire

    async def hears(self, *entries: Entry) -> None:
        """The hints of these come, and whoever is to be told has been."""
        for entry in entries:
            self._interest.hear(entry.hint())
        for _ in range(TURNS):
            await asyncio.sleep(0)
