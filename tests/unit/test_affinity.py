"""Which replica a request falls to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.affinity import Replicas, key_of, pick

NAMES = st.lists(st.text(min_size=1), min_size=1, unique=True)


@given(st.text(), NAMES)
def test_the_choice_does_not_depend_on_the_order(key: str, instances: list[str]) -> None:
    assert pick(key, instances) == pick(key, instances[::-1])


@given(st.text(), NAMES, st.text(min_size=1))
def test_only_the_keys_of_who_leaves_move(key: str, instances: list[str], leaver: str) -> None:
    before = pick(key, {*instances, leaver})
    assert before == leaver or pick(key, set(instances) - {leaver}) == before


def test_the_load_is_spread() -> None:
    counts = [0, 0, 0]
    for key in range(3000):
        counts[int(pick(str(key), ["0", "1", "2"]) or 0)] += 1
    assert min(counts) > 850


def test_nobody_is_picked_of_nobody() -> None:
    assert pick("key", []) is None


def test_a_channel_goes_before_its_server_and_anything_else_has_no_key() -> None:
    assert key_of({"server_id": "s", "channel_id": "c"}) == "c"
    assert key_of({"server_id": "s"}) == "s"
    assert key_of({"invite": "i"}) is None
    assert key_of({"server_id": {"$ne": None}}) is None


def test_who_is_silent_or_leaves_is_forgotten() -> None:
    replicas = Replicas()
    for service, words in (("guilds", "a"), ("guilds", "b"), ("messages", "a"), ("guilds", ""), ("guilds", "-")):
        replicas.hear(service, words, 0.0)
    assert replicas.living("guilds", 1.0) == ["a", "b"]
    replicas.hear("guilds", "a", 3.0)
    assert replicas.living("guilds", 4.0) == ["a"]
    replicas.hear("guilds", "-a", 4.0)
    assert replicas.living("guilds", 4.0) == []
    assert replicas.living("messages", 1.0) == ["a"]


def test_it_is_known_over_which_connection_each_hears() -> None:
    replicas = Replicas()
    for words in ("a 0", "b 4", "a 1", "c"):
        replicas.hear("guilds", words, 0.0)
    assert replicas.living("guilds", 0.0) == ["a", "b", "c"]
    assert [replicas.connection_of(each) for each in ("a", "b", "c", "d")] == ["1", "4", "", ""]
    replicas.hear("guilds", "-a", 0.0)
    assert replicas.living("guilds", 10.0) == []
    assert [replicas.connection_of(each) for each in ("a", "b")] == ["", ""]
