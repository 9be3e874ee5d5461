"""AWS's request signature, version 4, for a POST to `/` without a query: all that JSON services such as Secrets Manager want.

Source: AWS, "Create a signed AWS API request". Why it is here and not a library's: docs/adr/0004-the-password-is-read-again.md.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """What requests are signed with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    """Keys of a role are temporary, and valid together with this only."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for, beside its day."""

    region: str
    service: str


def signed_headers(headers: Mapping[str, str], body: bytes, *, keys: AwsKeys, scope: Scope, now: float) -> dict[str, str]:
    """Return `headers`, which must have `host`, in lower case and with what a request needs to be accepted; `now` in unix seconds."""
    time = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    signed = {name.lower(): value.strip() for name, value in headers.items()} | {"x-amz-date": time}
    if keys.session_token is not None:
        signed["x-amz-security-token"] = keys.session_token
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        ["POST", "/", "", *(f"{name}:{signed[name]}" for name in sorted(signed)), "", names, hashlib.sha256(body).hexdigest()]
    )
    credential_scope = f"{time[:8]}/{scope.region}/{scope.service}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, time, credential_scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(_signing_key(keys, credential_scope), to_sign.encode(), "sha256").hexdigest()
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key_id}/{credential_scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed


def _signing_key(keys: AwsKeys, credential_scope: str) -> bytes:
    """Derive the key of one day, region and service."""
    key = f"AWS4{keys.secret_access_key}".encode()
    for part in credential_scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
