"""NATS credentials files: a user's JWT, and the seed of the key by which they prove that it is theirs.

As `nsc` writes them. The seed is an nkey (github.com/nats-io/nkeys): base32 of two bytes that say what it is for, an
Ed25519 seed and a CRC-16.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_JWT = re.compile(r"-+BEGIN NATS USER JWT-+\s+(\S+)\s+-+END NATS USER JWT-+")
_SEED = re.compile(r"-+BEGIN USER NKEY SEED-+\s+(SU[A-Z2-7]{56})\s+-+END USER NKEY SEED-+")
_PREFIX, _LENGTH = 2, 32


@dataclass(frozen=True, slots=True)
class Creds:
    jwt: bytes
    key: Ed25519PrivateKey

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises OSError, or ValueError for what is no such file."""
        text = file.read_text(encoding="utf-8")
        jwt, seed = _JWT.search(text), _SEED.search(text)
        if jwt is None or seed is None:
            raise ValueError(f"{file} holds no NATS user's JWT and seed")
        raw = base64.b32decode(f"{seed[1]}======")
        seed_itself, checksum = raw[_PREFIX : _PREFIX + _LENGTH], int.from_bytes(raw[_PREFIX + _LENGTH :], "little")
        if binascii.crc_hqx(raw[: _PREFIX + _LENGTH], 0) != checksum:
            raise ValueError(f"the seed in {file} is damaged")
        return cls(jwt[1].encode(), Ed25519PrivateKey.from_private_bytes(seed_itself))

    def sign(self, nonce: str) -> bytes:
        """What the server asks for, as it takes it."""
        return base64.b64encode(self.key.sign(nonce.encode()))
