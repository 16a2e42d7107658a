"""What `make run` can be told, by environment variables, all checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVICES = ("guilds", "messages", "presence")
MOST_REPLICAS = 64
HIGHEST_PORT = 65_535


class OptionError(Exception):
    """One line: the option, what is wrong with it, and what is allowed."""


@dataclass(frozen=True)
class Options:
    """The options of one launcher. `mongo_url` and `nats_url` are None for the embedded servers."""

    port: int
    gateways: int
    replicas: Mapping[str, int]
    data: Path
    limits: str
    mongo_url: str | None
    nats_url: str | None

    @property
    def ports(self) -> range:
        """The gateways' ports."""
        return range(self.port, self.port + self.gateways)

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Options:
        """Read them from the environment; OptionError for the first that is not allowed. Empty means default."""
        gateways = _number(env, "GATEWAYS", 1, 1, MOST_REPLICAS)
        limits = env.get("LIMITS") or "on"
        if limits not in ("on", "off"):
            raise OptionError(f"LIMITS must be on or off, not {limits!r}")
        mongo_url = _address(env, "MONGO_URL")
        if mongo_url and not mongo_url.startswith(("mongodb://", "mongodb+srv://")):
            raise OptionError("MONGO_URL must begin with mongodb:// or mongodb+srv://, and name a replica set")
        return cls(
            port=_number(env, "PORT", 8080, 1, HIGHEST_PORT + 1 - gateways),
            gateways=gateways,
            replicas={name: _number(env, name.upper(), 1, 1, MOST_REPLICAS) for name in SERVICES},
            data=Path(env.get("DATA") or ".local").expanduser().resolve(),
            limits=limits,
            mongo_url=mongo_url,
            nats_url=_address(env, "NATS_URL"),
        )


def _number(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name) or str(default)
    # isdecimal() also takes other scripts' digits, which int() reads as well; what remains is at most a few digits.
    if not (text.isdecimal() and len(text) <= len(str(HIGHEST_PORT)) and least <= int(text) <= most):
        raise OptionError(f"{name} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)


def _address(env: Mapping[str, str], name: str) -> str | None:
    """Read a URL that is given as it is or, as secrets are, by the path of a file that holds it."""
    path = env.get(f"{name}_FILE")
    if not path:
        return env.get(name) or None
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{name}_FILE: {path} can't be read: {error}") from error
    if not text:
        raise OptionError(f"{name}_FILE: {path} is empty")
    return text
