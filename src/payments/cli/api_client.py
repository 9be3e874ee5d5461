"""A Tap that commands call: the local run, or any by its URL and a key. Plain HTTP, since the SDK takes half a second to import."""

import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from payments.cli.data_directory import DataDirectory, UsageError

KEY_VARIABLE = "TAP_API_KEY"
_SECONDS_MAX = 90.0


class ApiError(UsageError):
    """The API refused a call, in its own words."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('message', 'No answer that is understood')} ({status})")
        self.status = status
        self.error = error


class NoAnswerError(UsageError):
    """Nobody answers there."""


@dataclass(frozen=True, slots=True)
class Api:
    """Where it is, and who calls."""

    base_url: str
    key: str = field(repr=False)
    root_certificate: str | None = None
    """What is trusted instead of the system's authorities."""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What is trusted; None for the system's authorities."""
        return None if self.root_certificate is None else ssl.create_default_context(cafile=self.root_certificate)

    @property
    def authorization(self) -> str:
        """What the key is given as."""
        return f"Basic {b64encode(f'{self.key}:'.encode()).decode()}"

    def call(self, method: str, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make a call; raises `ApiError` or `NoAnswerError`. A redirect isn't followed: the key is for nobody else."""
        body = urlencode(flattened(params or {}))
        url = f"{self.base_url}{path}" + (f"?{body}" if body and method == "GET" else "")
        try:
            request = urllib.request.Request(url, body.encode() if method == "POST" else None, method=method)  # noqa: S310 - http or https, as `api_of` saw to
            request.add_header("Authorization", self.authorization)
            opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=self.tls))
            with opener.open(request, timeout=_SECONDS_MAX) as response:
                answer: Any = json.load(response)
        except urllib.error.HTTPError as refusal:
            with refusal:
                if location := refusal.headers.get("Location"):
                    raise NoAnswerError(elsewhere(self.base_url, location)) from None
                raise ApiError(refusal.code, _error(refusal.read())) from None
        except json.JSONDecodeError:
            answer = None
        except (OSError, http.client.HTTPException, ValueError) as failure:
            reason = getattr(failure, "reason", None) or failure or type(failure).__name__
            raise NoAnswerError(f"{self.base_url} doesn't answer: {reason}") from None
        if not isinstance(answer, dict):
            raise NoAnswerError(f"{self.base_url} is no Tap: its answer isn't understood.")
        return answer  # pyright: ignore[reportUnknownVariableType] - of JSON


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:  # noqa: ARG002 - the library's signature
        return None


def elsewhere(base_url: str, location: str) -> str:
    """Say that an answer was a redirect."""
    return f"{base_url} leads elsewhere: give --api-base as it is in {location!r}, if that is where the key belongs."


def api_of(data_dir: Path, api_base: str | None) -> Api:
    """Return the Tap that a command is about; raises `UsageError` when there is none, or no key for it."""
    key = os.environ.get(KEY_VARIABLE)
    if api_base is None:
        directory = DataDirectory(data_dir)
        run = directory.run()
        return Api(run.base_url, key or directory.secrets().secret_key, run.root_certificate)
    if not api_base.startswith(("http://", "https://")):
        raise UsageError(f"{api_base} is no URL: it begins with http:// or https://")
    if not key:
        raise UsageError(f"Set {KEY_VARIABLE} to a secret key of that Tap.")
    return Api(api_base.rstrip("/"), key)


def flattened(params: Mapping[str, Any], within: str = "") -> list[tuple[str, str]]:
    """Return parameters as a form has them: `card[number]`, `expand[0]`."""
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        full = f"{within}[{name}]" if within else name
        match value:
            case Mapping():
                pairs += flattened(value, full)  # pyright: ignore[reportUnknownArgumentType] - of any values
            case list():
                pairs += flattened({str(index): item for index, item in enumerate(value)}, full)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            case bool():
                pairs.append((full, "true" if value else "false"))
            case _:
                pairs.append((full, str(value)))
    return pairs


def _error(body: bytes) -> Mapping[str, Any]:
    try:
        answer: Any = json.loads(body)
        return answer["error"]
    except (ValueError, KeyError, TypeError):
        return {}
