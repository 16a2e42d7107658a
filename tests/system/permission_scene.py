"""One server with everybody in it who may or may not do a thing, and for each call something new to do it to."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.ids import new_id
from tests.client import Client, RpcError, text_of
from tests.rig import People, Person, System, eventually
from tests.system.permission_outcomes import OUTSIDE, Kind, Way
from tests.system.permission_table import A, By, Need, Row

POSITIONS = {"lowest": 0.5, "low": 1, "middle": 5, "high": 10, "highest": 20}
ROLE_OF = {
    Kind.ADMINISTRATOR: "highest",
    Kind.LOW_ADMINISTRATOR: "lowest",
    Kind.GRANTED: "high",
    Kind.OUTRANKED: "low",
}
ROLES_HOLD = {Way.BY_ROLE, Way.DENIED_HERE, Way.DENIED_TO_ALL}
"""The ways in which the roles of the granted have the rule in the server as a whole."""

Params = dict[str, Any]


@dataclass(frozen=True)
class Actor:
    """Somebody of a standing, with a connection of their own."""

    kind: Kind
    person: Person
    client: Client


class Scene:
    """The server, its roles, one actor of each kind on one of the two gateways, and those whom things are done to."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.people = People(system)
        self.roles: dict[str, str] = {}
        self.actors: dict[Kind, Actor] = {}
        self.channels: dict[tuple[Row, Way], str] = {}
        self.server_id = self.invite = self.everyone = ""
        self._others: dict[tuple[str, Kind], tuple[Person, Client]] = {}
        self._arranged: tuple[Any, ...] = ()
        self._gateways = itertools.cycle((1, 0))
        self.numbers = itertools.count(1)

    async def begin(self) -> None:
        person = await self.people.register("owner")
        owner = await self.people.connect(person)
        self.actors[Kind.OWNER] = Actor(Kind.OWNER, person, owner)
        self.server_id = (await owner.call("add_server", name="Office"))["id"]
        self.invite = (await owner.call("add_invite", server_id=self.server_id))["code"]
        (everyone,) = (await owner.call("get_server_roles", server_id=self.server_id))["roles"]
        self.everyone = everyone["id"]
        for name, position in POSITIONS.items():
            self.roles[name] = await self.add_role(position, ["administrator"] if name.endswith("est") else [])
        for kind in list(Kind)[1:]:
            self.actors[kind] = await self.enlist(kind)

    async def owner(self, method: str, **params: Any) -> Any:
        return await self.actors[Kind.OWNER].client.call(method, **params)

    async def add_role(self, position: float, rules: list[str]) -> str:
        made = await self.owner("add_role", server_id=self.server_id, name="x", color="", rules=rules)
        named = {"server_id": self.server_id, "role_id": made["id"]}
        await self.owner("update_role", **named, changes={"position": position})
        return str(made["id"])

    async def enlist(self, kind: Kind) -> Actor:
        """Somebody new of this standing; of the owner, whom there is one of, a session of its own."""
        if kind is Kind.OWNER:
            owner = self.actors[kind].person
            token = (await self.owner("login", name=owner.name, password=owner.password))["token"]
            person = Person(owner.id, owner.name, owner.password, token)
            return Actor(kind, person, await self.people.connect(person, next(self._gateways)))
        person = await self.people.register("actor")
        client = await self.people.connect(person, next(self._gateways))
        if kind is Kind.BANNED:
            await self.ban(person)
        elif kind is not Kind.STRANGER:
            await self.admit(person, client, ROLE_OF.get(kind))
        return Actor(kind, person, client)

    async def other(self, part: str, kind: Kind) -> tuple[Person, Client]:
        """Who plays this part for calls of this kind of actor; nobody meets another kind's."""
        if (part, kind) not in self._others:
            person = await self.people.register(part)
            self._others[part, kind] = person, await self.people.connect(person, next(self._gateways))
        return self._others[part, kind]

    # How somebody stands, whatever was done to them before.

    async def admit(self, person: Person, client: Client, role: str | None) -> None:
        named = {"server_id": self.server_id, "user_id": person.id}
        await self.owner("delete_ban", **named)
        await client.call("join_server", invite=self.invite)
        await self.owner("update_member", **named, changes={"roles": [self.roles[role]] if role else []})

    async def ban(self, person: Person) -> None:
        await self.owner("add_ban", server_id=self.server_id, user_id=person.id)

    async def dismiss(self, person: Person) -> None:
        for method in ("delete_member", "delete_ban"):
            await self.owner(method, server_id=self.server_id, user_id=person.id)

    # Rights.

    async def arrange(self, row: Row, way: Way) -> None:
        """Gives the rule to the roles of the granted, and to nobody else; its sight to everybody, unless that is it."""
        rule = [] if row.needs in set(Need) else [row.needs]
        held = rule if way in ROLES_HOLD else []
        everyone = [*row.besides, *(["view_channel"] if "view_channel" not in rule else [])]
        if self._arranged == (held, everyone):
            return
        for role, rules in ((self.roles["high"], held), (self.roles["low"], held), (self.everyone, everyone)):
            await self.owner("update_role", server_id=self.server_id, role_id=role, changes={"rules": rules})
        self._arranged = held, everyone

    def overwrites(self, row: Row, way: Way) -> list[Params]:
        granted, rule = (self.roles["high"], self.roles["low"]), [row.needs]
        to_all = {Way.ALLOWED_TO_ALL: "allow", Way.DENIED_TO_ALL: "deny", Way.RESTORED: "deny"}
        to_roles = {Way.ALLOWED_HERE: "allow", Way.DENIED_HERE: "deny", Way.RESTORED: "allow"}
        found = [_overwrite(self.everyone, to_all[way], rule)] if way in to_all else []
        return found + [_overwrite(role, to_roles[way], rule) for role in granted if way in to_roles]

    # What a refused call must leave alone.

    def traces(self, scopes: list[str]) -> dict[str, int]:
        """How much there is of all that a call may leave behind."""
        db = self.system.db
        channels = [scope.removeprefix("channel:") for scope in scopes]
        found = {"journal": db.journal.count_documents({"scope": {"$in": scopes}})}
        found |= {name: db[name].count_documents({"server_id": self.server_id}) for name in ("invites", "bans")}
        return found | {name: db[name].count_documents({"channel_id": {"$in": channels}}) for name in ("reads",)}


class Cell:
    """One call of one actor: what stands in the params of its row is made for it."""

    def __init__(self, scene: Scene, row: Row, way: Way, actor: Actor) -> None:
        self._scene, self._row, self._way, self._actor = scene, row, way, actor
        self._made: dict[A, str | int] = {}
        self._client = actor.client
        self.params: Params = {}

    @classmethod
    async def prepare(cls, scene: Scene, row: Row, way: Way, kind: Kind) -> Cell:
        actor = scene.actors[kind]
        if row.by is By.NEWCOMER:
            actor = await scene.enlist(kind)
        cell = cls(scene, row, way, actor)
        if row.by is By.UNKNOWN:
            cell._client = await scene.people.open()
        cell.params = await cell._filled(dict(row.params))
        return cell

    @property
    def scopes(self) -> list[str]:
        """Of the server, and of the channel and the user it is about."""
        names = {A.CHANNEL: "channel", A.TARGET: "self", A.SPARE_SERVER: "server"}
        made = [f"{kind}:{self._made[thing]}" for thing, kind in names.items() if thing in self._made]
        return [f"server:{self._scene.server_id}", *made]

    async def call(self, params: Params | None = None) -> RpcError | None:
        """Its error, if it is refused."""
        try:
            await self._client.call(self._row.method, **(params or self.params))
        except RpcError as error:
            return error
        return None

    async def call_nowhere(self) -> RpcError | None:
        """The same of a channel, or else of a server or invite, that there never was."""
        place = next(place for place in (A.CHANNEL, A.SERVER, A.SPARE_SERVER, A.INVITE) if place in self._made)
        return await self.call(json.loads(text_of(self.params).replace(str(self._made[place]), new_id())))

    async def settle(self) -> None:
        """Waits for what goes on by itself, and would be taken for the doing of the calls after it."""
        if self._row.method == "delete_user":
            cascades = self._scene.system.db.cascades
            await eventually(lambda: cascades.count_documents({}) == 0, "the account has left everything")

    async def _filled(self, value: Any) -> Any:
        if isinstance(value, A):
            return await self._get(value)
        if isinstance(value, list):
            return [await self._filled(each) for each in value]
        if isinstance(value, Mapping):
            return {name: await self._filled(each) for name, each in value.items()}
        return value

    async def _get(self, thing: A) -> str | int:
        if thing not in self._made:
            make: Callable[[], Awaitable[str | int]] = getattr(self, f"_{thing.name.lower()}")
            self._made[thing] = await make()
        return self._made[thing]

    # What there is already.

    async def _server(self) -> str:
        return self._scene.server_id

    async def _target_role(self) -> str:
        return self._scene.roles["middle"]

    async def _owner_is(self) -> str:
        return self._scene.actors[Kind.OWNER].person.id

    async def _myself(self) -> str:
        return self._actor.person.id

    async def _name(self) -> str:
        return self._actor.person.name

    async def _password(self) -> str:
        return self._actor.person.password

    async def _token(self) -> str:
        return self._actor.person.token

    # What is made.

    async def _new_name(self) -> str:
        return f"new.{next(self._scene.numbers)}.{new_id()[-6:]}"

    async def _session(self) -> str:
        person = self._actor.person
        token = (await self._client.call("login", name=person.name, password=person.password))["token"]
        other = await self._scene.people.open()
        return str((await other.call("authenticate", token=token))["session_id"])

    async def _spare_server(self) -> str:
        if self._actor.kind is not Kind.OWNER:
            return self._scene.server_id
        return str((await self._scene.owner("add_server", name="Spare"))["id"])

    async def _heir(self) -> str:
        if self._actor.kind is not Kind.OWNER:
            return str(await self._get(A.TARGET))
        person, client = await self._scene.other("target", Kind.OWNER)
        invite = await self._scene.owner("add_invite", server_id=await self._get(A.SPARE_SERVER))
        await client.call("join_server", invite=invite["code"])
        return person.id

    async def _target(self) -> str:
        person, client = await self._scene.other("target", self._actor.kind)
        await self._scene.admit(person, client, "middle")
        return person.id

    async def _former(self) -> str:
        person, _ = await self._scene.other("former", self._actor.kind)
        await self._scene.dismiss(person)
        return person.id

    async def _outlaw(self) -> str:
        person, _ = await self._scene.other("outlaw", self._actor.kind)
        await self._scene.ban(person)
        return person.id

    async def _role(self) -> str:
        return await self._scene.add_role(POSITIONS["middle"], [])

    async def _category(self) -> str:
        return str((await self._scene.owner("add_category", server_id=self._scene.server_id, name="x"))["id"])

    async def _invite(self) -> str:
        return str((await self._scene.owner("add_invite", server_id=self._scene.server_id))["code"])

    async def _own_invite(self) -> str:
        if self._actor.kind in OUTSIDE:
            return await self._invite()
        return str((await self._client.call("add_invite", server_id=self._scene.server_id))["code"])

    async def _channel(self) -> str:
        """One for all calls of a row in this way, unless they spoil it."""
        if self._row.spoils:
            return await self._new_channel()
        key = self._row, self._way
        if key not in self._scene.channels:
            self._scene.channels[key] = await self._new_channel()
        return self._scene.channels[key]

    async def _new_channel(self) -> str:
        """With the overwrites of the way; whose own message will stand in it must be able to write that first."""
        overwrites, own = self._scene.overwrites(self._row, self._way), self._row.has(A.OWN_MESSAGE)
        first = [_overwrite(self._scene.everyone, "allow", ["view_channel", "send_messages"])] if own else overwrites
        named = {"server_id": self._scene.server_id, "name": "x", "roles": first}
        channel_id = str((await self._scene.owner("add_channel", **named))["id"])
        if own:
            self._made[A.CHANNEL] = channel_id
            self._made[A.OWN_MESSAGE] = await self._said(mine=self._actor.kind not in OUTSIDE)
            await self._scene.owner("update_channel", channel_id=channel_id, changes={"roles": overwrites})
        return channel_id

    async def _message(self) -> int:
        return await self._said(mine=False)

    async def _said(self, *, mine: bool) -> int:
        client = self._client if mine else self._scene.actors[Kind.OWNER].client
        said = await client.call("add_message", channel_id=await self._get(A.CHANNEL), content="said")
        return int(said["id"])


def _overwrite(role_id: str, what: str, rules: list[str]) -> Params:
    return {"role_id": role_id, "allow": [], "deny": [], what: rules}
