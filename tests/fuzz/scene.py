"""A system under fuzzing: a user with a room of their own, a stranger with another, and what must stay true."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from shared.protocol import METHODS
from tests.client import Client, Closed
from tests.fuzz.hostile import SECRET, Call, filled
from tests.rig import Person, System, general, join

REASONS = {
    -32700: "parse_error",
    -32602: "invalid_params",
    4010: "unauthenticated",
    4030: "forbidden",
    4040: "not_found",
    4090: "conflict",
    5030: "unavailable",
}
"""What a request with a known method may be refused with, as the protocol's table has it, while limits are off."""

FOREIGN = "wordsofstrangers"
"""In all that the stranger has written: nobody else may read it."""

_ENDS = {4001, 4002}
_ASKS_PASSWORD = {"login", "authenticate", "update_user", "delete_user"}
_TAKES_AWAY = {"delete_server", "delete_channel", "delete_role", "delete_category", "delete_message", "delete_invite"}
_TAKES_AWAY |= {"delete_member", "leave_server", "leave_direct_channel", "delete_session", "add_ban"}


class Scene:
    """`tried` and `done` count, by method, what was asked and what succeeded."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.tried: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self._runner = asyncio.Runner()
        self._places: dict[str, str] = {}
        self._secrets = {SECRET}
        self._numbers = iter(range(10**9))
        self._read: dict[str, int] = {}
        self._heads: dict[str, int] = {}
        self._client: Client | None = None
        self._stale = True
        self._runner.run(self._strangers())

    def close(self) -> None:
        if self._client is not None:
            self._runner.run(self._client.close())
        self._runner.close()

    def try_out(self, calls: Sequence[Call]) -> None:
        """Asks all of it, one after the other; raises AssertionError for what must not be."""
        self._runner.run(self._try_out(calls))

    async def _try_out(self, calls: Sequence[Call]) -> None:
        client = await self._ready()
        sent = [(method, filled(params, self._places)) for method, params in calls]
        answers = await self._ask(client, sent)
        for (method, params), answer in zip(sent, answers, strict=True):
            self.tried[method] = self.tried.get(method, 0) + 1
            if answer is not None:
                await self._judge(client, method, params, answer)
        for text in (json.dumps(answers), *(json.dumps(event.params) for event in client.events)):
            assert FOREIGN not in text, text
        client.received.clear()
        self.look_around()

    def look_around(self) -> None:
        """All processes live, their logs say nothing of bugs or secrets, and what is the stranger's is as it was."""
        dead = [name for name, process in self.system.processes.items() if not process.running]
        assert not dead, dead
        for line in self._new_lines():
            assert '"level":"error"' not in line, line
            assert "Traceback" not in line, line
            spoken = [secret for secret in self._secrets if secret in line]
            assert not spoken, line
        assert self._heads == {scope: self._head(scope) for scope in self._heads}

    # Asking.

    async def _ask(self, client: Client, calls: Sequence[Call]) -> list[Any]:
        """The answers; None for what came to nothing, because the session was ended before."""
        answers: list[Any] = [None] * len(calls)
        nameless: list[Any] = []
        try:
            for number, (method, params) in enumerate(calls):
                request = {"jsonrpc": "2.0", "id": f"{number}", "method": method, "params": params}
                await client.send_raw(json.dumps(request))
            for _ in calls:
                answer = await client.answer()
                if answer["id"] is None:
                    nameless.append(answer)
                else:
                    answers[int(answer["id"])] = answer
        except Closed:
            assert client.close_code in _ENDS, f"closed with {client.close_code}"
            self._stale = True
            return answers
        # What is no JSON to the gateway has no id; which it was doesn't matter.
        return [answer if answer is not None else nameless.pop() for answer in answers]

    async def _judge(self, client: Client, method: str, params: Any, answer: dict[str, Any]) -> None:
        if "result" in answer:
            self.done[method] = self.done.get(method, 0) + 1
            self._stale |= method in _TAKES_AWAY or (method == "update_server" and "owner_id" in params["changes"])
            _fits(method, answer["result"])
            if method in {"register", "login"}:
                self._secrets.add(answer["result"]["token"])
            return
        error = answer["error"]
        assert REASONS.get(error["code"]) == error["data"]["reason"], (method, params, answer)
        assert error["code"] != 4010 or method in _ASKS_PASSWORD, (method, params, answer)
        if error["code"] == 5030:
            await self._again(client, method, params)

    async def _again(self, client: Client, method: str, params: Any) -> None:
        """What was asked together may have lost its races, or its time; alone it must be answered."""
        for _ in range(3):
            await asyncio.sleep(0.3)
            (answer,) = await self._ask(client, [(method, params)])
            if answer is None or "result" in answer or answer["error"]["code"] != 5030:
                return
        raise AssertionError(f"unavailable every time: {method} {params}")

    # What there is.

    async def _ready(self) -> Client:
        client = self._client
        if client is None or client.close_code is not None or self._stale:
            if client is not None:
                await client.close()
            self._stale = False
            self._client = client = await self._settled()
        return client

    async def _settled(self) -> Client:
        """A new user in a new room, with one of everything."""
        user, member = await self._person(), await self._person()
        mine, other = await self._connected(user), await self._connected(member)
        places = await self._furnished(mine, "friendly words", "")
        await join(mine, other, places["<server>"])
        direct = await mine.call("add_direct_channel", user_ids=[member.id])
        await other.close()
        self._places |= places | {
            "<user>": user.id,
            "<member>": member.id,
            "<name>": user.name,
            "<password>": user.password,
            "<token>": user.token,
            "<direct channel>": direct["id"],
            "<session>": (await mine.call("get_sessions"))["sessions"][0]["id"],
        }
        return mine

    async def _strangers(self) -> None:
        stranger = await self._person()
        client = await self._connected(stranger)
        self._places = await self._furnished(client, FOREIGN, "foreign ")
        self._places["<stranger>"] = stranger.id
        await client.close()
        scopes = [f"server:{self._places['<foreign server>']}", f"channel:{self._places['<foreign channel>']}"]
        self._heads = {scope: self._head(scope) for scope in scopes}

    async def _furnished(self, client: Client, words: str, kind: str) -> dict[str, str]:
        server = (await client.call("add_server", name=words, description=words))["id"]
        channel = await general(client, server)
        roles = (await client.call("get_server_roles", server_id=server))["roles"]
        category = await client.call("add_category", server_id=server, name=words)
        role = await client.call("add_role", server_id=server, name=words, color="", rules=[])
        invite = await client.call("add_invite", server_id=server)
        for _ in range(3):
            await client.call("add_message", channel_id=channel, content=words)
        found = {"server": server, "channel": channel, "category": category["id"], "role": role["id"]}
        found |= {"everyone": roles[0]["id"], "invite": invite["code"]}
        return {f"<{kind}{name}>": value for name, value in found.items()}

    async def _person(self) -> Person:
        name, password = f"fuzz.{next(self._numbers)}", f"{SECRET} of its own"
        client = await Client.connect(self.system.url())
        made = await client.call("register", name=name, password=password)
        await client.close()
        self._secrets.add(made["token"])
        return Person(made["user"]["id"], name, password, made["token"])

    async def _connected(self, person: Person) -> Client:
        client = await Client.connect(self.system.url())
        await client.call("authenticate", token=person.token)
        return client

    def _head(self, scope: str) -> int:
        last = self.system.db.journal.find_one({"scope": scope}, sort=[("rev", -1)])
        return int(last["rev"]) if last else 0

    def _new_lines(self) -> list[str]:
        lines: list[str] = []
        for log in (*(self.system.directory / "log").glob("*.log"), self.system.mongod.log):
            with log.open("rb") as file:
                file.seek(self._read.get(str(log), 0))
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read[str(log)] = self._read.get(str(log), 0) + len(whole)
            lines += whole.decode(errors="replace").splitlines()
        return lines


def _fits(method: str, result: Any) -> None:
    """A result is what the contract says."""
    contract = METHODS[method]
    forms = [contract.result, *contract.result.__subclasses__(), *([contract.delta] if contract.delta else [])]
    problems: list[ValidationError] = []
    for form in forms:
        try:
            form.model_validate(result)
        except ValidationError as error:
            problems.append(error)
        else:
            return
    raise AssertionError(f"{method} answered what its contract has not: {problems[0]}")
