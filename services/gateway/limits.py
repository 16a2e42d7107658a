"""What one connection, one user and one address may ask of this gateway: token buckets, by the costs of the contracts.

A user's connections share a bucket, and so do all who come from one address as far as they open sockets, register, log
in, look at invites before it is known who they are, or show tokens that nobody has. Each gateway counts by itself. Who
is refused is told when to ask again; who goes on regardless is cut off.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.gateway.jsonrpc import Incoming
from services.gateway.upstream import Refused
from shared.errors import RateLimited, Unauthenticated
from shared.protocol.account import LOGIN, REGISTER
from shared.protocol.server import GET_SERVER
from shared.settings import Settings
from shared.telemetry import REFUSED
from shared.token_buckets import Bucket, Buckets, Rate, refusal

ABUSE = 4009
_LONGEST_WAIT = 10.0
"""Seconds that anybody is told to wait for tokens, also where a neighbour at the same address asks without end."""
_REMEMBERED = 100_000
_REFUSALS = Rate(burst=1000, per_second=20)
"""Of one connection: what a client may have sent before it read the first refusal, and more."""

_BY_ADDRESS = {LOGIN, REGISTER}


class Limits:
    """Of all connections; without them (`LIMITS=off`) nothing is refused."""

    def __init__(self, settings: Settings) -> None:
        self.on = settings.limits == "on"
        self._rate = Rate(settings.rate_burst, settings.rate_per_second)
        self._users = Buckets(self._rate, _REMEMBERED)
        self._addresses = Buckets(self._rate, _REMEMBERED)
        self._handshake_rate = settings.handshake_rate
        self._handshakes = Bucket(_of_handshakes(settings.handshake_rate), time.monotonic())
        of_one = _of_handshakes(settings.handshake_rate_per_address)
        self._handshakes_from = Buckets(of_one, _REMEMBERED)
        self._tokens_from = Buckets(of_one, _REMEMBERED)
        shown = Rate(10 * settings.image_rate_per_address, settings.image_rate_per_address)
        self._images_to = Buckets(shown, _REMEMBERED)

    def connection(self, address: str) -> ConnectionLimits:
        return ConnectionLimits(self, self._rate, address)

    def wait_for_handshake(self, address: str, crowd: float = 0) -> float:
        """Seconds until one more socket may come from there; 0: now. A storm would slow down those that are here.

        In a `crowd` nobody may, and so many seconds apart those may who are told to come. They are told another time
        each, or they would all come again at the same one. An address pays for each try, the more the farther apart
        they are: of these times it gets no more than of the places.
        """
        if not self.on:
            return 0
        now = time.monotonic()
        of_address, of_all = self._handshakes_from.of(address, now), self._handshakes
        cost = max(1, crowd * self._handshake_rate)
        if of_address.wait(cost, now):
            wait = of_address.turn(cost, now)
        else:
            of_address.take(cost, now)
            if crowd or of_all.wait(1, now):
                wait = of_all.turn(1, now, crowd)
            else:
                of_all.take(1, now)
                wait = 0
        if wait:
            REFUSED.labels(why="handshake").inc()
        return wait

    @contextmanager
    def showing_token(self, address: str) -> Iterator[None]:
        """Around the question whose a token is: it costs only who shows one that nobody has. Raises RateLimited.

        Paid for beforehand, or many could be tried side by side; each may come on a socket of its own, so there is
        as much as for these.
        """
        if not self.on:
            yield
            return
        bucket, made_up = self._tokens_from.of(address, time.monotonic()), False
        if wait := self.spend([bucket], 1):
            raise _limited(wait)
        try:
            yield
        except Refused as refused:
            made_up = refused.reason == Unauthenticated.reason
            raise
        finally:
            if not made_up:
                bucket.give_back(1)

    def check_user(self, user_id: str, cost: float) -> None:
        """For what a user asks without a connection. Raises RateLimited."""
        if wait := self.spend([self.user(user_id)], cost):
            raise _limited(wait)

    def check_image(self, address: str) -> None:
        """For an image that is looked up for whoever asks from there. Raises RateLimited."""
        if self.on and (wait := self.spend([self._images_to.of(address, time.monotonic())], 1)):
            raise _limited(wait)

    def spend(self, buckets: list[Bucket], cost: float) -> float:
        """Takes the cost from all of these, or from none and returns the seconds after which to ask again.

        Each of those refused together is told another time, or they would all come again at the same one; where they
        share a bucket, over whichever connections they come.
        """
        if not self.on:
            return 0
        now = time.monotonic()
        if short := [bucket for bucket in buckets if bucket.wait(cost, now)]:
            return max(bucket.turn(cost, now, longest=_LONGEST_WAIT) for bucket in short)
        for bucket in buckets:
            bucket.take(cost, now)
        return 0

    def user(self, user_id: str) -> Bucket:
        return self._users.of(user_id, time.monotonic())

    def address(self, address: str) -> Bucket:
        return self._addresses.of(address, time.monotonic())


class ConnectionLimits:
    """Of one connection, which comes from `address`."""

    __slots__ = ("_bucket", "_limits", "_refusals", "abused", "address")

    def __init__(self, limits: Limits, rate: Rate, address: str) -> None:
        self._limits = limits
        self._bucket = Bucket(rate, time.monotonic())
        self._refusals = Bucket(_REFUSALS, time.monotonic())
        self.address = address
        self.abused = False
        """It kept on sending what was refused."""

    def refusal(self, request: Incoming, user_id: str) -> RateLimited | None:
        """Why the request is not to run; None when it was paid for."""
        if not self._limits.on:
            return None
        cost = request.method.cost if request.method else 1
        buckets = [self._bucket]
        if user_id:
            buckets.append(self._limits.user(user_id))
        if request.method in _BY_ADDRESS or (not user_id and _looks_at_invite(request)):
            buckets.append(self._limits.address(self.address))
        return self._refused(self._limits.spend(buckets, cost))

    def late_refusal(self, request: Incoming, user_id: str) -> RateLimited | None:
        """The same for what came before it was known who sends it, and runs as that user."""
        if not self._limits.on:
            return None
        cost = request.method.cost if request.method else 1
        return self._refused(self._limits.spend([self._limits.user(user_id)], cost))

    def _refused(self, wait: float) -> RateLimited | None:
        if not wait:
            return None
        self.abused = self.abused or bool(self._limits.spend([self._refusals], 1))
        return _limited(wait)


def _of_handshakes(per_second: float) -> Rate:
    """Twice as many at once: so do clients come back that have all lost their sockets."""
    return Rate(2 * per_second, per_second)


def _looks_at_invite(request: Incoming) -> bool:
    return request.method is GET_SERVER and "invite" in request.params


def _limited(wait: float) -> RateLimited:
    return refusal("rate_limited", "Too many requests; slow down.", wait)
