"""Two who become friends, or no longer are, see each other's status from then on, or no longer.

So the `user:` scope of each moves, where that is a change: what one was shown before is then older than what one is
shown after, in whichever order a reply and an event arrive.
"""

from __future__ import annotations

from dataclasses import replace

from services.presence.pairs import Pair, Side
from shared.acquaintance import acquaintances
from shared.profiles import shown_status
from shared.protocol.account import UserChanged
from shared.protocol.contract import Audience
from shared.scopes import user_scope


async def seen_anew(pair: Pair, *, friends: bool) -> Pair:
    """Stages it, and returns the pair with both users as they are then. The change must be of their `user` scopes."""
    if pair.have_met:
        return pair
    me = await _appear(pair, pair.me, pair.other.user["_id"], friends=friends)
    other = await _appear(pair, pair.other, pair.me.user["_id"], friends=friends)
    return replace(pair, me=me, other=other)


async def _appear(pair: Pair, side: Side, other_id: str, *, friends: bool) -> Side:
    user, scope, shown = side.user, user_scope(side.user["_id"]), shown_status(side.user)
    if shown == "offline":
        # Who is about to tell a status has read with whom they are acquainted, and must read it again.
        pair.change.update_all("users", {"_id": user["_id"]}, {"$inc": {"friendships": 1}})
        return side
    told = await acquaintances(pair.change, user["_id"])
    users = {*told["users"], other_id} if friends else {*told["users"]} - {other_id}
    event = UserChanged(user_id=user["_id"], changes={}, was=user["rev"])
    event.judged_by(servers=told["servers"], users=sorted(users), shown={"changes": {"status": shown}})
    own = {"user_id": user["_id"], "params": {"changes": {"status": user["status"]}}}
    pair.change.record(scope, event, own=own, audience=Audience.ACQUAINTANCES)
    if not friends:
        hidden = UserChanged(user_id=user["_id"], changes={}, was=user["rev"])
        hidden.judged_by(servers={}, users=[other_id], shown={"changes": {"status": "offline"}})
        pair.change.record(scope, hidden, audience=Audience.ACQUAINTANCES)
    rev = pair.change.rev(scope)
    pair.change.update("users", {"_id": user["_id"], "rev": user["rev"]}, {"$set": {"rev": rev}})
    return replace(side, user={**user, "rev": rev})
