"""Order: of one connection's requests, of events against replies; and who reads too slowly."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tests.cache import Device
from tests.client import Client, RpcError
from tests.rig import People, Room
from tests.view import fresh_view


async def contents(client: Client, channel_id: str) -> list[str]:
    """The newest hundred, oldest first."""
    chunk = await client.call("get_message_chunk", channel_id=channel_id, amount=100, anchor=0, direction=False)
    return [message["content"] for message in chunk["messages"]]


async def test_pipelined_messages_keep_their_order(people: People) -> None:
    room = await people.room()
    sent = [f"{number}" * (1 + 400 * (number % 3)) for number in range(50)]
    futures = [await room.member.send("add_message", channel_id=room.channel_id, content=text) for text in sent]
    made = await asyncio.gather(*futures)
    assert [message["id"] for message in made] == list(range(1, 51))
    assert await contents(room.owner, room.channel_id) == sent


async def test_a_batch_keeps_its_order(people: People) -> None:
    room = await people.room()
    sent = [f"{number}" for number in range(50)]
    calls = [("add_message", {"channel_id": room.channel_id, "content": text}) for text in sent]
    made = await room.member.batch(*calls)
    assert [message["id"] for message in made] == list(range(1, 51))
    assert await contents(room.owner, room.channel_id) == sent


async def test_frames_batches_and_notifications_keep_one_order(people: People) -> None:
    room = await people.room()
    sent = [f"{number}" for number in range(40)]
    waiting: list[Any] = []
    for number, text in enumerate(sent):
        params = {"channel_id": room.channel_id, "content": text}
        match number % 4:
            case 0:
                waiting.append(await room.member.send("add_message", **params))
            case 1:
                await room.member.notify("add_message", **params)
            case 2:
                waiting.append(asyncio.ensure_future(room.member.batch(("add_message", params), ("ping", {}))))
                await asyncio.sleep(0)  # the batch's frame leaves before the next one
            case _:
                waiting.append(await room.member.send("add_message", **params))
    assert await contents(room.member, room.channel_id) == sent
    await asyncio.gather(*waiting)


async def test_channels_keep_their_orders_side_by_side(people: People) -> None:
    room = await people.room()
    second = (await room.owner.call("add_channel", server_id=room.server_id, name="second"))["id"]
    futures = [
        await room.owner.send("add_message", channel_id=channel, content=f"{number}")
        for number in range(25)
        for channel in (room.channel_id, second)
    ]
    await asyncio.gather(*futures)
    for channel in (room.channel_id, second):
        assert await contents(room.member, channel) == [f"{number}" for number in range(25)]


async def test_a_read_sees_what_was_sent_before_it(people: People) -> None:
    room = await people.room()
    channel = {"channel_id": room.channel_id}
    chunk = {**channel, "amount": 100, "anchor": 0, "direction": False}
    reads: list[tuple[list[str], asyncio.Future[Any]]] = []
    due: list[str] = []
    waiting: list[asyncio.Future[Any]] = []
    for number in range(1, 11):
        waiting.append(await room.owner.send("add_message", **channel, content=f"said {number}"))
        due.append(f"said {number}")
        reads.append((list(due), await room.owner.send("get_message_chunk", **chunk)))
        edit = {"message_id": number, "content": f"edited {number}"}
        waiting.append(await room.owner.send("update_message", **channel, **edit))
        due[-1] = f"edited {number}"
        reads.append((list(due), await room.owner.send("get_message_chunk", **chunk)))
        if number % 3 == 0:
            waiting.append(await room.owner.send("delete_message", **channel, message_id=number))
            due.pop()
            reads.append((list(due), await room.owner.send("get_message_chunk", **chunk)))
    await asyncio.gather(*waiting)
    for expected, read in reads:
        assert [message["content"] for message in (await read)["messages"]] == expected


async def test_a_servers_requests_keep_their_order(people: People) -> None:
    room = await people.room()
    server = {"server_id": room.server_id}
    made = [await room.owner.send("add_channel", **server, name=f"c{number}") for number in range(10)]
    listed = await room.owner.call("get_server_channels", **server)
    names = [channel["name"] for channel in listed["categories"][0]["channels"]]
    assert names == ["general", *(f"c{number}" for number in range(10))]
    revs = [channel["rev"] for channel in await asyncio.gather(*made)]
    assert revs == sorted(revs)
    left, seen = await room.member.batch(("leave_server", server), ("get_server", server))
    assert left == {}
    assert isinstance(seen, RpcError)
    assert seen.reason == "not_found"


async def write(device: Device, channel_id: str, amount: int) -> None:
    """Adds, edits and deletes as fast as the replies come."""
    for number in range(amount):
        made = await device.client.call("add_message", channel_id=channel_id, content=f"{number}")
        which = {"channel_id": channel_id, "message_id": made["id"]}
        if number % 3 == 1:
            await device.client.call("update_message", **which, content=f"edited {number}")
        if number % 5 == 4:
            await device.client.call("delete_message", **which)


async def read(device: Device, channel_id: str, writers: asyncio.Future[Any]) -> None:
    """Reads pages for as long as there is writing, several at once: each is checked against the events before it."""
    for number in itertools.count():
        if writers.done():
            return
        page = {"channel_id": channel_id, "amount": 1 + number % 30, "anchor": 0, "direction": True}
        await asyncio.gather(*(device.client.call("get_message_chunk", **page) for _ in range(3)))


async def test_no_reply_is_older_than_an_event_before_it(people: People) -> None:
    """Under writes on both gateways; whoever reads in between ends with the same as everybody."""
    room = await people.room(new=True)
    devices = [await people.device(person, gateway) for person in (room.owner_is, room.member_is) for gateway in (0, 1)]
    writers = asyncio.gather(*(write(device, room.channel_id, 30) for device in devices))
    readers = [read(device, room.channel_id, writers) for device in devices]
    late = [people.device(room.member_is, number % 2) for number in range(4)]
    came_late, _ = await asyncio.gather(asyncio.gather(*late), asyncio.gather(writers, *readers))
    for person in (room.owner_is, room.member_is):
        view = await fresh_view(people.system.url(1), person.token)
        for device in [*devices, *came_late]:
            if device.cache.user_id == person.id:
                await device.equals(view, {})
                assert device.cache.violations == []


async def come_and_go(device: Device, room: Room, times: int) -> None:
    """Leaves the room's server and joins it again, so many times."""
    code = (await room.owner.call("add_invite", server_id=room.server_id))["code"]
    for _ in range(times):
        await device.client.call("leave_server", server_id=room.server_id)
        await device.client.call("join_server", invite=code)


async def keep_talking(client: Client, room: Room, until: asyncio.Future[Any]) -> None:
    """New channels, and at once messages in them."""
    for number in itertools.count():
        if until.done():
            return
        channel = room.channel_id
        if number % 4 == 0 and number < 120:
            channel = (await client.call("add_channel", server_id=room.server_id, name=f"{number}"))["id"]
        for _ in range(3):
            await client.call("add_message", channel_id=channel, content=f"{number}")


async def keep_listing(client: Client, room: Room, until: asyncio.Future[Any]) -> None:
    """So that events wait for replies: in the scopes read, and behind those in others."""
    while not until.done():
        lists = [client.call("get_servers") for _ in range(3)]
        lists += [client.call("get_server_channels", server_id=room.server_id) for _ in range(3)]
        failed = [one for one in await asyncio.gather(*lists, return_exceptions=True) if isinstance(one, BaseException)]
        assert all(isinstance(one, RpcError) and one.reason == "not_found" for one in failed)


async def test_nothing_is_heard_of_what_one_was_not_told_of(people: People) -> None:
    """A user comes and goes while the owner makes channels and talks in them, and lists keep events waiting."""
    room = await people.room(new=True)
    here, there = await people.device(room.member_is, 0), await people.device(room.member_is, 1)
    moving = asyncio.ensure_future(come_and_go(here, room, 25))
    listing = [keep_listing(device.client, room, moving) for device in (here, there)]
    await asyncio.gather(moving, keep_talking(room.owner, room, moving), *listing)
    view = await fresh_view(people.system.url(0), room.member_is.token)
    for device in (here, there):
        await device.equals(view, {})
        assert device.cache.violations == []


async def test_who_reads_too_slowly_is_cut_off_and_nobody_else(people: People) -> None:
    """5 MB of events: more than the kernel holds for who does not read, and a MiB on top."""
    room = await people.room()
    slow = await Client.connect(people.system.url(1), receive_buffer=4096)
    await slow.call("authenticate", token=room.member_is.token)
    slow.pause_reading()
    amount, text = 600, "語" * 4000
    for _ in range(amount // 20):
        batches = [await room.owner.send("add_message", channel_id=room.channel_id, content=text) for _ in range(20)]
        await asyncio.gather(*batches)
    for client in (room.owner, room.member):
        await client.event("message_added", rev=amount)
        assert [event.rev for event in client.heard("message_added")] == list(range(1, amount + 1))
    slow.resume_reading()
    assert await slow.closed(10) == 4008
    heard = [event.rev for event in slow.heard("message_added")]
    assert heard == list(range(1, len(heard) + 1))
    assert len(heard) < amount
    await slow.close()
