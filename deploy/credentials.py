"""Passwords for the containers of docker-compose.yml, made once: `python3 -m deploy.credentials [FOLDER]`.

Needs nothing but Python. A folder that has them already is left as it is.
"""

from __future__ import annotations

import base64
import secrets
import sys
from pathlib import Path

FOLDER = Path(".local/secrets")
MONGO_HOSTS = ("mongo-0:27017", "mongo-1:27017", "mongo-2:27017")
NATS_HOSTS = ("nats-0:4222", "nats-1:4222", "nats-2:4222")
USER = "guildwire"


def credentials() -> dict[str, str]:
    """New random ones, by file name."""
    mongo, nats = secrets.token_hex(24), secrets.token_hex(24)
    return {
        "mongo-keyfile": base64.b64encode(secrets.token_bytes(756)).decode(),
        "mongo-root-password": secrets.token_hex(24),
        "mongo-url": f"mongodb://{USER}:{mongo}@{','.join(MONGO_HOSTS)}/?replicaSet=guildwire&authSource=admin",
        "nats-authorization.conf": f'user: "{USER}"\npassword: "{nats}"',
        "nats-url": ",".join(f"nats://{USER}:{nats}@{host}" for host in NATS_HOSTS),
    }


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


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0]) if arguments else FOLDER
    print(f"{folder}: written" if write(folder) else f"{folder}: not empty, left as it is")


if __name__ == "__main__":
    main(sys.argv[1:])
