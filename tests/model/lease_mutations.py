"""The guards of leases, each with the edit that takes it out."""

from __future__ import annotations

from tests.model import lease_simulation as weather
from tests.model.mutation import Mutation, edit

_LEASE = "services.gateway.lease"
_LEASES = "services.presence.leases"
_STATUS = "services.presence.status"
_WATCH = "services.presence.watch"

WATCHING = (
    Mutation(
        "a lease ends only at the beat that was seen",
        weather.PAUSED,
        edit(_LEASES, ('{**_standing(lease), "beat": beat}', "_standing(lease)")),
    ),
    Mutation(
        "a beat that moves is a sign of life",
        weather.QUIET,
        edit(_WATCH, ("lease in before and before[lease][0] == beat", "lease in before")),
    ),
    Mutation(
        "nobody lapses for a while after an outage of the observer",
        weather.BLACKOUT,
        edit(_WATCH, ("forget()\n        self._quiet_until = now + self._quiet", "forget()")),
    ),
    Mutation(
        "what was seen before an outage counts no more",
        weather.BLACKOUT,
        edit(
            _WATCH,
            ("        self.forget()\n        self._quiet_until = now + self._quiet", "        self._quiet_until = now"),
        ),
    ),
    Mutation(
        "an observer without NATS sees nothing",
        weather.BLACKOUT,
        edit(_LEASES, ("        if not self._bus.connected:\n            raise Unavailable\n", "")),
    ),
    Mutation(
        "a long gap between looks is an outage",
        weather.ASLEEP,
        edit(_WATCH, ("if self._looked is not None and now - self._looked > self._expiry:", "if False:")),
    ),
    Mutation(
        "many that are silent at once are doubted",
        weather.SPLIT,
        edit(_WATCH, ("or self._must_doubt(late, now)", "")),
    ),
    Mutation(
        "the last to come back is given time",
        weather.SPLIT,
        edit(
            _WATCH,
            (
                "                self._quiet_until = now + self._quiet\n            self._frozen",
                "                pass\n            self._frozen",
            ),
        ),
    ),
    Mutation(
        "who is about to lapse counts among the many",
        weather.SPLIT,
        edit(_WATCH, ("now - since > self._late for", "now - since > self._expiry for")),
    ),
    Mutation(
        "they are doubted for a while only",
        weather.HALVED,
        edit(_WATCH, ("return now - self._frozen_since < self._freeze", "return True")),
    ),
    Mutation(
        "a second look is for who came at the last moment",
        weather.PAUSED,
        edit(_LEASES, ('                change.insert("cascades", again)\n', "")),
    ),
    Mutation(
        "an ended lease never stands again",
        weather.PAUSED,
        edit(_LEASES, ('    return {"_id": lease, "ended": {"$exists": False}}\n', '    return {"_id": lease}\n')),
    ),
)

REPORTING = (
    Mutation(
        "who is here is reported under a new lease",
        weather.DYING,
        edit(_LEASE, ("            self._unreported = set(self._sockets)\n", "")),
    ),
    Mutation(
        "who comes back before it was reported is reported",
        weather.SPLIT,
        edit(
            _LEASE,
            (
                "            del self._sockets[user_id]\n",
                "            del self._sockets[user_id]\n            self._unreported.discard(user_id)\n",
            ),
        ),
    ),
    Mutation(
        "who leaves counts for a while",
        weather.QUIET,
        edit(
            _LEASE, ("self._leaving[user_id] = time.monotonic() + grace", "self._leaving[user_id] = time.monotonic()")
        ),
    ),
    Mutation(
        "who comes back within that stays",
        weather.QUIET,
        edit(_LEASE, ("or self._leaving.pop(user_id, None) is not None", "or user_id in self._leaving")),
    ),
    Mutation(
        "who could not be entered is reported",
        weather.BLACKOUT,
        edit(_LEASE, ("        self._unreported.add(user_id)\n        lease = await", "        lease = await")),
    ),
    Mutation(
        "one who goes has no other place",
        weather.QUIET,
        edit(
            _STATUS,
            (
                'elsewhere = {"_id": user_id, "present": lease, "present.1": {"$exists": True}}',
                'elsewhere = {"_id": user_id, "present": lease}',
            ),
        ),
    ),
    Mutation(
        "one who comes has no other place",
        weather.QUIET,
        edit(_STATUS, ('elsewhere = {"_id": user_id, "present.0": {"$exists": True}}', 'elsewhere = {"_id": user_id}')),
    ),
    Mutation(
        "who comes and who goes at once conflict",
        weather.RUSH,
        edit(_STATUS, ('"rev": user["rev"], "present": before or {"$in": [None, []]}, ', "")),
    ),
)

ALL = (*WATCHING, *REPORTING)
