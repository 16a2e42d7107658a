"""Passwords for the containers of docker-compose.yml, made once: `python3 -m deploy.credentials [FOLDER]`.

Needs nothing but Python. A folder that has them already is left as it is.
"""

from __future__ import annotations

import base64
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(".local/secrets")
SERVICES = ("guilds", "messages", "presence")
PARTS = ("gateway", *SERVICES)
MONGO_HOSTS = ("mongo-0:27017", "mongo-1:27017", "mongo-2:27017")
NATS_HOSTS = ("nats-0:4222", "nats-1:4222", "nats-2:4222")


def credentials() -> dict[str, str]:
    """New random ones, by file name: each part has a user of its name."""
    mongo, nats = ({part: secrets.token_hex(24) for part in PARTS} for _ in range(2))
    return {
        "mongo-keyfile": base64.b64encode(secrets.token_bytes(756)).decode(),
        "mongo-root-password": secrets.token_hex(24),
        **{f"mongo-url-{each}": mongo_url(each, mongo[each], MONGO_HOSTS) for each in SERVICES},
        "nats-passwords.conf": nats_passwords(nats),
        "nats-cluster.conf": _nats_cluster(secrets.token_hex(24)),
        **{f"nats-url-{part}": nats_url(part, nats[part], NATS_HOSTS) for part in PARTS},
    }


def mongo_url(user: str, password: str, hosts: Sequence[str]) -> str:
    return f"mongodb://{user}:{password}@{','.join(hosts)}/?replicaSet=guildwire&authSource=admin"


def nats_url(user: str, password: str, hosts: Sequence[str]) -> str:
    return ",".join(f"nats://{user}:{password}@{host}" for host in hosts)


def nats_passwords(passwords: Mapping[str, str]) -> str:
    """What deploy/nats/users.conf includes."""
    return "\n".join(f'{user}: "{password}"' for user, password in passwords.items())


def _nats_cluster(password: str) -> str:
    """A server believes another as much as itself."""
    routes = "\n".join(f'  "nats://server:{password}@{host.partition(":")[0]}:6222"' for host in NATS_HOSTS)
    return f'authorization {{\n  user: server\n  password: "{password}"\n}}\nroutes: [\n{routes}\n]'


def write(folder: Path) -> bool:
    """Writes them, and says whether it did: not over others, which the database's volumes were made with.

    The folder is for its owner alone. The files themselves are for all to read, since each is mounted by itself
    into a container whose user has another number.
    """
    if folder.exists() and any(folder.iterdir()):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name, text in credentials().items():
        file = folder / name
        file.write_text(f"{text}\n")
        file.chmod(0o444)
    return True


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0]) if arguments else FOLDER
    if write(folder):
        print(f"{folder}: written")
        return 0
    if missing := sorted(name for name in credentials() if not (folder / name).exists()):
        print(
            f"error: {folder} is of another version, it lacks {', '.join(missing)}: move it away with the volumes that"
            " belong to it, and make both anew",
            file=sys.stderr,
        )
        return 1
    print(f"{folder}: not empty, left as it is")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
