"""Ann and Bob, on two gateways, talk.

Start the system with `make run GATEWAYS=2`; then, in another terminal: `.venv/bin/python examples/two_people.py`.
Run it again, also after a restart of everything: what they said before is still there. It needs nothing of Guildwire
but its address. Any WebSocket library and JSON will do; here it is the package `websockets`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

PATIENCE = 5.0
SERVER = "Ann and Bob"

Json = dict[str, Any]
T = TypeVar("T")


class Refused(Exception):
    """The answer was an error: a sentence for people, a `reason` for programs."""

    def __init__(self, method: str, error: Json) -> None:
        super().__init__(f"{method} was refused with {error['code']}: {error['message']}")
        self.reason = error["data"]["reason"]


class Failed(Exception):
    """What should have come did not."""


class Person:
    """One connection: `ask` sends a request and returns its result, `hears` waits for an event."""

    def __init__(self, name: str, socket: ClientConnection) -> None:
        self.name = name
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._events: asyncio.Queue[Json] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    async def ask(self, method: str, **params: Any) -> Any:
        request_id = next(self._ids)
        self._answers[request_id] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}))
        answer = await self._in_time(self._answers[request_id], f"the answer to {method}")
        if "error" in answer:
            raise Refused(method, answer["error"])
        return answer["result"]

    async def hears(self, method: str, meant: Callable[[Json], bool] = lambda _: True) -> Json:
        """The params of the next event that is meant. A real client applies every event to what it has cached."""
        while True:
            event = await self._in_time(self._events.get(), f"the event {method}")
            if event["method"] == method and meant(event["params"]):
                params: Json = event["params"]
                return params

    async def _read(self) -> None:
        """An answer has the id of its request, an event has a method; they come in any order."""
        with contextlib.suppress(ConnectionClosed):
            async for frame in self._socket:
                message = json.loads(frame)
                if "method" in message:
                    self._events.put_nowait(message)
                else:
                    self._answers.pop(message["id"]).set_result(message)

    async def _in_time(self, coming: Awaitable[T], what: str) -> T:
        try:
            return await asyncio.wait_for(coming, PATIENCE)
        except TimeoutError:
            closed = f"; the connection closed with {code}" if (code := self._socket.close_code) else ""
            raise Failed(f"{self.name} waited {PATIENCE:g} s for {what}, in vain{closed}") from None


async def enter(person: Person, password: str) -> None:
    """Makes an account, or logs in to the one from last time; then says on this connection who is there."""
    account = {"name": f"{person.name.lower()}.example", "password": password}
    try:
        login = await person.ask("register", **account, display_name=person.name)
    except Refused as refused:
        if refused.reason != "conflict":
            raise
        login = await person.ask("login", **account)
    await person.ask("authenticate", token=login["token"])


async def meet(ann: Person, bob: Person) -> str:
    """Returns the id of the channel to talk in: of the server both are in since last time, or of a new one."""
    servers = (await bob.ask("get_servers"))["servers"]
    server = next((server for server in servers if server["name"] == SERVER), None)
    if server is None:
        server = await ann.ask("add_server", name=SERVER)
        invite = await ann.ask("add_invite", server_id=server["id"], max_uses=1)
        await bob.ask("join_server", invite=invite["code"])
        await bob.hears("server_added", lambda event: event["server"]["id"] == server["id"])
        print(f"Ann makes the server {SERVER!r} and invites Bob, who joins.")
    listing = await ann.ask("get_server_channels", server_id=server["id"])
    channel_id: str = listing["categories"][0]["channels"][0]["id"]
    return channel_id


async def remember(bob: Person, channel_id: str) -> None:
    """Reads the newest page (anchor 0). `users` has the people whom one needs to show it."""
    page = await bob.ask("get_message_chunk", channel_id=channel_id, amount=6, anchor=0, direction=False)
    names = {user["id"]: user["display_name"] for user in page["users"]}
    if page["messages"]:
        print("\nStill there from before, as Bob reads it:")
    for message in page["messages"]:
        print(f"  {message['id']:>3}  {names[message['author_id']]}: {message['content']}")


async def say(speaker: Person, listener: Person, channel_id: str, content: str) -> int:
    """Returns the message's id, once the listener has it too."""
    # Were no answer to come, the same nonce would make it safe to send this again: it is added once.
    nonce = uuid.uuid4().hex
    message = await speaker.ask("add_message", channel_id=channel_id, content=content, nonce=nonce)
    heard = await listener.hears("message_added", lambda event: event["message"]["id"] == message["id"])
    print(f"  {message['id']:>3}  {speaker.name}: {heard['message']['content']}")
    return int(message["id"])


async def talk(ann: Person, bob: Person, channel_id: str) -> None:
    print("\nNow they talk, and each line below is what came to the other one:")
    await say(ann, bob, channel_id, "Hello Bob! Do you read me?")

    answer = await say(bob, ann, channel_id, "Lowd and clear, Ann.")
    edited = {"message_id": answer, "content": "Loud and clear, Ann."}
    await bob.ask("update_message", channel_id=channel_id, **edited)
    heard = await ann.hears("message_changed", lambda event: event["message_id"] == answer)
    print(f"  {answer:>3}  Bob, edited: {heard['changes']['content']}")

    slip = await say(ann, bob, channel_id, "Oops, wrong window.")
    await ann.ask("delete_message", channel_id=channel_id, message_id=slip)
    await bob.hears("message_deleted", lambda event: event["message_id"] == slip)
    print(f"  {slip:>3}  Ann, deleted.")


async def main(port: int, second_port: int) -> None:
    urls = [f"ws://127.0.0.1:{number}/ws" for number in (port, second_port)]
    async with connect(urls[0], open_timeout=PATIENCE) as first, connect(urls[1], open_timeout=PATIENCE) as second:
        ann, bob = Person("Ann", first), Person("Bob", second)
        await enter(ann, "correct horse")
        await enter(bob, "battery staple")
        print(f"Ann is connected to {urls[0]}, Bob to {urls[1]}.")
        channel_id = await meet(ann, bob)
        await remember(bob, channel_id)
        await talk(ann, bob, channel_id)
        print("\nRun this again, also after a restart of everything: it will still be there.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Ann and Bob, on two gateways, talk.")
    parser.add_argument("port", nargs="?", type=int, default=8080, help="of the first gateway, usually 8080")
    parser.add_argument("second_port", nargs="?", type=int, help="of the second gateway, usually the next number")
    ports = parser.parse_args()
    try:
        asyncio.run(main(ports.port, ports.second_port or ports.port + 1))
    except (Failed, Refused) as error:
        sys.exit(f"error: {error}")
    except ConnectionClosed as error:
        sys.exit(f"error: a gateway closed the connection ({error})")
    except (OSError, InvalidHandshake) as error:
        sys.exit(f"error: no gateway answers there ({error}); to start two of them: make run GATEWAYS=2")
