"""Reading a request: its header fields, its path, and its parameters from wherever they are given.

Sources: RFC 9110, sections 5.5 (field values), 8.3.1 (media types); Stripe takes the parameters of any request from its query and its body.
"""

import re
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Scope

from payments.domain.errors import AccountInvalid, InvalidRequest, NotFound
from payments.domain.principal import Principal
from payments.runtime.topology import TRIAL_HEADER
from payments.wire.errors import BodyTooLarge
from payments.wire.form import Params, decode_form, decode_json

BODY_BYTES_MAX = 1024 * 1024

_SINGLE = frozenset(
    {b"authorization", b"content-type", b"content-encoding", b"idempotency-key", b"stripe-version", b"stripe-account", b"stripe-context"}
)
"""What a request says once or not at all."""
_TRIAL = TRIAL_HEADER.lower().encode()
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
ID_PATTERN = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
_ID = re.compile(rf"(?=.{{1,255}}\Z){ID_PATTERN}")
"""A delivery's id is its event's and its endpoint's, with a dot between them."""
_SHOWN_CHARACTERS_MAX = 100


class Headers:
    """A request's header fields."""

    __slots__ = ("_fields",)

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Take fields with their names in lower case; raises `InvalidRequest` when one is given twice that there is one of."""
        self._fields = dict(fields)
        if len(self._fields) != len(fields):
            names = [name for name, _ in fields]
            for name in _SINGLE:
                if names.count(name) > 1:
                    raise InvalidRequest(f"The header {name.decode('ascii').title()} is given more than once.")

    def get(self, name: bytes) -> str | None:
        """Return a field's value without the blanks around it."""
        value = self._fields.get(name)
        return None if value is None else value.strip(b" \t").decode("latin-1")

    def has_body(self) -> bool:
        """Tell whether a body follows."""
        return self._fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self._fields


def is_trial(headers: Headers) -> bool:
    """Tell whether the sender asks for the copies that a release is tried out with."""
    return headers.get(_TRIAL) is not None


def path_of(scope: Scope) -> str:
    """Return the path as it was sent: an encoded slash separates nothing. Bytes that no path of ours has are shown encoded."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("ascii", "backslashreplace")


def check_ids(path_params: dict[str, str], endpoint_path: str) -> None:
    """Decode the ids of a path in place; raises `NotFound` for what is no id, as for an id that there is not."""
    for name, value in path_params.items():
        if _ID.fullmatch(value):
            continue
        decoded = unquote_to_bytes(value).decode(errors="replace")
        if not _ID.fullmatch(decoded):
            noun = endpoint_path.partition(f"/{{{name}}}")[0].rpartition("/")[2]
            noun = f"{noun[:-3]}y" if noun.endswith("ies") else noun.removesuffix("s")
            raise NotFound(noun, decoded[:_SHOWN_CHARACTERS_MAX].replace("\0", "%00"))
        path_params[name] = decoded


def check_account(headers: Headers, principal: Principal) -> None:
    """Refuse a request on behalf of an account that isn't the caller's, instead of carrying it out on the caller's own. Raises `AccountInvalid`."""
    for name in (b"stripe-account", b"stripe-context"):
        account = headers.get(name)
        if account and account != principal.account_id:
            raise AccountInvalid(account)


def take_expand(params: Params) -> tuple[str, ...]:
    """Take what is to be expanded out of the parameters; raises `InvalidRequest`."""
    given = params.pop("expand", None)
    if given is None or given == "":
        return ()
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):  # pyright: ignore[reportUnknownVariableType]
        raise InvalidRequest("Invalid array", param="expand")
    return tuple(given)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - checked above


async def read_params(scope: Scope, receive: Receive, headers: Headers) -> Params:
    """Return the parameters of query and body together; of a parameter that is in both, the body's. Raises `InvalidRequest`."""
    query: bytes = scope["query_string"]
    if scope["method"] != "POST" and not headers.has_body():
        return decode_form(query)
    body = await read_body(receive, headers)
    if not body:
        return decode_form(query)
    media_type, charset = _media_type(headers.get(b"content-type"))
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise InvalidRequest(f"Invalid request body: the content encoding {encoding[:40]} is not accepted.")
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise InvalidRequest("Invalid request: parameters must be in UTF-8.")
    match media_type:
        case "application/json":
            return decode_form(query) | decode_json(body)
        case "application/x-www-form-urlencoded":
            return decode_form(query + b"&" + body if query else body)
        case _:
            raise InvalidRequest(f"Invalid request: check that its content type is {_FORM} or {_JSON}; it is {media_type[:100]}.")


def _media_type(header: str | None) -> tuple[str, str]:
    """Return a media type and its charset, in lower case; without a header a form is what it is."""
    if header is None or header.lower() == _FORM:
        return _FORM, "utf-8"
    media_type, *parameters = header.lower().split(";")
    charset = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            charset = value.strip().strip('"')
    return media_type.strip(), charset


async def read_body(receive: Receive, headers: Headers) -> bytes:
    """Read the body, however its length was declared, and stop at the limit."""
    declared = headers.get(b"content-length") or ""
    if len(declared) > len(str(BODY_BYTES_MAX)) or (declared.isascii() and declared.isdigit() and int(declared) > BODY_BYTES_MAX):
        raise BodyTooLarge(BODY_BYTES_MAX)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise BodyTooLarge(BODY_BYTES_MAX)
        parts.append(part)
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The client closed the connection before the request was complete.")
        if not message.get("more_body", False):
            return b"".join(parts)
