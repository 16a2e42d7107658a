"""An answer that was under way when a connection to NATS ended never comes: nobody waits for it until time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.client import RpcError
from tests.faults.crowd import insist
from tests.faults.links import Link, Links
from tests.rig import People, System, eventually

SOON = 4.0
"""Seconds; half of what a request may take."""

ENDS = ["messages-0", "gateway-0"]

pytestmark = pytest.mark.slow


@pytest.fixture
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, dict[str, Link]]]:
    """One replica of each service, and a link to NATS for each end."""
    system = System(tmp_path_factory.mktemp("answers"), gateways=1)
    with Links() as links:
        system.start_servers()
        try:
            made = {name: links.to(system.nats.port) for name in ENDS}
            system.env |= {name: {"NATS_URL": f"nats://127.0.0.1:{link.port}"} for name, link in made.items()}
            system.launch_now(*system.names)
            yield system, made
        finally:
            system.stop()


@pytest.mark.parametrize("end", ENDS)
async def test_who_waits_for_a_lost_answer_is_told_soon(links: tuple[System, dict[str, Link]], end: str) -> None:
    system, link = links[0], links[1][end]
    people = People(system)
    owner = await people.connect(await people.register())
    server = await owner.call("add_server", name="Tea house")
    (category,) = (await owner.call("get_server_channels", server_id=server["id"]))["categories"]
    said = {"channel_id": category["channels"][0]["id"], "content": "once", "nonce": "n"}
    await owner.call("add_message", **{**said, "content": "before", "nonce": "before"})
    # What it is asked still comes; what it answers does not.
    link.hold(there=end != "gateway-0", back=end == "gateway-0")
    asking = asyncio.create_task(owner.call("add_message", **said))
    await eventually(lambda: system.db.messages.find_one({"content": "once"}) is not None, "it is written")
    cut = time.monotonic()
    link.cut()
    link.restore()
    with pytest.raises(RpcError) as refused:
        await asking
    assert refused.value.reason == "unavailable"
    assert time.monotonic() - cut < SOON
    again = await insist(owner, "add_message", **said)
    assert again["content"] == "once"
    assert system.db.messages.count_documents({"content": "once"}) == 1
    await people.close()
