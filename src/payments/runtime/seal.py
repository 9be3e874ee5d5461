"""Sealing secrets at rest: AES-256-GCM under keys that a key provider unlocks.

A sealed value is bound to a context (which merchant, which object): moved to another row it doesn't open. Its first byte names the key, so that a new
key can be introduced while old values still open. Sources: NIST SP 800-38D (GCM), RFC 5869 (HKDF).
"""

import base64
import hmac
import os
import stat
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DIGEST_PREFIX = "h1:"
"""Of keyed digests, the first kind."""
_NONCE_BYTES = 12
_KEY_VERSION = 1


class SealError(Exception):
    """The key can't be read, or a sealed value was damaged, moved, or sealed under another key."""


class KeyProvider(Protocol):
    """Where the envelope key comes from."""

    def envelope_key(self) -> bytes:
        """Return 32 bytes."""
        ...


class FileKeyProvider:
    """Reads the envelope key, 64 hex digits, from a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        """The file at `path` is read when the key is asked for."""
        self._path = path

    def envelope_key(self) -> bytes:
        """Return the key; raises `SealError` when the file is missing, malformed or readable by others."""
        try:
            if self._path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SealError(f"{self._path} must be readable by its owner only: chmod 600 {self._path}")
            key = bytes.fromhex(self._path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as failure:
            raise SealError(f"the envelope key in {self._path} can't be read") from failure
        if len(key) != 32:
            raise SealError(f"the envelope key in {self._path} is not 32 bytes")
        return key


class GivenKeyProvider:
    """An envelope key that was injected into the environment."""

    def __init__(self, key: bytes) -> None:
        """Provide `key`, 32 bytes."""
        self._key = key

    def envelope_key(self) -> bytes:
        """Return the key."""
        return self._key


def key_provider(file: Path | None, key: bytes | None) -> KeyProvider:
    """Return the provider that the settings name; raises `SealError` when they name none."""
    if key is not None:
        return GivenKeyProvider(key)
    if file is None:
        raise SealError("no envelope key is set")
    return FileKeyProvider(file)


class Sealer:
    """Seals, opens, and fingerprints. Each purpose has a key of its own, derived from the envelope key."""

    def __init__(self, provider: KeyProvider) -> None:
        """Unlock the envelope key once."""
        envelope = provider.envelope_key()
        self._aead = AESGCM(_derive(envelope, b"tap seal v1"))
        self._fingerprint_key = _derive(envelope, b"tap fingerprint v1")
        self._digest_key = _derive(envelope, b"tap request digest v1")

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt and bind to `context`."""
        nonce = os.urandom(_NONCE_BYTES)
        return bytes((_KEY_VERSION,)) + nonce + self._aead.encrypt(nonce, plaintext, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt; raises `SealError` unless `sealed` is intact and was bound to `context`."""
        if len(sealed) <= 1 + _NONCE_BYTES or sealed[0] != _KEY_VERSION:
            raise SealError("sealed under a key that is not known here")
        try:
            return self._aead.decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], context)
        except InvalidTag:
            raise SealError("sealed value is damaged or belongs elsewhere") from None

    def fingerprint(self, plaintext: bytes, context: bytes) -> str:
        """Return 16 characters that are equal for equal values in one context, and tell nothing else."""
        digest = hmac.digest(self._fingerprint_key, context + b"\0" + plaintext, "sha256")
        return base64.b32encode(digest[:10]).decode("ascii")

    def digest(self, plaintext: bytes) -> str:
        """Return what is equal for equal values. It can be kept: without the envelope key nobody can try out what the value was."""
        return DIGEST_PREFIX + base64.b64encode(hmac.digest(self._digest_key, plaintext, "sha256")).decode("ascii")


def _derive(envelope: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(envelope)
