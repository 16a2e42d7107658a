"""The guards of production's algorithm, each with the edit that takes it out.

An edit's old text must occur exactly once in its module: when the code changes, the list has to follow.
"""

from __future__ import annotations

from tests.model import profile
from tests.model.mutation import Mutation, edit

_JOURNAL = "shared.journal"
_PUBLISHER = "shared.journal.publisher"
_PRUNER = "shared.journal.pruner"
_STORE = "shared.store"
_INDEXES = "shared.indexes"
_ORDERING = "services.gateway.ordering"
_INTEREST = "services.gateway.interest"
_CONNECTION = "services.gateway.connection"

COMMITTING = (
    Mutation(
        "unique index on scope and rev",
        profile.CALM,
        edit(_INDEXES, ('"journal": [IndexModel([("scope", 1), ("rev", 1)], unique=True)]', '"journal": []')),
    ),
    Mutation(
        "a majority is waited for",
        profile.DEADLY,
        edit(
            _STORE,
            (
                'read_concern=ReadConcern("snapshot"), write_concern=MAJORITY',
                'read_concern=ReadConcern("snapshot"), write_concern=WriteConcern(1)',
            ),
        ),
    ),
    Mutation(
        "a head is cached only once its commit is confirmed",
        profile.DEADLY,
        edit(
            _JOURNAL,
            (
                "        self._heads.doubt(scopes)\n",
                (
                    "        for entry in staged.entries:\n"
                    "            self._heads.confirmed(entry.scope, Head(entry.rev, entry.last_id))\n"
                ),
            ),
        ),
    ),
    Mutation(
        "heads are forgotten after a failure",
        profile.CALM,
        edit(_JOURNAL, ("        self._heads.doubt(scopes)\n", "")),
    ),
    Mutation(
        "published only after the commit",
        profile.CALM,
        edit(
            _JOURNAL,
            (
                "            await transaction.commit()\n",
                "            await self._publisher.publish(hints)\n            await transaction.commit()\n",
            ),
        ),
    ),
    Mutation(
        "acknowledged only after the commit",
        profile.CUT,
        edit(_STORE, ("raise OutcomeUnknown from error", "return")),
    ),
    Mutation(
        "an unknown commit is settled by repeating the commit alone",
        profile.DEADLY,
        edit(
            _STORE,
            (
                (
                    'if not error.has_error_label("UnknownTransactionCommitResult"):\n'
                    "                    raise failure(error) or error from error"
                ),
                "raise LostRace from error",
            ),
        ),
    ),
    Mutation(
        "a remembered head is there still",
        profile.PRUNED,
        edit(_JOURNAL, ("            staged.requires.extend(_still_there(remembered.values()))\n", "")),
    ),
    Mutation(
        "a scope's last entry is kept",
        profile.PRUNED,
        edit(_PRUNER, ('if entry["rev"] < heads[entry["scope"]].rev]', "]")),
    ),
    Mutation(
        "an entry goes with all before it",
        profile.PRUNED,
        edit(_PRUNER, ('"rev": {"$lte": rev}', '"rev": rev')),
    ),
    Mutation(
        "a write is judged by the permissions that it is committed under",
        profile.REVOLVING,
        edit(_JOURNAL, ("if await transaction.count(filters) < due:", "if False:")),
    ),
)

PUBLISHING = (
    Mutation(
        "the outbox is written in the same transaction",
        profile.DEADLY,
        edit(
            _JOURNAL,
            (
                (
                    "            outbox_id = await self._note_in_outbox(transaction, staged.entries)\n"
                    "            await transaction.commit()\n"
                ),
                (
                    "            await transaction.commit()\n"
                    "            async with self._store.transaction() as later:\n"
                    "                outbox_id = await self._note_in_outbox(later, staged.entries)\n"
                    "                await later.commit()\n"
                ),
            ),
        ),
    ),
    Mutation(
        "what was not published is swept up",
        profile.DEADLY,
        edit(_JOURNAL, ("group.create_task(self._sweeper.run())", "pass")),
    ),
    Mutation(
        "the outbox is cleared only once the hints are flushed",
        profile.DEADLY,
        edit(_PUBLISHER, ("await self._bus.flush()", "pass")),
    ),
    Mutation(
        "heads are said again",
        profile.LOSSY,
        edit(_PUBLISHER, ("self._repeats.committed(hint.entry.scope, hint.entry.rev, now)", "pass")),
    ),
    Mutation(
        "a sweep does not lower the head that is said again",
        profile.SEVERED,
        edit(_PUBLISHER, ("max(rev, quiet.rev) if quiet else rev", "rev")),
    ),
)

ORDERING = (
    Mutation(
        "what is not newer is dropped",
        profile.LOSSY,
        edit(_ORDERING, ("if entry.rev <= self.last:", "if False:")),
    ),
    Mutation(
        "what is behind a gap waits",
        profile.LOSSY,
        edit(
            _ORDERING,
            ("return self._early.get(self.last + 1)", "return self._early.get(min(self._early, default=0))"),
            ("entry = self._early.pop(self.last + 1)", "entry = self._early.pop(min(self._early))"),
        ),
    ),
    Mutation(
        "a gap is fetched",
        profile.LOSSY,
        edit(_INTEREST, ("if feed not in self._repairs:", "if False:")),
    ),
    Mutation(
        "the reorder buffer is bounded",
        profile.BURSTS,
        edit(_ORDERING, ("or len(self._early) < self._reorder_limit", "or True")),
    ),
    Mutation(
        "a full reorder buffer takes the next entry all the same",
        profile.BURSTS,
        edit(_ORDERING, ("if entry.rev == self.last + 1 or len", "if len")),
    ),
    Mutation(
        "who is ahead is not told what it knows",
        profile.ARRIVALS,
        edit(_ORDERING, ("elif position > self.last:", "elif False:")),
    ),
    Mutation(
        "who is behind is told what it missed",
        profile.REVOLVING,
        edit(_ORDERING, ("if position < self.last:", "if False:")),
    ),
    Mutation(
        "who is behind is told only its next",
        profile.REVOLVING,
        edit(_ORDERING, ("if self.behind.get(holder) != rev - 1:", "if holder not in self.behind:")),
    ),
    Mutation(
        "who is behind is live only once it has come to the last",
        profile.REVOLVING,
        edit(_ORDERING, ("if rev == self.last:", "if True:")),
    ),
    Mutation(
        "an entry waits for the permissions it was made under",
        profile.LOSSY,
        edit(_INTEREST, ("if server is not None and server.last < rev:", "if False:")),
    ),
)

FOLLOWING = (
    Mutation(
        "heads are compared after subscribing",
        profile.DEADLY,
        edit(
            _INTEREST,
            (
                "                await self._compare(feeds)\n                self.start(self._compare_later(feeds))\n",
                "",
            ),
        ),
    ),
    Mutation(
        "and once more a second later",
        profile.DEADLY,
        edit(_INTEREST, ("                self.start(self._compare_later(feeds))\n", "")),
    ),
    Mutation(
        "heads are compared by a digest",
        profile.DARK,
        edit(_INTEREST, ('self.doubt("digest")', "pass")),
    ),
    Mutation(
        "heads are compared after a reconnect",
        profile.ISLAND,
        edit("services.gateway.app", ("        self._interest.doubt(why)\n", "")),
    ),
    Mutation(
        "events wait for the reply under way",
        profile.READS,
        edit(_CONNECTION, (" or scope.name in self._holds:", ":")),
    ),
    Mutation(
        "events wait for the reply to authenticate",
        profile.REVOLVING,
        edit(
            _CONNECTION,
            ("if EVERYTHING in self._holds or ", "if "),
            ("while not self.closing and not self._released.is_set():", "while False:"),
        ),
    ),
    Mutation(
        "a read that answers with less than was told is asked again",
        profile.READS,
        edit("services.gateway.dispatch", ("if not _is_older(reply, told):", "if True:")),
    ),
    Mutation(
        "a reply is not older than an earlier reply's position",
        profile.LAGGING,
        edit(_ORDERING, ("self.behind.get(holder, self.ahead.get(holder))", "self.behind.get(holder)")),
    ),
    Mutation(
        "what is held back of a scope goes when the scope is left",
        profile.REVOLVING,
        edit(_INTEREST, ("        holder.drop(feed.scope)\n", "")),
    ),
)

ALL = (*COMMITTING, *PUBLISHING, *ORDERING, *FOLLOWING)
