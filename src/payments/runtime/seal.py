"""Sealing secrets at rest: AES-256-GCM under keys that a key provider unlocks.

A sealed value is bound to a context (which merchant, which object): moved to another row it doesn't open. Its first byte is the number of its key, so that
a new key can be used while old values still open. Sources: NIST SP 800-38D (GCM), RFC 5869 (HKDF).
"""

import base64
import hmac
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from payments.runtime.keyring import KeyRing, KeyRingError

_NONCE_BYTES = 12
_FINGERPRINT = "fingerprint"
_DIGEST = re.compile(r"h([1-9][0-9]{0,2}):")
"""How a keyed digest begins: with the number of its key."""


class SealError(Exception):
    """The key can't be read, or a sealed value was damaged, moved, or sealed under a key that isn't known."""


@dataclass(frozen=True, slots=True)
class EnvelopeKeys:
    """The ring of envelope keys, and the key of cards' fingerprints, which outlives the key that it was derived from.

    As text: the ring, and `fingerprint:HEX` behind it once the ring has had more than one key. Fingerprints stand in objects that nobody may change, and
    merchants compare them: they stay what they are.
    """

    ring: KeyRing
    fingerprint_key: bytes = field(repr=False)

    @staticmethod
    def of(key: bytes) -> "EnvelopeKeys":
        """Return the keys of whoever has one envelope key."""
        return EnvelopeKeys(KeyRing.of(key), _derive(key, b"tap fingerprint v1"))

    @staticmethod
    def parse(text: str) -> "EnvelopeKeys":
        """Read the keys; raises `KeyRingError`."""
        ring_text, separator, fingerprint = text.partition(f",{_FINGERPRINT}:")
        ring = KeyRing.parse(ring_text)
        if separator:
            return EnvelopeKeys(ring, KeyRing.parse(fingerprint).key)
        if list(ring.keys) != [1]:
            raise KeyRingError(f"has no {_FINGERPRINT}:KEY behind its keys")
        return EnvelopeKeys.of(ring.key)

    def text(self) -> str:
        """Return the keys as `parse` reads them."""
        ring = self.ring.text()
        return ring if self == EnvelopeKeys.of(self.ring.key) else f"{ring},{_FINGERPRINT}:{self.fingerprint_key.hex()}"


class KeyProvider(Protocol):
    """Where the envelope keys come from."""

    def envelope_keys(self) -> EnvelopeKeys:
        """Return the keys."""
        ...


class FileKeyProvider:
    """Reads the envelope keys from a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        """The file at `path` is read when the keys are asked for."""
        self._path = path

    def envelope_keys(self) -> EnvelopeKeys:
        """Return the keys; raises `SealError` when the file is missing, malformed or readable by others."""
        try:
            if self._path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SealError(f"{self._path} must be readable by its owner only: chmod 600 {self._path}")
            text = self._path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as failure:
            raise SealError(f"the envelope key in {self._path} can't be read") from failure
        try:
            return EnvelopeKeys.parse(text)
        except KeyRingError as mistake:
            raise SealError(f"the envelope key in {self._path} {mistake}") from None


class GivenKeyProvider:
    """Envelope keys that were injected into the environment."""

    def __init__(self, keys: EnvelopeKeys) -> None:
        """Provide `keys`."""
        self._keys = keys

    def envelope_keys(self) -> EnvelopeKeys:
        """Return the keys."""
        return self._keys


def key_provider(file: Path | None, keys: EnvelopeKeys | None) -> KeyProvider:
    """Return the provider that the settings name; raises `SealError` when they name none."""
    if keys is not None:
        return GivenKeyProvider(keys)
    if file is None:
        raise SealError("no envelope key is set")
    return FileKeyProvider(file)


class Digest(Protocol):
    """Makes keyed digests."""

    def __call__(self, plaintext: bytes, like: str | None = None) -> str:
        """Return what is equal for equal values, under the key in use or under that of the digest `like`; empty when its key isn't known."""
        ...


class Sealer:
    """Seals, opens, and fingerprints. Each purpose has a key of its own, derived from an envelope key."""

    def __init__(self, provider: KeyProvider) -> None:
        """Unlock the envelope keys once."""
        envelope = provider.envelope_keys()
        self.key_in_use = envelope.ring.in_use
        """The number of the key that values are sealed under."""
        self._aeads = {key_id: AESGCM(_derive(key, b"tap seal v1")) for key_id, key in envelope.ring.keys.items()}
        self._digest_keys = {key_id: _derive(key, b"tap request digest v1") for key_id, key in envelope.ring.keys.items()}
        self._signing_keys = {key_id: _derive(key, b"tap ledger seal v1") for key_id, key in envelope.ring.keys.items()}
        self._fingerprint_key = envelope.fingerprint_key

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt under the key in use, and bind to `context`."""
        nonce = os.urandom(_NONCE_BYTES)
        return bytes((self.key_in_use,)) + nonce + self._aeads[self.key_in_use].encrypt(nonce, plaintext, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt; raises `SealError` unless `sealed` is intact, was bound to `context`, and its key is known."""
        aead = self._aeads.get(sealed[0]) if len(sealed) > 1 + _NONCE_BYTES else None
        if aead is None:
            raise SealError("sealed under a key that is not known here")
        try:
            return aead.decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], context)
        except InvalidTag:
            raise SealError("sealed value is damaged or belongs elsewhere") from None

    def fingerprint(self, plaintext: bytes, context: bytes) -> str:
        """Return 16 characters that are equal for equal values in one context, and tell nothing else."""
        digest = hmac.digest(self._fingerprint_key, context + b"\0" + plaintext, "sha256")
        return base64.b32encode(digest[:10]).decode("ascii")

    def digest(self, plaintext: bytes, like: str | None = None) -> str:
        """Return what is equal for equal values, under the key in use, or under that of the digest `like`; empty when its key isn't known.

        It can be kept: without the envelope key nobody can try out what the value was.
        """
        return self._keyed(self._digest_keys, plaintext, like)

    def sign(self, statement: bytes, like: str | None = None) -> str:
        """Return a signature of the ledger's under the key in use, or under that of the signature `like`; empty when its key isn't known.

        Nothing else is signed under these keys: no caller can have us sign what he likes.
        """
        return self._keyed(self._signing_keys, statement, like)

    def _keyed(self, keys: Mapping[int, bytes], text: bytes, like: str | None) -> str:
        key_id = self.key_in_use if like is None else key_of(like)
        key = keys.get(key_id)
        return "" if key is None else f"h{key_id}:{base64.b64encode(hmac.digest(key, text, 'sha256')).decode('ascii')}"

    @property
    def newest_key(self) -> int:
        """The highest number that a key of the ring has: it is never taken out."""
        return max(self._signing_keys)


def key_of(digest: str) -> int:
    """Return the number of a digest's key; 0 for what was made without one."""
    match = _DIGEST.match(digest)
    return 0 if match is None else int(match[1])


def _derive(envelope: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(envelope)
