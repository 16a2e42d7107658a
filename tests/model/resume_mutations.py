"""The guards of resuming, each with the edit that takes it out."""

from __future__ import annotations

from tests.model import profile
from tests.model.mutation import Mutation, edit

_RESUMPTION = "services.gateway.resumption"
_ENTRANCE = "services.gateway.entrance"
_VISIBILITY = "services.gateway.visibility"
_INTEREST = "services.gateway.interest"
_DISPATCH = "services.gateway.dispatch"

ALL = (
    Mutation(
        "what is claimed of a server beyond this gateway's feed is not believed",
        profile.RESUMED,
        edit(
            _RESUMPTION,
            (
                'return min(read, self._visibility.last_of(_id(name))) if name.startswith("server:") else read',
                "return 1 << 30",
            ),
        ),
    ),
    Mutation(
        "who knows more than was read may be in servers that were not read",
        profile.RESUMED,
        edit(_RESUMPTION, ("unsure = self._is_behind(positions, read)", "unsure = False")),
    ),
    Mutation(
        "a channel is current only if its sight is proven",
        profile.RESUMED,
        edit(_RESUMPTION, ("proven = channels[name] in connection.proven", "pass")),
    ),
    Mutation(
        "a server whose entries may have changed a user's sight is stale",
        profile.RESUMED,
        edit(_VISIBILITY, (" or sight_changed(missed, user_id, server.sight.roles_of(user_id))", "")),
    ),
    Mutation(
        "what a client saw where it stands is not what it sees now",
        profile.RESUMED,
        edit(
            _VISIBILITY,
            ("return server.sight.known_before(user_id, missed)", "return server.sight.seen_by(user_id)"),
        ),
    ),
    Mutation(
        "a self scope that missed how its user came in is stale",
        profile.RESUMED,
        edit(_RESUMPTION, ('return not happened(entries, "server_added", "direct_channel_added")', "return True")),
    ),
    Mutation(
        "a channel whose missed entries are not all there is stale",
        profile.ABSENT,
        edit(
            _RESUMPTION,
            (
                "proven = len(entries) == missed and _can_be_told(connection, name, entries)",
                "proven = _can_be_told(connection, name, entries)",
            ),
        ),
    ),
    Mutation(
        "a server whose missed entries are not all there is stale",
        profile.ABSENT,
        edit(_RESUMPTION, ("proven = len(entries) == missed and self._knows", "proven = self._knows")),
    ),
    Mutation(
        "what was missed of a scope is little",
        profile.ABSENT,
        edit(
            _RESUMPTION,
            ("0 <= missed <= min(MISSED_PER_SCOPE, connection.replay_left)", "0 <= missed <= connection.replay_left"),
            ("0 < missed <= min(MISSED_PER_SCOPE, left)", "0 < missed <= left"),
        ),
    ),
    Mutation(
        "a current scope is told from where the client stands",
        profile.RESUMED,
        edit(_ENTRANCE, ("start = found.positions.get(name, membership.rev)", "start = membership.rev")),
    ),
    Mutation(
        "who is told nothing missed waits for no replay",
        profile.RESUMED,
        edit(_RESUMPTION, ("min(head, max(position, feed.last)) if feed else head", "head")),
    ),
    Mutation(
        "a later resume takes no server back",
        profile.RESUMED,
        edit(_ENTRANCE, ('feed.scope.kind == "server" or not untold', "not untold")),
    ),
    Mutation(
        "what was told since the client came is not told again in order",
        profile.RESUMED,
        edit(_ENTRANCE, ("untold = connection.attached_at.get(name) == feed.last", "untold = True")),
    ),
    Mutation(
        "a later resume moves a connection to where its client stands",
        profile.RESUMED,
        edit(
            _ENTRANCE,
            (
                (
                    "        self._interest.leave(feed, connection)\n"
                    "        self._interest.join(feed, connection, position)\n"
                    "        return True\n"
                ),
                "        return True\n",
            ),
        ),
    ),
    Mutation(
        "events wait for the reply to a later resume",
        profile.RESUMED,
        edit(
            _DISPATCH,
            ("case Resume():\n                self._hold([EVERYTHING], outcome)", "case Resume():"),
        ),
    ),
    Mutation(
        "resumed follows what was missed",
        profile.RESUMED,
        edit(_DISPATCH, ("        await self._connection.caught_up.wait()\n", "")),
    ),
    Mutation(
        "who can no longer be told in order starts anew",
        profile.ABSENT,
        edit(_INTEREST, ("if entries and entries[0].rev > position + 1:", "if False:")),
    ),
    Mutation(
        "a self scope is held against what was read with it",
        profile.REJOINED,
        edit(_RESUMPTION, ("heads |= {name: max(heads[name], read[name]) for", "heads |= {name: heads[name] for")),
    ),
)
