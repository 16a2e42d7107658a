"""What a client holds, and how far: it notices whatever a client can notice, and what the oracle knows besides.

Of every scope one position is kept: where the copy stands. From an exact one (a reply or an event said it) the next
event must be the very next entry the client may see. Of a channel that was not read yet, and of what is stale, it is
known only that nothing committed after `authenticate` was answered may be missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.model.events import SERVER
from tests.model.oracle import Committed, Oracle
from tests.model.production import REPLAYED_MOST, REPLAYED_PER_SCOPE
from tests.model.world import World

SERVER_SCOPE = f"server:{SERVER}"


@dataclass(slots=True)
class Position:
    """`rev` is where the copy stands; until it is `exact`, the first event may also be older than that.

    `known` is how far nothing can be missing any more, by events or by a reply; `since` the number of the last question
    asked before it was put there. `claim` is what the client would resume from; while the copy is `stale` only a reply
    moves that.
    """

    rev: int
    exact: bool
    known: int
    since: int = 0
    claim: int | None = None
    stale: bool = False


class Cache:
    """`asked` is the number of the last question that the client has asked."""

    def __init__(self, world: World, oracle: Oracle, name: str, user_id: str) -> None:
        self.name = name
        self.user_id = user_id
        self.mine = f"self:{user_id}"
        self.asked = 0
        self.positions: dict[str, Position] = {}
        self._world = world
        self._oracle = oracle
        self.told_of: set[str] = set()
        """The channels that nobody needs to tell it of."""
        self._learned = False
        """It is in no server, by an answer: the events that say so may still be on their way."""

    @property
    def is_in_server(self) -> bool:
        return SERVER_SCOPE in self.positions

    def clear(self) -> None:
        self.positions.clear()
        self.told_of.clear()
        self._learned = False

    def claims(self) -> dict[str, int]:
        """From where it would go on."""
        return {scope: each.claim for scope, each in self.positions.items() if each.claim is not None}

    def enter(self, current: Mapping[str, int]) -> None:
        """As a client comes that holds nothing."""
        self.clear()
        self.positions = {scope: self.at(rev) for scope, rev in current.items()}
        self.know_channels(current.get(SERVER_SCOPE, 0))

    def know_channels(self, rev: int) -> None:
        """All that the server had at that revision; what was read of them is kept."""
        for channel, added in self._oracle.channels.items():
            if added <= rev:
                self.told_of.add(channel)
                self.positions.setdefault(channel, self.unread(channel))

    def at(self, rev: int) -> Position:
        return Position(rev, exact=True, known=rev, since=self.asked, claim=rev)

    def unread(self, scope: str, claim: int | None = None) -> Position:
        head = self._oracle.head(scope)
        return Position(head, exact=False, known=head, since=self.asked, claim=claim, stale=claim is not None)

    def fail(self, message: str) -> None:
        self._world.fail(f"{self.name} {message}")

    # What it is answered.

    def answered(self, scope: str, rev: int, asked: int) -> None:
        """A snapshot of the scope: older than no event, and followed by all that it does not hold.

        What was asked before the scope was entered (and left, and entered again) says nothing any more.
        """
        position = self.positions.get(scope)
        if position is None or asked <= position.since:
            return
        if position.exact and rev < position.rev:
            self.fail(f"is answered with {scope}@{rev}, but stood at {position.rev}")
        if not position.exact:
            position.rev = min(position.rev, rev)
        position.known = max(position.known, rev)
        if position.stale or position.claim is None:
            position.stale, position.claim = False, rev

    def answered_servers(self, rev: int, *, member: bool, asked: int) -> None:
        mine = self.positions.get(self.mine)
        if mine is None or asked <= mine.since:
            return
        self.answered(self.mine, rev, asked)
        if not member:
            self.leave_server()
            self._learned = True
        elif not self.is_in_server:
            self.positions[SERVER_SCOPE] = self.unread(SERVER_SCOPE)
            self.know_channels(self._oracle.head(SERVER_SCOPE))

    # What it is told.

    def hear(self, name: str, params: dict[str, Any]) -> None:
        scope, rev = params["scope"], params["rev"]
        if scope not in self.positions and (
            self._learned or (self.mine in self.positions and self.positions[self.mine].stale)
        ):
            return  # until it has asked, it knows nothing of what it is in; and what it left may still have a last word
        entry = self._oracle.entry(scope, rev)
        if entry is not None and name == "channel_added" and entry.adds != f"channel:{params['channel']['id']}":
            self._hear_early(entry, params)
            return
        if entry is None or entry.event["name"] != name:
            self.fail(f"is told of {scope}@{rev} {name}, which is not committed")
            return
        self._check_place(entry)
        if scope.startswith("channel:"):
            self._check_sight(entry)
        self._move(name, params)

    def _hear_early(self, entry: Committed, params: dict[str, Any]) -> None:
        """Who is behind is told of what has come into its sight with the first entry that it missed."""
        channel, position = f"channel:{params['channel']['id']}", self.positions.get(entry.scope)
        late = position is None or (position.exact and channel in self.told_of)
        if position is None or late or self._oracle.channels.get(channel, 0) < entry.rev:
            self.fail(f"is told of {channel} at {entry.scope}@{entry.rev}, which it is not new at")
            return
        due = self.due(entry.scope)
        if position.exact and due is not None and due.rev < entry.rev:
            self.fail(f"is told of {entry.scope}@{entry.rev}, but its next is {due.rev}")
        if due is None or due.rev > entry.rev:  # else what the entry itself says is still to come
            position.rev = max(position.rev, entry.rev)
            self._moved(position, entry.rev)
        self._move("channel_added", params)

    def _check_place(self, entry: Committed) -> None:
        position = self.positions.get(entry.scope)
        where = f"is told of {entry.scope}@{entry.rev}"
        if position is None:
            self.fail(f"{where}, which it does not hold")
            return
        leaves = entry.event["name"] == "member_deleted" and entry.is_about(self.user_id)
        due = self.due(entry.scope, leaves=leaves)
        expected = due.rev if due else None
        if position.exact and entry.rev != expected:
            self.fail(f"{where}, but its next is {expected}")
        if not position.exact and expected is not None and entry.rev > expected:
            self.fail(f"{where}, but may not have missed {expected}")
        position.rev, position.exact = entry.rev, True
        self._moved(position, entry.rev)

    def _moved(self, position: Position, rev: int) -> None:
        position.known = max(position.known, rev)
        if not position.stale:
            position.claim = max(position.claim or 0, rev)

    def _check_sight(self, entry: Committed) -> None:
        """Behind the barrier: all that the client may see of the server's up to `perm_rev` was told before."""
        where = f"is told of {entry.scope}@{entry.rev}"
        if self._oracle.was_gone(self.user_id, entry.version):
            self.fail(f"{where}, written when it was no member any more")
        if not self.is_in_server:
            self.fail(f"{where}, but is not in the server")
            return
        due = self.due(SERVER_SCOPE)
        if due is not None and due.rev <= entry.perm_rev:
            self.fail(f"{where}, judged under {entry.perm_rev}, before {SERVER_SCOPE}@{due.rev}")

    def due(self, scope: str, *, leaves: bool = False) -> Committed | None:
        """What it is to be told next of a scope that it holds; who leaves need not be told of channels any more."""
        known = self._oracle.channels if leaves else self.told_of
        return self._oracle.next_visible(scope, self.positions[scope].rev, self.user_id, known)

    def _move(self, name: str, params: dict[str, Any]) -> None:
        match name:
            case "server_added":
                self.leave_server()
                self._learned = False
                self.positions.update({scope: self.at(rev) for scope, rev in params["scopes"].items()})
                self.told_of.update(each for each in params["scopes"] if each.startswith("channel:"))
            case "server_deleted" | "member_deleted":
                self.leave_server()
            case "channel_added":
                channel = f"channel:{params['channel']['id']}"
                self.positions[channel] = self.at(params["at"])
                self.told_of.add(channel)

    def leave_server(self) -> None:
        for scope in [scope for scope in self.positions if not scope.startswith("self:")]:
            self.drop(scope)
        self.told_of.clear()

    def drop(self, scope: str) -> None:
        self.positions.pop(scope, None)

    # Whether all is well.

    def missing(self) -> list[str]:
        """What it should have been told by now, and was not."""
        wrong = [
            f"{self.name} stands at {position} of {scope}, missing {due.rev} of {self._oracle.head(scope)}"
            for scope, position in self.positions.items()
            if (due := self._oracle.next_visible(scope, position.known, self.user_id, self.told_of)) is not None
        ]
        member = self._oracle.is_member(self.user_id)
        if member != self.is_in_server:
            wrong.append(f"{self.name} is {'' if member else 'no '}member, but does not know")
        if member:
            wrong.extend(f"{self.name} lacks {each}" for each in self._oracle.channels if each not in self.positions)
        return wrong


class Resuming:
    """A cache goes on where it stood when its socket was lost, as the replies sort it.

    `pending` is what a later `resume` is for, and the last event of it that came before that. `promised` is how far it
    is told all of each current scope before `resumed`, which is `awaited` after each of the replies.
    """

    def __init__(self, oracle: Oracle, cache: Cache) -> None:
        self._oracle = oracle
        self._cache = cache
        self._claims = cache.claims()
        self._left = REPLAYED_MOST
        self.pending: dict[str, int] = {}
        self.promised: dict[str, int] = {}
        self.awaited = 0
        self._named_server = False

    def begin(self, claims: Mapping[str, int], result: Mapping[str, Any], pending: Iterable[str]) -> None:
        cache, was_in_server = self._cache, self._cache.is_in_server
        self.pending = dict.fromkeys(pending, 0)
        cache.clear()
        for scope in self.pending:
            cache.positions[scope] = cache.unread(scope, self._claims[scope])
        self._sort(claims, result)
        if was_in_server and SERVER_SCOPE not in self._claims and cache.mine in result["current"]:
            cache.positions[SERVER_SCOPE] = cache.unread(SERVER_SCOPE)
        if (server := cache.positions.get(SERVER_SCOPE)) is not None:
            cache.know_channels(server.rev)

    def go_on(self, claims: Mapping[str, int], result: Mapping[str, Any]) -> None:
        """The reply to a later `resume`; of what was left meanwhile it says nothing."""
        came = {scope: self.pending.pop(scope) for scope in claims}
        claims = {scope: at for scope, at in claims.items() if scope in self._cache.positions}
        for scope in claims.keys() & result["current"].keys():
            if came[scope] > claims[scope]:
                self._cache.fail(f"is told that {scope} is current, but was told of it before")
        self._named_server |= SERVER_SCOPE in claims
        self._sort(claims, result)
        if SERVER_SCOPE in claims and SERVER_SCOPE in result["current"]:
            self._cache.told_of.clear()
            self._cache.know_channels(claims[SERVER_SCOPE])

    def _sort(self, claims: Mapping[str, int], result: Mapping[str, Any]) -> None:
        cache = self._cache
        self.awaited += 1
        for scope, claim in claims.items():
            if scope in result["current"]:
                self._check_current(scope, claim, result["current"])
                cache.positions[scope] = cache.at(claim)
            elif scope in result["stale"]:
                cache.positions.setdefault(scope, cache.unread(scope, claim))
            elif scope in result["gone"]:
                self._check_gone(scope)
                cache.drop(scope)
            else:
                cache.fail(f"is not told what has become of {scope}")
        if SERVER_SCOPE in claims and SERVER_SCOPE in result["gone"]:
            cache.leave_server()

    def _check_current(self, scope: str, claim: int, current: Mapping[str, int]) -> None:
        """It is to be told little enough, and its sight is as it was.

        A server that a later `resume` names may be stale though the sight of its channels is proven.
        """
        fail, head = self._cache.fail, current[scope]
        where = f"is told that {scope}@{claim} is current up to {head}"
        self._left -= head - claim
        if head < claim or self._left < 0 or head - claim > REPLAYED_PER_SCOPE:
            fail(f"{where}, with {self._left} left to be told")
        if scope == SERVER_SCOPE and (entry := self._oracle.sight_changed(self._cache.user_id, claim, head)):
            fail(f"{where}, though {entry.rev} may have changed its sight")
        if scope.startswith("channel:") and SERVER_SCOPE not in current and not self._named_server:
            server = self._cache.positions.get(SERVER_SCOPE)
            if server is None or server.stale:
                fail(f"{where}, but it is not known whether it saw that all the time")
        self.promised[scope] = head

    def _check_gone(self, scope: str) -> None:
        """It is not, for one who was a member all the time since."""
        since = self._claims.get(SERVER_SCOPE)
        stayed = since is not None and not self._oracle.came_or_went(self._cache.user_id, since)
        if scope == self._cache.mine or stayed:
            self._cache.fail(f"is told that {scope} is gone")

    def heard(self, scope: str, rev: int) -> None:
        if scope in self.pending:
            self.pending[scope] = rev

    def done(self, awaited: Collection[str]) -> bool:
        """`resumed` is told; after the last reply's everything that was missed is. Whether more is to come.

        But for what waits itself for an awaited reply, of its own scope or one that it builds on.
        """
        self.awaited -= 1
        if self.awaited or self.pending:
            return True
        promised, self.promised = self.promised, {}
        for scope in promised if not {SERVER_SCOPE, self._cache.mine} & {*awaited} else ():
            position = self._cache.positions.get(scope) if scope not in awaited else None
            if (
                position is not None
                and position.exact
                and (due := self._cache.due(scope))
                and due.rev <= promised[scope]
            ):
                self._cache.fail(f"has resumed, but was not told {scope}@{due.rev}")
        return False
