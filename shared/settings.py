"""Settings come from the environment, are checked before a socket opens, and are all listed here.

`NAME_FILE` may hold the path of a file with the value instead (as secrets are mounted).
`python -m shared.settings` prints the table.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.nats_creds import Creds


class SettingsError(Exception):
    """One line that names the setting, what is wrong with it and what to do."""


class Settings(BaseModel):
    """What any process of Guildwire can be told. Times in seconds, sizes in bytes, unless the name says otherwise."""

    model_config = ConfigDict(frozen=True)

    name: str = Field("", description="this process's name in logs and leases; default: the part, the host and the pid")
    host: str = Field("127.0.0.1", description="address the gateway listens on")
    port: int = Field(8080, ge=0, le=65535, description="port the gateway listens on; 0: any free one")
    admin_host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    admin_port: int = Field(0, ge=0, le=65535, description="port of the same; 0: any free one")
    admin_file: Path | None = Field(None, description="file in which to write the admin port once it listens")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    mongo_url: str = Field("mongodb://127.0.0.1:27017/?replicaSet=guildwire", description="MongoDB, a replica set")
    mongo_db: str = Field("guildwire", pattern=r"^[A-Za-z0-9_-]{1,60}$", description="name of the database")
    mongo_ca_file: Path | None = Field(None, description="CA of MongoDB's certificates, as PEM; turns TLS on")
    nats_url: str = Field("nats://127.0.0.1:4222", description="NATS servers, separated by commas")
    nats_creds_file: Path | None = Field(None, description="NATS credentials file")
    nats_ca_file: Path | None = Field(None, description="CA of NATS's certificates, as PEM; turns TLS on")
    max_payload: int = Field(8 << 20, ge=2 << 20, description="largest NATS message; not above the server's own limit")

    affinity: Literal["on", "off"] = Field("on", description="requests about one channel or server go to one replica")
    request_timeout: float = Field(8.0, gt=0, le=60, description="deadline of one request")
    read_timeout: float = Field(3.0, gt=0, le=60, description="deadline of a get_*: events of its scope wait for it")
    service_concurrency: int = Field(256, ge=1, description="requests a service works on at once; more: unavailable")
    service_share: float = Field(
        0.25, gt=0, le=1, description="part of these that requests about one server may be; more: rate_limited"
    )
    password_workers: int = Field(2, ge=1, le=64, description="Argon2 hashes at once, each of password_memory")
    password_memory: int = Field(64 << 10, ge=32, description="KiB that one Argon2 hash takes")
    password_passes: int = Field(3, ge=1, description="passes of Argon2 over its memory")
    image_workers: int = Field(1, ge=1, le=64, description="images decoded at once, each in image_memory")
    image_memory: int = Field(384 << 20, ge=64 << 20, description="address space of one that is being decoded")
    image_seconds: int = Field(4, ge=1, le=30, description="processor time of the same")
    nonce_days: float = Field(2.0, ge=1, description="how long the outcome of a nonce is kept")
    session_days: float = Field(30.0, gt=0, description="a session unused for so long ends")
    outbox_grace: float = Field(1.0, ge=0, description="age at which the sweeper republishes what was left unpublished")
    journal_days: float = Field(7.0, gt=0, description="how long entries are kept: the horizon of deltas and resume")
    prune_interval: float = Field(3600.0, gt=0, description="between two removals of older entries")
    head_cache: int = Field(100_000, ge=100, description="scope heads a service remembers")
    rules_cache: int = Field(2_000, ge=10, description="servers whose rights a service remembers")

    idle_connections: int = Field(
        2_000, ge=1, description="HTTP connections kept that ask for nothing; more are closed"
    )
    handshake_timeout: float = Field(10.0, gt=0, description="time for a connection's first request; its body has more")
    authenticate_timeout: float = Field(10.0, gt=0, description="time for authenticate; each request restarts it")
    authentications: int = Field(
        64, ge=1, description="authenticate under way at once; more wait, and once as many do, handshakes get 503"
    )
    anonymous_limit: float = Field(300.0, gt=0, description="longest a connection stays unauthenticated")
    connection_requests: int = Field(64, ge=50, description="requests of one connection under way at once")
    max_connections: int = Field(15_000, ge=1, description="sockets one gateway holds; more get 503")
    image_uploads: int = Field(32, ge=1, description="uploads a gateway takes at once; more: unavailable")
    image_upload_timeout: float = Field(20.0, gt=0, description="time in which an uploaded image must have arrived")
    outbox_limit: int = Field(1 << 20, ge=1 << 14, description="unsent bytes of a connection; past it: close 4008")
    drain_seconds: float = Field(
        10.0, ge=0, le=300, description="over how long a gateway that goes away sends its clients elsewhere"
    )
    ping_interval: float = Field(25.0, gt=0, description="between two pings to a client")
    users_per_connection: int = Field(5_000, ge=1, description="user scopes a connection is told of")
    ring_size: int = Field(64, ge=1, description="last entries kept per scope for late joiners")
    reorder_limit: int = Field(256, ge=1, description="entries kept that arrived too early; beyond: fetched again")
    gap_wait: float = Field(0.02, ge=0, description="time given to a missing entry before the journal is asked")
    interest_linger: float = Field(30.0, ge=0, description="how long a scope nobody holds is still followed")
    digest_interval: float = Field(30.0, gt=0, description="between two comparisons of all held heads")
    lease_beat: float = Field(5.0, gt=0, description="between two signs of life of a gateway to presence")
    lease_expiry: float = Field(15.0, gt=0, description="a gateway that gave none for so long is taken for dead")
    lease_quiet: float = Field(20.0, ge=0, description="after an outage of its own presence takes none for dead")
    lease_freeze: float = Field(60.0, ge=0, description="longest it doubts that many gateways died at once")
    status_grace: float = Field(10.0, ge=0, description="who comes back within this never went offline for others")
    limits: Literal["on", "off"] = Field("on", description="the rate limits; off for load tests alone")
    rate_burst: float = Field(100.0, ge=50, description="requests, by their cost, that anybody may send at once")
    rate_per_second: float = Field(20.0, gt=0, description="the same, in the long run, each second")
    handshake_rate: float = Field(200.0, gt=0, description="sockets a gateway accepts each second; more get 503")
    handshake_rate_per_address: float = Field(
        50.0, gt=0, description="the same from one address, which may be a whole company's; also refused tokens"
    )
    image_rate_per_address: float = Field(
        100.0, gt=0, description="images one address may look at each second, and ten times as many at once"
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="origins whose pages may connect beside the gateway's own, separated by commas; `*`: all"
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description="networks of the balancers whose X-Forwarded-For is believed, separated by commas"
    )

    @field_validator("allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if each != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#]+", each.lower()):
                raise ValueError(f"{each} is no origin, such as https://chat.example")
        return tuple(each.lower() for each in value)

    @field_validator("mongo_ca_file", "nats_ca_file")
    @classmethod
    def _certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.create_default_context(cafile=value)
            except ssl.SSLError:
                raise ValueError(f"{value} holds no certificate, as PEM") from None
            except OSError as error:
                raise ValueError(f"cannot read {value}: {error.strerror}") from None
        return value

    @field_validator("nats_creds_file")
    @classmethod
    def _creds(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                Creds.read(value)
            except OSError as error:
                raise ValueError(f"cannot read {value}: {error.strerror}") from None
        return value

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The environment's settings; raises SettingsError naming the first that is wrong."""
        env = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for name in cls.model_fields:
            value = _read(env, name.upper())
            if value is not None:
                values[name] = value
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            variable = str(first["loc"][0]).upper()
            raise SettingsError(f"{variable}: {first['msg']} (see `python -m shared.settings`)") from None


def _read(env: Mapping[str, str], variable: str) -> str | None:
    path = env.get(f"{variable}_FILE")
    if path and not variable.endswith("_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{variable}_FILE: cannot read {path}: {error.strerror}") from None
    return env.get(variable) or None


def table() -> str:
    """All settings as a Markdown table."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "", ()) else f"`{field.default}`"
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201 - this is the command's output
