"""History that is no more: pruned, or another one after a restore."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import Mongod
from tests.rig import People, System, eventually


@pytest.fixture
def short_lived(mongod: Mongod, tmp_path: Path) -> Iterator[System]:
    """A system that keeps its journal for two seconds."""
    env = {"*": {"JOURNAL_DAYS": str(2 / 86_400), "PRUNE_INTERVAL": "0.5"}}
    with System(tmp_path, mongod, gateways=1, env=env) as system:
        yield system


async def test_what_is_pruned_is_asked_for_in_full_and_the_head_stays(short_lived: System) -> None:
    people = People(short_lived)
    try:
        ann = await people.register("ann")
        client = await people.connect(ann)
        server = await client.call("add_server", name="Tea house")
        channels = await client.call("get_server_channels", server_id=server["id"])
        channel_id = channels["categories"][0]["channels"][0]["id"]
        for text in ("one", "two", "three"):
            await client.call("add_message", channel_id=channel_id, content=text)
        journal = short_lived.db.journal
        scope = f"channel:{channel_id}"
        await eventually(lambda: journal.count_documents({"scope": scope}) == 1, "pruned but for its last", 15)
        assert [entry["rev"] for entry in journal.find({"scope": scope})] == [3]
        page = {"channel_id": channel_id, "amount": 10, "anchor": 0, "direction": True}
        assert (await client.call("get_message_chunk", **page, since=1))["full"] is True
        assert (await client.call("get_message_chunk", **page, since=3))["full"] is False
        # A gateway that has been there all the time has the last entries at hand, and tells them.
        await short_lived.restart("gateway-0")
        back = await people.open()
        reply = await back.call("authenticate", token=ann.token, resume={f"server:{server['id']}": 1, scope: 1})
        assert reply["stale"] == [scope]
        added = await back.call("add_message", channel_id=channel_id, content="four")
        assert (added["id"], added["rev"]) == (4, 4)
    finally:
        await people.close()


async def test_a_revision_that_was_pruned_is_not_given_out_again(short_lived: System) -> None:
    """Presence and guilds take turns in a `self` scope: neither may go on from where it was itself last."""
    people = People(short_lived)
    try:
        ann = await people.register("ann")
        client, other = await people.connect(ann), await people.connect(ann)
        assert (await client.call("update_settings", settings={"n": 1}))["rev"] == 1
        for name in ("Tea house", "Coffee house"):
            await client.call("add_server", name=name)
        own = {"scope": f"self:{ann.id}"}
        await eventually(lambda: short_lived.db.journal.count_documents(own) == 1, "pruned but for its last", 15)
        assert (await client.call("update_settings", settings={"n": 2}))["rev"] == 4
        assert (await other.event("settings_changed", settings={"n": 2})).rev == 4
    finally:
        await people.close()


async def test_another_epoch_closes_every_socket_and_nothing_is_remembered(mongod: Mongod, tmp_path: Path) -> None:
    with System(tmp_path, mongod) as system:
        people = People(system)
        room = await people.room(new=True)
        said = [await room.owner.call("add_message", channel_id=room.channel_id, content=text) for text in "abc"]
        # What a restore to before the last message looks like to those who go on running.
        scope = f"channel:{room.channel_id}"
        system.db.journal.delete_one({"scope": scope, "rev": said[-1]["rev"]})
        system.db.messages.delete_one({"channel_id": room.channel_id, "id": said[-1]["id"]})
        system.db.meta.update_one({"_id": "epoch"}, {"$set": {"value": "another"}})
        assert await room.owner.closed(15) == 1012
        assert await room.member.closed(15) == 1012
        again = await people.open(0)
        reply = await again.call("authenticate", token=room.owner_is.token)
        assert reply["epoch"] == "another"
        added = await again.call("add_message", channel_id=room.channel_id, content="c, another one")
        assert (added["id"], added["rev"]) == (said[-1]["id"], said[-1]["rev"])
        await people.close()
