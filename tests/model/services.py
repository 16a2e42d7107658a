"""All service replicas behind the network: writes go to one of them, reads are answered from the database.

What a read answers may be a moment old: a primary that was just replaced does not know it yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from shared.bus import Headers
from shared.errors import NotFound
from tests.model import events
from tests.model.database import Database, State
from tests.model.events import SERVER
from tests.model.network import Network, Respond
from tests.model.oracle import Oracle
from tests.model.production import Production
from tests.model.replica import Replica, reply
from tests.model.world import World

_PAGE = 4
"""Entries in one answer of `read_entries`: not always all that somebody far behind has missed."""

Params = Mapping[str, Any]


class Services:
    """All replicas, behind the network: writes go to any of them, reads to the database."""

    def __init__(
        self, world: World, production: Production, database: Database, network: Network, oracle: Oracle
    ) -> None:
        self._world = world
        self._database = database
        self._made = 0
        self._parts = (world, production, database, network, oracle)
        self.replicas: list[Replica] = []
        for _ in range(world.profile.writers):
            self.start()
        network.serves = self.serve

    def start(self) -> Replica:
        self._made += 1
        self.replicas.append(Replica(*self._parts, f"service-{self._made}"))
        return self.replicas[-1]

    def kill(self, replica: Replica) -> None:
        self.replicas.remove(replica)
        self._world.kill(replica.process)

    def serve(self, subject: str, payload: bytes, headers: Headers, respond: Respond) -> bool:
        method, params, user_id = subject.split(".")[2], orjson.loads(payload), headers.get("user", "")
        named = subject.split(".")[3:]
        replicas = [each for each in self.replicas if not named or each.process.name in named]
        if not replicas:
            return False
        if read := getattr(self, f"_{method}", None):
            key = f"reads {method}"
            delay = self._world.database_delay(key)
            if method == "read_entries" and self._world.fault(key, "slow_fetches"):
                delay += self._world.stream(f"{key}:slow").uniform(0.0, 0.9)
            self._world.after(delay, lambda: respond(reply(*read(params, user_id))))
        else:
            replica = self._world.stream(f"replica for {user_id}").choice(replicas)
            replica.write(method, params, user_id, respond)
        return True

    # Reads.

    def _state(self, key: str) -> State:
        """Sometimes of a moment ago: from a primary that was just replaced."""
        if self._world.fault(key, "stale_reads"):
            return self._database.stale(self._world.stream(f"{key}:lag").uniform(0, 0.1))
        return self._database.state

    def _rev(self, scope: str, state: State) -> int:
        head = self._database.head(scope, state)
        return int(head["rev"]) if head else 0

    def _read_heads(self, params: Params, _user: str) -> tuple[Any, ...]:
        state = self._database.state if params.get("surely") else self._state("read_heads")
        return ({"heads": {scope: self._rev(scope, state) for scope in params["scopes"]}},)

    def _read_entries(self, params: Params, _user: str) -> tuple[Any, ...]:
        after = {"scope": params["scope"], "rev": {"$gt": params["after"]}}
        found = sorted(
            self._database.read("journal", after, self._state("read_entries")), key=lambda entry: int(entry["rev"])
        )
        return ({"entries": [{**entry, "_id": None} for entry in found[:_PAGE]]},)

    def _alive(self, _params: Params, _user: str) -> tuple[Any, ...]:
        return ({},)

    def _get_server_view(self, _params: Params, _user: str) -> tuple[Any, ...]:
        state = self._state("get_server_view")
        channels = {str(channel["_id"]) for channel in self._database.read("channels", {}, state)}
        heads = {channel: self._rev(f"channel:{channel}", state) for channel in sorted(channels)}
        shown = [{"channel": events.channel(channel), "head": head} for channel, head in heads.items()]
        everyone = {"everyone_id": events.EVERYONE, "roles": {events.EVERYONE: ["view_channel"]}}
        view = {"rev": self._rev(f"server:{SERVER}", state), "owner_id": "", "categories": [], "channels": shown}
        return (view | everyone,)

    def _get_memberships(self, _params: Params, user: str) -> tuple[Any, ...]:
        state = self._state("get_memberships")
        within = self._database.read("members", {"user_id": user}, state)
        servers = {SERVER: {"rev": self._rev(f"server:{SERVER}", state), "roles": []}} if within else {}
        return ({"position": self._rev(f"self:{user}", state), "servers": servers},)

    def _identify(self, params: Params, _user: str) -> tuple[Any, ...]:
        user = params["token"]
        return ({"user": _profile(user), "session_id": f"of {user}", "epoch": "1"},)

    # Nobody's status changes here: every lease stands.

    def _keep_lease(self, _params: Params, _user: str) -> tuple[Any, ...]:
        return ({"stands": True},)

    def _enter_user(self, params: Params, _user: str) -> tuple[Any, ...]:
        return ({"stands": True, "user": _profile(params["user_id"])},)

    def _report_users(self, _params: Params, _user: str) -> tuple[Any, ...]:
        return ({"stands": True},)

    def _check_sessions(self, _params: Params, _user: str) -> tuple[Any, ...]:
        return ({"session_ids": []},)

    def _get_servers(self, _params: Params, user: str) -> tuple[Any, ...]:
        state = self._state("get_servers")
        rev = self._rev(f"self:{user}", state)
        member = bool(self._database.read("members", {"user_id": user}, state))
        return {"rev": rev, "member": member}, {f"self:{user}": rev}

    def _get_message_chunk(self, params: Params, user: str) -> tuple[Any, ...]:
        return self._whole(f"channel:{params['channel_id']}", user, "get_message_chunk")

    def _get_server(self, params: Params, user: str) -> tuple[Any, ...]:
        return self._whole(f"server:{params['server_id']}", user, "get_server")

    def _whole(self, scope: str, user: str, key: str) -> tuple[Any, ...]:
        state = self._state(key)
        if not self._database.read("members", {"user_id": user}, state):
            return NotFound(scope.partition(":")[0]).wire(), None, "error"
        rev = self._rev(scope, state)
        return {"rev": rev}, {scope: rev}


def _profile(user: str) -> dict[str, Any]:
    profile = {"id": user, "name": user, "display_name": user, "image": None, "status_text": None, "rev": 1}
    return {**profile, "status": "online"}
