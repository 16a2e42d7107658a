"""Who comes to see what by a change of rules or overwrites: held against all members there could be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from services.guilds.reading import members_at_once
from shared.permissions import (
    ADMINISTRATOR,
    NOTHING,
    SEND_MESSAGES,
    VIEW_CHANNEL,
    MemberRights,
    Overwrite,
    Overwrites,
    ServerRights,
    channel_rules,
)
from shared.widening import Widened, Widening, widened, with_rules

ROLES = ("everyone", "one", "two", "three")
RULES = st.frozensets(st.sampled_from([VIEW_CHANNEL, SEND_MESSAGES, ADMINISTRATOR]))
OVERWRITES = st.dictionaries(st.sampled_from(ROLES), st.builds(Overwrite, allow=RULES, deny=RULES))
SERVERS = st.builds(
    lambda rules: ServerRights("server", "owner", "everyone", 1, dict(zip(ROLES, rules, strict=True))),
    st.tuples(*[RULES] * len(ROLES)),
)


def members() -> Iterator[MemberRights]:
    yield MemberRights("owner", NOTHING)
    for number in range(len(ROLES)):
        for held in itertools.combinations(ROLES[1:], number):
            yield MemberRights("somebody", frozenset(held))


def sees(rights: ServerRights, member: MemberRights, overwrites: Overwrites) -> bool:
    return VIEW_CHANNEL in channel_rules(rights, member, overwrites)


def assert_tells_all(before: ServerRights, after: ServerRights, channels: dict[str, Widened]) -> None:
    """Also after it was kept and read again: each member who came to see a channel, and nobody else."""
    gainers = widened(before, after, channels)
    kept = {each: channels[each] for each in gainers}
    whole = Widening(before, after, kept, dict.fromkeys(kept, 7), NOTHING.union(*gainers.values()))
    change = Widening.of(whole.document())
    assert (change.server_id, change.rev) == ("server", after.perm_rev)
    for member in members():
        gained = {
            each: 7
            for each, channel in channels.items()
            if sees(after, member, channel.after) and not sees(before, member, channel.before)
        }
        assert change.seen_anew(member) == gained
        assert not gained or change.is_for_all or change.for_whom & member.roles
        for channel_id in gained:
            assert gainers[channel_id] & {"everyone", *member.roles}


@settings(max_examples=200)
@given(SERVERS, st.sampled_from(ROLES), RULES, OVERWRITES, OVERWRITES)
def test_a_roles_rules(
    before: ServerRights, role: str, rules: frozenset[str], one: Overwrites, other: Overwrites
) -> None:
    after = with_rules(before, role, rules, 2)
    assert_tells_all(before, after, {"one": Widened(one, one), "other": Widened(other, other)})


@settings(max_examples=200)
@given(SERVERS, OVERWRITES, OVERWRITES)
def test_a_channels_overwrites(rights: ServerRights, before: Overwrites, after: Overwrites) -> None:
    assert_tells_all(rights, with_rules(rights, "one", rights.roles["one"], 2), {"one": Widened(before, after)})


@settings(max_examples=200)
@given(SERVERS, st.sampled_from(ROLES[1:]), OVERWRITES)
def test_a_role_that_goes(before: ServerRights, role: str, overwrites: Overwrites) -> None:
    without = {each: overwrites[each] for each in overwrites if each != role}
    assert_tells_all(before, with_rules(before, role, None, 2), {"one": Widened(overwrites, without)})


def test_nothing_is_left_to_do_where_nobody_can_come_to_see_more() -> None:
    view = frozenset({VIEW_CHANNEL})
    everyone = {"everyone": view, "one": NOTHING}
    server = ServerRights("server", "owner", "everyone", 1, everyone)
    hidden: Overwrites = {"everyone": Overwrite(deny=view)}
    denied: Overwrites = {"two": Overwrite(deny=view)}
    taken, given_ = with_rules(server, "everyone", (), 2), with_rules(server, "one", view, 2)
    assert not widened(server, taken, {"a": Widened({}, {}), "b": Widened(hidden, hidden)})
    assert not widened(server, given_, {"a": Widened({}, {}), "b": Widened(hidden, hidden)})
    assert not widened(server, server, {"a": Widened({}, hidden), "b": Widened(hidden, hidden)})
    assert not widened(server, given_, {"a": Widened(denied, denied)})
    assert not widened(server, with_rules(server, "one", {ADMINISTRATOR}, 2), {"a": Widened({}, {})})
    assert widened(taken, server, {"a": Widened({}, {}), "b": Widened(hidden, hidden)}).keys() == {"a"}
    assert widened(server, server, {"a": Widened(hidden, {})}).keys() == {"a"}


def test_the_more_is_pending_the_fewer_members_a_batch_takes() -> None:
    """Each of them may have to be judged by all of it, were it of the same channels."""
    server = ServerRights("server", "owner", "everyone", 1)

    def widening(number: int) -> Widening:
        channels = {str(each): Widened({}, {}) for each in range(number)}
        return Widening(server, server, channels, dict.fromkeys(channels, 7), NOTHING)

    assert members_at_once([]) == members_at_once([widening(1)] * 10) == 500
    assert [members_at_once([widening(500)] * number) for number in (1, 2, 4, 100)] == [20, 10, 5, 1]
