"""The one decision about rights, rule by rule."""

from __future__ import annotations

import pytest

from shared.permissions import (
    ALL_RULES,
    EVERYONE_RULES,
    NOTHING,
    VIEW_CHANNEL,
    MemberRights,
    Overwrite,
    ServerRights,
    channel_rules,
    lacking,
    lowest_position,
    overwritten,
    rank,
    roles_with_access,
    server_rules,
)

SERVER = ServerRights(
    server_id="s",
    owner_id="owner",
    everyone_id="everyone",
    perm_rev=1,
    roles={
        "everyone": frozenset(EVERYONE_RULES),
        "mute": NOTHING,
        "helper": frozenset({"manage_messages"}),
        "admin": frozenset({"administrator"}),
    },
)


def member(*roles: str) -> MemberRights:
    return MemberRights("somebody", frozenset(roles))


def deny(*rules: str) -> Overwrite:
    return Overwrite(deny=frozenset(rules))


def allow(*rules: str) -> Overwrite:
    return Overwrite(allow=frozenset(rules))


def test_a_stranger_has_nothing() -> None:
    assert server_rules(SERVER, None) == NOTHING
    assert channel_rules(SERVER, None, {"everyone": allow(*ALL_RULES)}) == NOTHING


@pytest.mark.parametrize("who", [MemberRights("owner", NOTHING), member("admin")])
def test_owner_and_administrator_have_everything_everywhere(who: MemberRights) -> None:
    locked = {"everyone": deny(*ALL_RULES), "admin": deny(*ALL_RULES)}
    assert channel_rules(SERVER, who, locked) == ALL_RULES


def test_the_base_is_the_union_of_all_roles() -> None:
    assert server_rules(SERVER, member("helper")) == {*EVERYONE_RULES, "manage_messages"}


def test_a_role_that_does_not_exist_gives_nothing() -> None:
    assert server_rules(SERVER, member("gone")) == frozenset(EVERYONE_RULES)


def test_everyones_overwrite_denies_before_it_allows() -> None:
    both = Overwrite(allow=frozenset({"send_messages"}), deny=frozenset({"send_messages", "add_reactions"}))
    rules = channel_rules(SERVER, member(), {"everyone": both})
    assert "send_messages" in rules
    assert "add_reactions" not in rules


def test_a_roles_overwrite_comes_after_everyones() -> None:
    overwrites = {"everyone": allow("mention_everyone"), "mute": deny("mention_everyone", "send_messages")}
    assert {"mention_everyone", "send_messages"} & channel_rules(SERVER, member("mute"), overwrites) == NOTHING


def test_among_roles_any_allow_beats_every_deny() -> None:
    overwrites = {"mute": deny("send_messages"), "helper": allow("send_messages")}
    assert "send_messages" in channel_rules(SERVER, member("mute", "helper"), overwrites)


def test_an_overwrite_of_a_role_one_lacks_does_not_count() -> None:
    assert "manage_messages" not in channel_rules(SERVER, member(), {"helper": allow("manage_messages")})


def test_without_view_channel_nothing_else_counts() -> None:
    overwrites = {"everyone": deny(VIEW_CHANNEL), "helper": allow("send_messages")}
    assert channel_rules(SERVER, member("helper"), overwrites) == NOTHING


def test_roles_with_access_are_those_whose_holders_see_it() -> None:
    overwrites = {"everyone": deny(VIEW_CHANNEL), "helper": allow(VIEW_CHANNEL)}
    assert roles_with_access(SERVER, overwrites) == ["admin", "helper"]


POSITIONS = {"everyone": 0.0, "mute": -1.0, "helper": 2.0, "admin": 2.0}


def test_rank_is_that_of_the_highest_role_ties_by_id() -> None:
    assert rank(SERVER, member(), POSITIONS) == (0.0, "everyone")
    assert rank(SERVER, member("mute"), POSITIONS) == (0.0, "everyone")
    assert rank(SERVER, member("helper", "admin"), POSITIONS) == (2.0, "helper")
    assert rank(SERVER, member("deleted"), POSITIONS) == (0.0, "everyone")


def test_the_owner_outranks_all_and_administrator_gives_no_rank() -> None:
    owner = rank(SERVER, MemberRights("owner", NOTHING), POSITIONS)
    assert owner > rank(SERVER, member("admin", "helper"), {**POSITIONS, "helper": 1e9})
    assert rank(SERVER, member("admin"), POSITIONS) < rank(SERVER, member("helper"), POSITIONS)


def test_a_new_role_is_always_the_lowest_above_everyone() -> None:
    positions = [0.0, -3.0]
    assert lowest_position(positions) == 1
    for _ in range(300):
        made = lowest_position(positions)
        assert 0 < made < min((each for each in positions if each > 0), default=2)
        positions.append(made)
    assert lowest_position([5e-324]) > 0  # there is nothing below: it ties


def test_one_gives_what_one_has() -> None:
    assert lacking(frozenset({"kick_members"}), ["kick_members", "kick_members"]) == []
    assert lacking(frozenset(), ["b", "a"]) == ["a", "b"]


def test_what_an_overwrite_changes_is_what_one_must_have() -> None:
    before = {"helper": allow("send_messages"), "mute": deny("send_messages", "add_reactions")}
    assert overwritten(before, before) == NOTHING
    assert overwritten(before, {}) == {"send_messages", "add_reactions"}
    assert overwritten(before, {**before, "mute": deny("add_reactions")}) == {"send_messages"}
    assert overwritten({}, {"everyone": deny(VIEW_CHANNEL)}) == {VIEW_CHANNEL}
    moved = {"helper": deny("send_messages"), "mute": before["mute"]}
    assert overwritten(before, moved) == {"send_messages"}
