"""What a gateway does when somebody leaves a direct channel, whichever hint comes first."""

from __future__ import annotations

from services.gateway.connection import Connection
from services.gateway.directs import Directs
from services.gateway.interest import Interest
from services.gateway.ordering import Feed
from services.gateway.outbox import Outbox
from services.gateway.upstream import Upstream
from shared.bus import Bus
from shared.journal.entry import Entry
from shared.scopes import channel_scope
from shared.settings import Settings
from tests.unit.test_typing import Wire

SCOPE = channel_scope("d", "")


def left(rev: int, user_id: str) -> Entry:
    return Entry(SCOPE, rev, [{"name": "direct_channel_left", "params": {"user_id": user_id}, "to": "gateways"}])


async def heard_by(directs: Directs, *user_ids: str) -> dict[str, Connection]:
    """Connections of these users that hear the channel from revision 3 on."""
    found = {}
    for user_id in user_ids:
        connection = found[user_id] = Connection(Outbox(Wire(), 1000), lambda _code: None)
        connection.user_id = user_id
        directs.enter(connection, {"d": 3}, {})
    return found


def parts() -> tuple[Interest, Directs]:
    settings = Settings(name="test")
    bus = Bus(settings, "gateway")
    interest = Interest(bus, Upstream(bus, settings), settings)
    directs = Directs(interest)
    interest.on_entry = directs.on_entry
    return interest, directs


def feed_of(interest: Interest) -> Feed[Connection]:
    feed = interest.feed(SCOPE.name)
    assert feed is not None
    return feed


async def test_who_has_left_hears_nothing_later() -> None:
    """The word of it in the channel comes before that in their own scope."""
    interest, directs = parts()
    users = await heard_by(directs, "u", "v")
    interest.hear(left(4, "u").hint(""))
    assert feed_of(interest).holders() == {users["v"]}


async def test_who_came_back_since_stays() -> None:
    """Their own scope was quicker: they left, and it was opened to them again, further on in the channel."""
    interest, directs = parts()
    users = await heard_by(directs, "u")
    directs.told(users["u"], {"name": "direct_channel_deleted", "params": {"channel_id": "d"}})
    assert not feed_of(interest).held
    directs.told(users["u"], {"name": "direct_channel_added", "params": {"channel": {"id": "d"}, "at": 4}})
    interest.hear(left(4, "u").hint(""))
    assert feed_of(interest).live == {users["u"]}
