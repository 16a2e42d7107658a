"""From `add_message` on one gateway to the event at a client of another, 100 a second by ten people."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.system import Bench, Client, quantile

RATE = 100
AUTHORS = 10
SECONDS = 10


async def measure(bench: Bench) -> str:
    authors = [(await Client.register(bench.urls[0]))[0] for _ in range(AUTHORS)]
    ann = authors[0]
    bob, _ = await Client.register(bench.urls[1])
    server = await ann.call("add_server", name="Bench")
    invite = await ann.call("add_invite", server_id=server["id"])
    for client in (*authors[1:], bob):
        await client.call("join_server", invite=invite["code"])
    listed = await ann.call("get_server_channels", server_id=server["id"])
    channel_id = listed["categories"][0]["channels"][0]["id"]
    sent: dict[str, float] = {}
    acknowledged: list[float] = []
    arrived: list[float] = []

    def hear(name: str, params: dict[str, Any]) -> None:
        if name == "message_added" and (began := sent.get(params["message"]["content"])) is not None:
            arrived.append(time.perf_counter() - began)

    bob.on_event = hear

    async def say(text: str) -> None:
        sent[text] = time.perf_counter()
        await authors[len(sent) % AUTHORS].call("add_message", channel_id=channel_id, content=text, nonce=text)
        acknowledged.append(time.perf_counter() - sent[text])

    for _ in range(50):
        await say(f"warm {len(sent)}")
    acknowledged.clear()
    arrived.clear()
    sent.clear()
    began = time.perf_counter()
    said = []
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(began + number / RATE - time.perf_counter(), 0))
        said.append(asyncio.create_task(say(str(number))))
    await asyncio.gather(*said)
    await asyncio.sleep(1)
    assert len(arrived) == len(said), f"{len(arrived)} of {len(said)} arrived"
    await asyncio.gather(bob.close(), *(author.close() for author in authors))
    acks = f"acknowledged p50 {quantile(acknowledged, 0.5):.1f} ms, p99 {quantile(acknowledged, 0.99):.1f} ms"
    hears = f"heard on the other gateway p50 {quantile(arrived, 0.5):.1f} ms, p99 {quantile(arrived, 0.99):.1f} ms"
    return f"add_message at {RATE}/s: {acks}; {hears}"
