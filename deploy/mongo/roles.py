"""What each service may do in MongoDB, made of `shared/ownership.py`: a role each, in the database `admin`.

`python -m deploy.mongo.roles` prints them for mongosh, where the replica set is not made by `deploy.mongo.initiate`.
"""

from __future__ import annotations

import json
from typing import Any

from pymongo import MongoClient

from shared.ownership import ALSO_READ, ALSO_UPDATED, COMMON, NEVER_CHANGED, OWN
from shared.settings import Settings

SERVICES = tuple(sorted(OWN))
_READ = ("find",)
_UPDATE = ("find", "update")
_ADD = ("find", "insert", "remove", "createCollection", "createIndex")
_WRITE = (*_ADD, "update")
_MAJORITY = {"w": "majority", "wtimeout": 10_000}

Client = MongoClient[dict[str, Any]]


def role_of(service: str, database: str) -> str:
    """One server may hold the databases of several deployments."""
    return f"{database}-{service}"


def privileges(service: str, database: str) -> list[dict[str, Any]]:
    """What a service may do, collection by collection; nothing else, in no other database."""
    allowed: dict[str, tuple[str, ...]] = dict.fromkeys(ALSO_READ[service], _READ)
    allowed |= dict.fromkeys(ALSO_UPDATED[service], _UPDATE)
    allowed |= dict.fromkeys(OWN[service] | COMMON, _WRITE)
    allowed |= dict.fromkeys(NEVER_CHANGED, _ADD)
    return [
        {"resource": {"db": database, "collection": collection}, "actions": list(actions)}
        for collection, actions in sorted(allowed.items())
    ]


def make_role(client: Client, service: str, database: str) -> None:
    """Makes the role, or makes it what it is to be."""
    role = role_of(service, database)
    known = client.admin.command("rolesInfo", role)["roles"]
    command = "updateRole" if known else "createRole"
    client.admin.command(command, role, privileges=privileges(service, database), roles=[], writeConcern=_MAJORITY)


def make_user(client: Client, user: str, password: str, service: str, database: str) -> None:
    """Makes the service's user with its role, and no other; or gives it this password and no other role."""
    known = client.admin.command("usersInfo", user)["users"]
    command = "updateUser" if known else "createUser"
    client.admin.command(command, user, pwd=password, roles=[role_of(service, database)], writeConcern=_MAJORITY)


def script() -> str:
    """The same for mongosh, for the first time or for another version."""
    database = Settings.load().mongo_db
    lines = ["const admin = db.getSiblingDB('admin')"]
    for service in SERVICES:
        role = json.dumps(role_of(service, database))
        granted = json.dumps({"privileges": privileges(service, database), "roles": []})
        lines.append(f"admin.getRole({role}) ? admin.updateRole({role}, {granted})")
        lines.append(f"  : admin.createRole({{role: {role}, ...{granted}}})")
    return "\n".join(lines)


if __name__ == "__main__":
    print(script())
