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
