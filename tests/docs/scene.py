"""A stage on which a story is played: named people on their connections, and all that they say and hear, in order.

Each step says who is told which events; hearing less, or more, is an error. So what is written down is all there was,
and the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.client import Client, Event, RpcError
from tests.rig import System

Frame = dict[str, Any]


class Scene:
    """`places` names what the story comes back to: ids of servers, channels, roles."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.places: dict[str, str] = {}
        self.steps: list[dict[str, Any]] = []
        self._clients: dict[str, Client] = {}
        self._heard: dict[str, int] = {}
        self._last_ids: dict[str, int] = {}

    async def enter(self, who: str, gateway: int = 0) -> None:
        """Somebody opens a connection, in place of the one they had."""
        if who in self._clients:
            await self._clients[who].close()
        self._clients[who] = await Client.connect(self.system.url(gateway))
        self._heard[who] = self._last_ids[who] = 0

    async def play(
        self, title: str, who: str, method: str, heard: Mapping[str, str] | None = None, /, **params: Any
    ) -> Any:
        """One request that is answered. `heard`: the events it causes, each with the names of who is told."""
        request = self._request(who, method, params)
        result = await self._clients[who].call(method, **params)
        reply = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        told = await self._told(heard or {}, title)
        self.steps.append({"title": title, "who": who, "request": request, "reply": reply, "heard": told})
        return result

    async def aside(self, who: str, method: str, heard: Mapping[str, str] | None = None, /, **params: Any) -> Any:
        """One request that belongs to the story, but shows nothing new."""
        self._request(who, method, params)
        result = await self._clients[who].call(method, **params)
        await self._told(heard or {}, f"{who}: {method}")
        self.steps.append({"aside": result})
        return result

    async def happens(self, title: str, heard: Mapping[str, str], what: Callable[[], None]) -> None:
        """What nobody of the story asked for."""
        what()
        self.steps.append({"title": title, "heard": await self._told(heard, title)})

    async def refused(self, title: str, who: str, method: str, **params: Any) -> RpcError:
        """One request that is refused, and changes nothing."""
        request = self._request(who, method, params)
        try:
            result = await self._clients[who].call(method, **params)
        except RpcError as error:
            wire = {"code": error.code, "message": error.message, "data": error.data}
            reply = {"jsonrpc": "2.0", "id": request["id"], "error": wire}
            told = await self._told({}, title)
            self.steps.append({"title": title, "who": who, "request": request, "reply": reply, "heard": told})
            return error
        raise AssertionError(f"{title}: not refused but answered with {result}")

    async def ends(self, who: str) -> int | None:
        """The connection is closed by the other side; returns the code."""
        return await self._clients[who].closed()

    async def leave(self, who: str) -> None:
        """The connection is lost."""
        await self._clients.pop(who).close()

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _request(self, who: str, method: str, params: Frame) -> Frame:
        self._last_ids[who] += 1
        return {"jsonrpc": "2.0", "id": self._last_ids[who], "method": method, "params": params}

    async def _told(self, expected: Mapping[str, str], title: str) -> list[Frame]:
        """The events as frames, in the order expected, those together that were told alike."""
        counts = {who: sum(who in names.split() for names in expected.values()) for who in self._clients}
        news: dict[str, list[Event]] = {}
        for who, count in counts.items():
            news[who] = await self._news(who, count, title)
            self._heard[who] += len(news[who])
        told: list[Frame] = []
        for name, listeners in expected.items():
            for who in listeners.split():
                found = [event for event in news[who] if event.method == name]
                assert len(found) == 1, f"{title}: {who} heard {[event.method for event in news[who]]}, not one {name}"
                _add(told, who, {"jsonrpc": "2.0", "method": name, "params": found[0].params})
        return told

    async def _news(self, who: str, count: int, title: str) -> list[Event]:
        client, start = self._clients[who], self._heard[who]

        def came() -> bool:
            return len(list(client.events)) - start >= count

        await client.until(came, f"{title}: {count} events for {who}, who heard {list(client.events)[start:]}")
        news = list(client.events)[start:]
        assert len(news) == count, f"{title}: {who} heard {[event.method for event in news]}"
        return news


def _add(told: list[Frame], who: str, event: Frame) -> None:
    for each in told:
        if each["event"] == event:
            each["to"].append(who)
            return
    told.append({"to": [who], "event": event})
