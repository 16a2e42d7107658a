"""Which leases have lapsed, as one observer judges it by its own clock. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from shared.settings import Settings
from shared.telemetry import logger

_SHARE = 0.3
"""More than this of all leases do not die at once: it is what they report over that has failed."""


class Watch:
    """Nothing lapses for a while after an outage of the observer's own, and a long gap between looks is one.

    While two or more lapse together that are more than a share of all, none does, nor for a while after that; for a
    while at most, for of two gateways both may have died.
    """

    def __init__(self, settings: Settings) -> None:
        self._expiry = settings.lease_expiry
        # Who falls silent at the same moment lapses within a beat and a look of one another, not at once.
        self._late = max(self._expiry - 1.5 * settings.lease_beat, self._expiry / 2)
        self._quiet = settings.lease_quiet
        self._freeze = settings.lease_freeze
        self._seen: dict[str, tuple[int, float]] = {}
        """By lease, its last beat and when it was first seen."""
        self._looked: float | None = None
        self._quiet_until = 0.0
        self._frozen_since: float | None = None

    def forget(self) -> None:
        """Another observer watches: should this one have to again, it begins anew."""
        self._seen.clear()
        self._looked = None

    def outage(self, now: float) -> None:
        self.forget()
        self._quiet_until = now + self._quiet

    def lapsed(self, beats: Mapping[str, int], now: float) -> list[str]:
        """The leases that are to be ended, of those that stand, each with its last beat."""
        if self._looked is not None and now - self._looked > self._expiry:
            self.outage(now)
        self._looked = now
        before = self._seen
        self._seen = {
            lease: before[lease] if lease in before and before[lease][0] == beat else (beat, now)
            for lease, beat in beats.items()
        }
        silent = [lease for lease, (_, since) in self._seen.items() if now - since > self._expiry]
        late = sum(now - since > self._late for _, since in self._seen.values()) if silent else 0
        if now < self._quiet_until or self._must_doubt(late, now):
            return []
        return silent

    def _must_doubt(self, silent: int, now: float) -> bool:
        if silent < 2 or silent <= _SHARE * len(self._seen):
            if self._frozen_since is not None:
                # What had failed works again: who is silent still may only be the last to come back.
                self._quiet_until = now + self._quiet
            self._frozen_since = None
            return now < self._quiet_until
        if self._frozen_since is None:
            self._frozen_since = now
            logger().error("many_gateways_silent", silent=silent, of=len(self._seen))
        return now - self._frozen_since < self._freeze
