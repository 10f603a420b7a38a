"""Argon2id (RFC 9106) by one thread for each hash.

The library computes the four lanes of a hash by four threads. Where processors are scarce, they leave a fifth
of one to the event loop, and a flood of sign-ins slows every other request down fivefold. The lanes belong to
the hash, the threads only to its making: by one thread the result is the same, and what was stored before
stays good.
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import dataclass, field

from argon2 import Parameters, extract_parameters, profiles
from argon2.exceptions import HashingError, InvalidHashError
from argon2.low_level import ARGON2_VERSION, Type, core, error_to_str, ffi

OK = 0
"""What the library answers when all is well."""
DEFAULT_FLAGS = 0


@dataclass(frozen=True, slots=True)
class Hasher:
    """Makes and checks hashes in the PHC string format. Blocks for some tens of milliseconds."""

    parameters: Parameters = field(default_factory=lambda: profiles.RFC_9106_LOW_MEMORY)

    def hash(self, plain: str) -> str:
        """What is stored of a password."""
        salt = os.urandom(self.parameters.salt_len)
        digest = _digest(plain, salt, self.parameters)
        costs = self.parameters
        shown = f"m={costs.memory_cost},t={costs.time_cost},p={costs.parallelism}"
        return f"$argon2id$v={ARGON2_VERSION}${shown}${_encoded(salt)}${_encoded(digest)}"

    def is_of(self, stored: str, plain: str) -> bool:
        """Whether this was stored of the password; no for what isn't a hash of argon2id."""
        try:
            parameters = extract_parameters(stored)
            salt, digest = map(_decoded, stored.split("$")[4:])
        except (InvalidHashError, ValueError):
            return False
        return parameters.type == Type.ID and hmac.compare_digest(
            digest, _digest(plain, salt, parameters)
        )


def _digest(plain: str, salt: bytes, parameters: Parameters) -> bytes:
    password = plain.encode()
    out = ffi.new("uint8_t[]", parameters.hash_len)
    # Held until the end: the context only points to them.
    buffers = ffi.new("uint8_t[]", password), ffi.new("uint8_t[]", salt)
    context = ffi.new(
        "argon2_context *",
        {
            "version": parameters.version,
            "out": out,
            "outlen": parameters.hash_len,
            "pwd": buffers[0],
            "pwdlen": len(password),
            "salt": buffers[1],
            "saltlen": len(salt),
            "secret": ffi.NULL,
            "secretlen": 0,
            "ad": ffi.NULL,
            "adlen": 0,
            "t_cost": parameters.time_cost,
            "m_cost": parameters.memory_cost,
            "lanes": parameters.parallelism,
            "threads": 1,
            "allocate_cbk": ffi.NULL,
            "free_cbk": ffi.NULL,
            "flags": DEFAULT_FLAGS,
        },
    )
    result = core(context, Type.ID.value)
    if result != OK:
        raise HashingError(error_to_str(result))
    return bytes(ffi.buffer(out, parameters.hash_len))


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
