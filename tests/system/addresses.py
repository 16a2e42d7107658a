"""People at addresses of their own, as a balancer on this machine says that they are."""

from __future__ import annotations

from tests.client import Client
from tests.rig import Person, System


async def comes_from(system: System, address: str, gateway: int = 0) -> Client:
    """A connection through a balancer that says so."""
    return await Client.connect(system.url(gateway), headers={"X-Forwarded-For": address})


async def registered(system: System, address: str, name: str) -> Person:
    async with await comes_from(system, address) as client:
        made = await client.call("register", name=name, password="correct horse")
    return Person(made["user"]["id"], name, "correct horse", made["token"])
