"""Clients that start cold, and clients that come back to an unchanged cache, per second and gateway process."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.system import Bench, Client

CLIENTS = 200
AT_ONCE = 20
SERVERS = 5


async def measure(bench: Bench) -> str:
    url = bench.urls[0]
    owner, _ = await Client.register(url)
    people = await asyncio.gather(*(Client.register(url) for _ in range(20)))
    for _ in range(SERVERS):
        server = await owner.call("add_server", name="Bench")
        invite = await owner.call("add_invite", server_id=server["id"])
        await asyncio.gather(*(client.call("join_server", invite=invite["code"]) for client, _ in people))
    tokens = [token for _, token in people]
    positions = [await _positions(client, token, url) for client, token in people]
    cold = await _rate(lambda number: _cold(url, tokens[number % 20]))
    resumed = await _rate(lambda number: _resume(url, tokens[number % 20], positions[number % 20]))
    await asyncio.gather(owner.close(), *(client.close() for client, _ in people))
    return f"cold start {cold:.0f}/s, resume {resumed:.0f}/s, ratio {resumed / cold:.1f} ({SERVERS} servers each)"


async def _rate(start: Any) -> float:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with room:
            client = await start(number)
        await client.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(CLIENTS)))
    return CLIENTS / (time.perf_counter() - began)


async def _cold(url: str, token: str) -> Client:
    """The first screen: the servers, one of them with its channels, and the newest messages of a channel."""
    client = await Client.connect(url)
    await client.call("authenticate", token=token)
    servers = (await client.call("get_servers"))["servers"]
    server_id = servers[0]["id"]
    listed = await client.call("get_server_channels", server_id=server_id)
    channel_id = listed["categories"][0]["channels"][0]["id"]
    await client.call("get_message_chunk", channel_id=channel_id, amount=50, anchor=0, direction=False)
    return client


async def _resume(url: str, token: str, positions: dict[str, int]) -> Client:
    client = await Client.connect(url)
    reply = await client.call("authenticate", token=token, resume=positions)
    assert reply["current"] == positions, reply
    return client


async def _positions(client: Client, token: str, url: str) -> dict[str, int]:
    fresh = await Client.connect(url)
    current: dict[str, int] = (await fresh.call("authenticate", token=token))["current"]
    await fresh.close()
    for name in [name for name in current if name.startswith("server:")]:
        listed = await client.call("get_server_channels", server_id=name.partition(":")[2])
        current |= {f"channel:{channel['id']}": 0 for channel in listed["categories"][0]["channels"]}
    return current
