"""The acquirers that are configured: `acquirers.toml`, read and checked before anything starts.

The file has no secrets in it; it says where they are. So every service may read it, and only transaction-processor reads those.
"""

import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from payments.acquirers.declines import DECLINE_CODES
from payments.acquirers.iso8583.codec import FIELDS, FORMAT_PATTERN, Bitmap, Codec, Encoding, Padding
from payments.acquirers.iso8583.currencies import NUMBERS
from payments.acquirers.iso8583.forms import Forms
from payments.acquirers.iso8583.framing import LengthFormat
from payments.acquirers.iso8583.messages import ReferenceNumbers
from payments.acquirers.registry import Bounds
from payments.acquirers.routing import BinRange, CardCountries, Country, Currency, Name, Route, Routes, Rule
from payments.domain.acquirers import NOBODY, SANDBOX
from payments.domain.money import CURRENCIES
from payments.domain.settlement import Availability
from payments.runtime.topology import ACQUIRER_SECRETS_VARIABLE, ACQUIRERS_TOML_VARIABLE

ACQUIRERS_VARIABLE = "TAP_ACQUIRERS"
"""The file's path; else `ACQUIRERS_TOML_VARIABLE` has what would stand in it."""
_SECRET_BYTES_MIN = 32
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Seconds = Annotated[float, Meta(gt=0, le=60)]


class ConfigurationError(Exception):
    """Something in the configuration is wrong; the message says what and where, in one line, and shows no secret."""


class AcquirerSpec(Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What is said of every acquirer."""

    name: Name
    """Under which it is recorded on charges and in the ledger: never to be given to another one."""
    mode: Literal["live", "test"]
    currencies: list[Currency] = []
    """None: all."""
    breaker_failures: Annotated[int, Meta(ge=0, le=1000)] = 5
    """After so many failures of the technical kind in a row it is sent no payment until it is well again; 0: never."""
    breaker_seconds: Annotated[float, Meta(gt=0, le=600)] = 5.0
    """How long after that it is asked how it is; then ever less often, up to a minute."""

    availability: Availability = Availability.SCHEDULE
    """When what it captures becomes available to merchants: by their schedules, or when it is settled."""

    @property
    def route(self) -> Route:
        """Which payments go there."""
        return Route(acquirer=self.name, livemode=self.mode == "live", currencies=frozenset(self.currencies))

    @property
    def place(self) -> str:
        """Where it is found."""
        raise NotImplementedError

    def verifies_in(self, currency: str) -> str:
        """Return in which currency it is asked whether a card is good: no money moves, but it must be one that it takes."""
        return currency if not self.currencies or currency in self.currencies else self.currencies[0]

    def check(self) -> None:
        """Raise `ConfigurationError` for what no type says."""
        if unknown := [each for each in self.currencies if each not in CURRENCIES]:
            raise ConfigurationError(f"there is no currency {unknown[0]}")


class UrlSpec(AcquirerSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of every acquirer that is spoken to over HTTP, with a secret."""

    url: str
    secret_file: str | None = None
    """Where the secret is, a file that only its owner may read; beside the configuration, unless the path is absolute."""
    secret_variable: str | None = None
    """Or the environment variable that has it."""
    timeout_seconds: Seconds = 8.0
    connect_timeout_seconds: Seconds = 2.0
    connections_max: Annotated[int, Meta(ge=1, le=1000)] = 64

    @property
    def place(self) -> str:
        """Its URL."""
        return self.url

    def check_secret(self, secret: str, where: str, environment: Mapping[str, str]) -> None:
        """Raise `ConfigurationError` for a secret that can't be the right one; `where` says where it was found."""

    def check(self) -> None:
        """Raise `ConfigurationError` for a URL that isn't one, one that anybody could read along at, and for a secret that isn't said to be anywhere."""
        super().check()
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
            (host or "").encode("idna")
        except ValueError:
            raise ConfigurationError("url is not a URL") from None
        if re.fullmatch("[!-~]+", self.url) is None:
            raise ConfigurationError("url is not a URL: it takes ASCII without spaces")
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username or parts.password:
            raise ConfigurationError("url must be https://HOST or https://HOST/PATH")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise ConfigurationError("url must be https, since others could read the card numbers")
        if not all(each is None or each.isprintable() for each in (self.secret_file, self.secret_variable)):
            raise ConfigurationError("secret_file and secret_variable are names on one line")
        if (self.secret_file is None) == (self.secret_variable is None):
            raise ConfigurationError("one of secret_file and secret_variable is needed")


class HttpSpec(UrlSpec, frozen=True, kw_only=True, tag="http", forbid_unknown_fields=True):
    """An acquirer that serves Tap's own protocol, docs/acquirer-protocol.json."""

    key_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]
    """Which secret requests are signed with, for the acquirer to know."""


class StripeSpec(UrlSpec, frozen=True, kw_only=True, tag="stripe", forbid_unknown_fields=True):
    """An account at Stripe. The secret is its API key: a secret one, or a restricted one."""

    url: str = "https://api.stripe.com"
    timeout_seconds: Seconds = 7.0
    begin_timeout_seconds: Seconds = 2.0
    """How long a payment may take to be begun there, before the card is sent; without an answer it goes to the next acquirer."""

    def check_secret(self, secret: str, where: str, environment: Mapping[str, str]) -> None:
        """Raise `ConfigurationError` for a key that is none, one of the other mode, and where it and the cards would be printed."""
        if not secret.startswith((f"sk_{self.mode}_", f"rk_{self.mode}_")):
            raise ConfigurationError(f"acquirer {self.name}: what is in {where} is no secret or restricted key for {self.mode} mode")
        if environment.get("STRIPE_LOG") == "debug":
            raise ConfigurationError(f"acquirer {self.name}: with STRIPE_LOG=debug card numbers would be printed: unset it")


class Iso8583Spec(AcquirerSpec, frozen=True, kw_only=True, tag="iso8583", forbid_unknown_fields=True):
    """A host that speaks ISO 8583:1987 over TCP."""

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z")]
    port: Annotated[int, Meta(ge=1, le=65_535)]
    terminal_id: Annotated[str, Meta(pattern=r"^[ -~]{1,8}\Z")]
    """DE 41."""
    merchant_id: Annotated[str, Meta(pattern=r"^[ -~]{1,15}\Z")]
    """DE 42."""
    merchant_location: Annotated[str, Meta(pattern=r"^[ -~]{1,40}\Z")]
    """DE 43: name (25 characters), city (13), country (2)."""
    merchant_category_code: Annotated[str, Meta(pattern=r"^[0-9]{4}\Z")]
    """DE 18."""
    institution: Annotated[str, Meta(pattern=r"^[0-9]{1,11}\Z")]
    """DE 32: the acquiring institution."""
    encoding: Encoding = "ascii"
    bitmap: Bitmap = "hex"
    """With ASCII; with BCD it is binary."""
    bcd_padding: Padding = "right"
    """Where numbers of variable and odd length are filled up."""
    formats: dict[str, Annotated[str, Meta(pattern=FORMAT_PATTERN)]] = {}
    """Of fields that the host writes otherwise than the standard, in the standard's notation: `an..99`."""
    length_bytes: Literal[2, 4] = 2
    length_format: LengthFormat = "binary"
    length_counts_itself: bool = False
    tpdu: Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{10})?\Z")] = ""
    """Five bytes in hexadecimal before each message, such as 6000010000."""
    tls: bool = True
    ca_file: str | None = None
    """Who vouches for the host's certificate; the machine's authorities when it is left out."""
    ca_pem: str | None = None
    """Or what would stand in that file."""
    timeout_seconds: Seconds = 8.0
    connect_timeout_seconds: Seconds = 3.0
    repeat_seconds: Seconds = 3.0
    """How long a reversal or advice waits for its answer before it is repeated,"""
    repeats_max: Annotated[int, Meta(ge=0, le=20)] = 2
    """and how often, before it is left until later."""
    echo_seconds: Annotated[float, Meta(ge=0, le=3600)] = 60.0
    """0: the host isn't asked whether it is there."""
    sign_on: bool = True
    """False: the line is good for payments once it is up."""
    time_zone: str = "UTC"
    """Of DE 12 and 13, by its name in IANA's database."""
    reference_numbers: ReferenceNumbers = "own"
    """Who gives DE 37. Where the host does, ours have none, and what follows an authorization has the host's."""
    response_codes: dict[Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{2}\Z")], str] = {}
    """Stripe's decline codes for response codes (DE 39) that mean something of the host's own."""
    reversed_codes: list[Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{2}\Z")]] = []
    """Response codes by which the host confirms a reversal, beside 00, 21 and 25."""
    messages: Forms = Forms()
    """What the host wants otherwise in which message."""

    @property
    def codec(self) -> Codec:
        """What packs and unpacks its messages."""
        return Codec(self.encoding, self.bitmap, padding=self.bcd_padding, formats=self.formats)

    @property
    def zone(self) -> ZoneInfo:
        """Where the terminal is."""
        return ZoneInfo(self.time_zone)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}{' (TLS)' if self.tls else ''}"

    def check(self) -> None:
        """Raise `ConfigurationError` for a line that others could read, and for currencies that have no number here."""
        super().check()
        if not self.tls and self.host not in _LOOPBACK:
            raise ConfigurationError(
                "tls = false is for hosts on this machine, such as the end of a tunnel, since others could read the card numbers"
            )
        if self.length_format == "ascii" and self.length_bytes != 4:
            raise ConfigurationError('length_format = "ascii" takes length_bytes = 4')
        if self.length_format == "bcd" and self.length_bytes != 2:
            raise ConfigurationError('length_format = "bcd" takes length_bytes = 2')
        if not self.currencies:
            raise ConfigurationError("currencies is needed")
        if self.ca_file is not None and self.ca_pem is not None:
            raise ConfigurationError("one of ca_file and ca_pem is enough")
        if unknown := [each for each in self.currencies if each not in NUMBERS]:
            raise ConfigurationError(f"no number is known of the currency {unknown[0]}")
        try:
            _ = self.zone
        except (OSError, ValueError, ZoneInfoNotFoundError):
            raise ConfigurationError(f"time_zone {self.time_zone} is not known here") from None
        if unknown := [each for each in self.response_codes.values() if each not in DECLINE_CODES]:
            raise ConfigurationError(f"response_codes: {unknown[0]} is no decline code of Stripe's")
        if unknown := [each for each in self.formats if each not in FIELDS]:
            raise ConfigurationError(f"formats: there is no field {unknown[0]}")
        if mistake := self.messages.mistake(self.codec):
            raise ConfigurationError(mistake)

    def tls_context(self, directory: str | None) -> ssl.SSLContext | None:
        """Return how the host's certificate is verified; a `ca_file` is beside the configuration, unless its path is absolute.

        Raises `ConfigurationError` for authorities that can't be read.
        """
        if not self.tls:
            return None
        ca_file = None if self.ca_file is None else Path(directory or ".") / self.ca_file
        try:
            return ssl.create_default_context(cafile=ca_file, cadata=self.ca_pem)
        except (OSError, TypeError, ValueError) as failure:  # the latter two: not ASCII
            where = "ca_pem" if ca_file is None else f"ca_file {ca_file}"
            reason = (
                failure.strerror if isinstance(failure, FileNotFoundError | PermissionError) else "no certificates in PEM's form are in it"
            )
            raise ConfigurationError(f"acquirer {self.name}: {where} can't be read: {reason}") from None


Spec = HttpSpec | Iso8583Spec | StripeSpec

S = TypeVar("S", bound=Struct)


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    acquirer: list[Spec] = []
    route: list[Rule] = []
    card_countries: dict[Country, list[BinRange]] = {}


class Configuration(Struct, frozen=True, kw_only=True):
    """All acquirers beside the sandbox, the first choice first."""

    acquirers: list[Spec] = []
    rules: list[Rule] = []
    """Which payments go to which of them, the rule that is asked first first."""
    card_countries: dict[str, list[str]] = {}
    directory: str | None = None
    """The file's, from which paths in it are counted."""

    @property
    def routes(self) -> Routes:
        """Which payments go where."""
        return Routes([each.route for each in self.acquirers], self.rules, CardCountries(self.card_countries))

    @property
    def bounds(self) -> dict[str, Bounds]:
        """When which acquirer gets no payments any more."""
        return {each.name: Bounds(failures_max=each.breaker_failures, pause_seconds=each.breaker_seconds) for each in self.acquirers}

    @property
    def availability(self) -> dict[str, Availability]:
        """When what which acquirer captures becomes available."""
        return {each.name: each.availability for each in self.acquirers}

    def check_elsewhere(self) -> None:
        """Raise `ConfigurationError` for what names files that other machines don't have, but for secrets, which are injected there."""
        for spec in self.acquirers:
            if isinstance(spec, Iso8583Spec) and spec.ca_file is not None:
                raise ConfigurationError(f"acquirer {spec.name}: ca_file isn't on other machines: give what is in it as ca_pem")

    def secrets(self, environment: Mapping[str, str]) -> dict[str, bytes]:
        """Read the secret of each acquirer that has one, by its name: where it is injected, else where the file says.

        Raises `ConfigurationError`: for what else can't be read of what is needed to reach them, too.
        """
        injected = _injected(environment)
        for spec in self.acquirers:
            if isinstance(spec, Iso8583Spec):
                spec.tls_context(self.directory)
        return {spec.name: self._secret(spec, environment, injected) for spec in self.acquirers if isinstance(spec, UrlSpec)}

    def _secret(self, spec: UrlSpec, environment: Mapping[str, str], injected: Mapping[str, str]) -> bytes:
        if spec.name in injected:
            found, where = injected[spec.name], f"the variable {ACQUIRER_SECRETS_VARIABLE}"
        elif spec.secret_variable is not None:
            found, where = environment.get(spec.secret_variable), f"the variable {spec.secret_variable}"
        else:
            path = Path(self.directory or ".") / (spec.secret_file or "")
            found, where = read_private(spec.name, path), str(path)
        if found is None:
            raise ConfigurationError(f"acquirer {spec.name}: {where} is not set")
        secret = found.strip()
        if len(secret.encode()) < _SECRET_BYTES_MIN:
            raise ConfigurationError(f"acquirer {spec.name}: the secret in {where} has fewer than {_SECRET_BYTES_MIN} characters")
        spec.check_secret(secret, where, environment)
        return secret.encode()


def configured(environment: Mapping[str, str]) -> Configuration:
    """Read what the environment names; nothing: the sandbox alone. Raises `ConfigurationError`."""
    if ACQUIRERS_TOML_VARIABLE in environment:
        return parse(environment[ACQUIRERS_TOML_VARIABLE], ACQUIRERS_TOML_VARIABLE, None)
    if ACQUIRERS_VARIABLE in environment:
        return read(Path(environment[ACQUIRERS_VARIABLE]))
    return Configuration()


def read(path: Path) -> Configuration:
    """Read a file; raises `ConfigurationError`."""
    return parse(text_of(path), str(path), str(path.resolve().parent))


def text_of(path: Path) -> str:
    """Return what is in a file; raises `ConfigurationError`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"{path} can't be read: {reason}") from None


def parse(text: str, where: str, directory: str | None) -> Configuration:
    """Parse a configuration; raises `ConfigurationError`, which begins with `where`."""
    try:
        found = msgspec.convert(tomllib.loads(text), _File)
    except tomllib.TOMLDecodeError as mistake:
        raise ConfigurationError(f"{where}: {mistake}") from None
    except RecursionError:
        raise ConfigurationError(f"{where}: it is nested too deeply") from None
    except msgspec.ValidationError as mistake:
        raise ConfigurationError(f"{where}: {_plain(str(mistake))}") from None
    names: set[str] = set()
    for spec in found.acquirer:
        if spec.name in (SANDBOX, NOBODY) or spec.name in names:
            raise ConfigurationError(f"{where}: acquirer {spec.name}: the name is taken")
        names.add(spec.name)
        try:
            spec.check()
        except ConfigurationError as mistake:
            raise ConfigurationError(f"{where}: acquirer {spec.name}: {mistake}") from None
    _check_rules(found, where)
    return Configuration(acquirers=found.acquirer, rules=found.route, card_countries=found.card_countries, directory=directory)


def _check_rules(found: _File, where: str) -> None:
    """Raise `ConfigurationError` for rules that can't be followed."""
    routes = {SANDBOX: Route(acquirer=SANDBOX, livemode=False), **{spec.name: spec.route for spec in found.acquirer}}
    names: set[str] = set()
    for rule in found.route:
        fault = "the name is taken" if rule.name in names else rule.fault(routes)
        if fault is not None:
            raise ConfigurationError(f"{where}: route {rule.name}: {fault}")
        names.add(rule.name)
    if (fault := CardCountries(found.card_countries).fault()) is not None:
        raise ConfigurationError(f"{where}: card_countries: {fault}")


def _injected(environment: Mapping[str, str]) -> dict[str, str]:
    try:
        return msgspec.json.decode(environment.get(ACQUIRER_SECRETS_VARIABLE, "{}"), type=dict[str, str])
    except msgspec.DecodeError:  # whose message could show one
        raise ConfigurationError(f"{ACQUIRER_SECRETS_VARIABLE} isn't JSON with a secret by each acquirer's name") from None


def _plain(mistake: str) -> str:
    """Say it in the file's words: `$.acquirer[1].url` is the url of the second acquirer."""
    return mistake.replace("$.", "")


def read_private(name: str, path: Path) -> str:
    """Read a file that only its owner may read, for the acquirer `name`; raises `ConfigurationError`."""
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigurationError(f"acquirer {name}: others may read {path}: chmod 600 {path}")
            return file.read()
    except (OSError, UnicodeDecodeError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"acquirer {name}: {path} can't be read: {reason}") from None
