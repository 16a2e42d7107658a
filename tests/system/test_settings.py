"""A client's own settings: any JSON, the same on all devices."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

import pytest

from tests.rig import People, System, assert_dense, refused
from tests.view import fresh_view


@pytest.mark.protocol("get_settings", "update_settings", "settings_changed")
async def test_settings_reach_every_device(system: System, people: People) -> None:
    ann = await people.register("ann")
    here, there = await people.connect(ann, 0), await people.connect(ann, 1)
    assert await there.call("get_settings") == {"settings": {}, "rev": 0, "full": True}
    changed = await here.call("update_settings", settings={"theme": "dark", "muted": ["a", "b"]})
    assert changed == {"settings": {"theme": "dark", "muted": ["a", "b"]}, "rev": 1}
    event = await there.event("settings_changed")
    assert (event.scope, event.rev) == (f"self:{ann.id}", 1)
    assert event.params["settings"] == changed["settings"]
    stored = system.db.settings.find_one({"_id": ann.id})
    assert stored is not None
    assert (json.loads(stored["text"]), stored["rev"]) == (changed["settings"], 1)

    # The same again is no change; what is left out is gone.
    assert await there.call("update_settings", settings=changed["settings"]) == changed
    assert (await there.call("update_settings", settings={"theme": "light"}))["rev"] == 2
    assert (await here.call("get_settings"))["settings"] == {"theme": "light"}
    await assert_dense(system, f"self:{ann.id}", 2)


@pytest.mark.protocol("get_settings")
async def test_get_settings_since(people: People) -> None:
    ann, bob = await people.several("ann", "bob")
    client = await people.connect(ann)
    first = await client.call("update_settings", settings={"one": 1})
    await client.call("add_friend", user_id=bob.id)
    nothing = {"full": False, "updated": [], "deleted": []}
    assert await client.call("get_settings", since=2) == {"rev": 2, **nothing}
    assert await client.call("get_settings", since=1) == {"rev": 2, **nothing}
    assert await client.call("get_settings", since=0) == {"rev": 2, **nothing, "updated": [first]}
    assert (await client.call("get_settings", since=9))["full"] is True


ODD: list[dict[str, Any]] = [
    {"": "", "a.b": 1, "$set": {"$inc": {"x.y": 1}}, "$id": "without its companion"},
    {"null": None, "yes": True, "small": -(2**63), "large": 2**63 - 1, "half": 0.5, "text": "\u0000\U0001f30a\u202e"},
    {"_id": "x", "rev": -1, "settings": {"settings": []}, "scope": "self:someone"},
    functools.reduce(lambda inner, _: {"x": inner}, range(29), {"deep": [[]]}),
    {"wide": "x" * ((16 << 10) - len('{"wide":""}'))},
    {"many": dict.fromkeys(map(str, range(1000)), 0)},
]


@pytest.mark.parametrize("settings", ODD)
async def test_odd_json_comes_back_as_it_was(people: People, settings: dict[str, Any]) -> None:
    ann = await people.register("ann")
    here, there = await people.connect(ann, 0), await people.connect(ann, 1)
    assert (await here.call("update_settings", settings=settings))["settings"] == settings
    assert (await there.event("settings_changed")).params["settings"] == settings
    assert (await there.call("get_settings"))["settings"] == settings
    back = await people.open(1)
    await back.call("authenticate", token=ann.token, resume={f"self:{ann.id}": 0})
    assert (await back.event("settings_changed")).params["settings"] == settings


async def test_one_byte_too_many_is_refused(people: People) -> None:
    client = await people.connect(await people.anybody())
    wide = {"wide": "x" * ((16 << 10) - len('{"wide":""}') + 1)}
    refusal = await refused(client.call("update_settings", settings=wide))
    assert (refusal.reason, refusal.fields) == ("invalid_params", {"settings"})
    # As UTF-8: half as many characters.
    assert (await refused(client.call("update_settings", settings={"w": "ü" * (8 << 10)}))).reason == "invalid_params"


async def test_the_last_of_many_at_once_stands_everywhere(system: System, people: People) -> None:
    ann = await people.register("ann")
    devices = [await people.device(ann, number % 2) for number in range(4)]
    writes = [device.client.call("update_settings", settings={"n": n}) for n, device in enumerate(devices * 8)]
    await asyncio.gather(*writes)
    await assert_dense(system, f"self:{ann.id}", 32)
    view = await fresh_view(system.url(1), ann.token)
    for device in devices:
        await device.equals(view, {})
    assert [device.cache.own.settings for device in devices] == [view.snapshot["settings"]] * 4
