"""What is said of one deployment beside its environment: in the CDK's context (`cdk deploy -c certificateArn=…`, cdk.json), or to `TapStackProps`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any, cast
from urllib.parse import urlsplit

from constructs import IConstruct

from lib.environments import ZONES, ConfigurationError
from payments.runtime.topology import FRAME_ANCESTOR, QUEUES_ALLOWED, WRITES_PER_SECOND_MAX, Architecture, Colour, Service

_WRITES_PER_SECOND = 100
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the app that a construct is in; each stands in the context under its name in camel case."""

    certificate_arn: str | None
    """Of the load balancer's domain; without one `allow_http` must say that plain HTTP is meant, where data outlives the stack."""
    allow_http: bool
    public_url: str | None
    """What customers' browsers reach, `https://payments.example.com`; a certificate needs one."""
    image_tag: str
    serving: Mapping[Service, Colour]
    """The target group of each service that serves now, where it isn't blue."""
    alarm_email: str | None
    """Who is told of alarms; others subscribe to the topic by themselves."""
    zones: tuple[str, ...]
    """The three availability zones; none: the region's first three. Fixed once the network is made."""
    architecture: Architecture | None
    """Of the tasks' processors; None: the environment's."""
    dual_stack: bool
    """Clients may come by IPv6, too. Fixed once the network is made."""
    private_webhooks: bool
    """Webhooks may go to private addresses: for merchants' systems inside of the network."""
    writes_per_second: int
    """How fast an API key may write for which nothing else is set."""
    frame_ancestors: tuple[str, ...]
    """The origins whose pages may show card fields; none: any."""
    acquirer_ports: tuple[int, ...]
    """TCP ports of acquirers' hosts, beside 443 and those of webhooks."""
    queues: tuple[str, ...]
    """ARNs of queues, topics and event buses that merchants may have events sent to, with `*` for anything; none: none."""
    smtp_secret_arn: str | None
    """A secret whose text is the mail server's URL, with its password; None: no mail is sent."""
    mail_from: str | None
    """Whom mail is from; what has an SMTP server needs one."""
    test_addresses: tuple[str, ...]
    """Public IPv4 addresses from which the test listener is reached, beside those of the network's NAT gateways: of an imported network those aren't known."""

    @classmethod
    def of(cls, construct: IConstruct) -> "Options":
        """Read them; raises `ConfigurationError`."""
        said = construct.node.try_get_context
        return cls(
            certificate_arn=said("certificateArn"),
            allow_http=_true(said("allowHttp")),
            public_url=said("publicUrl"),
            image_tag=said("imageTag") or "latest",
            serving=_serving(said("serving")),
            alarm_email=said("alarmEmail"),
            zones=_zones(said("availabilityZones")),
            architecture=_architecture(said("architecture")),
            dual_stack=_true(said("dualStack")),
            private_webhooks=_true(said("privateWebhooks")),
            writes_per_second=_writes(said("writesPerSecond")),
            frame_ancestors=_origins(said("frameAncestors")),
            acquirer_ports=_ports(said("acquirerPorts")),
            queues=_queues(said("queues")),
            smtp_secret_arn=said("smtpSecretArn"),
            mail_from=said("mailFrom"),
            test_addresses=_addresses(said("testAddresses")),
        )

    @property
    def scheme(self) -> str:
        """How the load balancer is spoken to."""
        return "http" if self.certificate_arn is None else "https"

    @property
    def server_name(self) -> str | None:
        """Whose certificate the load balancers show; None without one."""
        return urlsplit(self.public_url).hostname if self.certificate_arn is not None and self.public_url is not None else None

    def mistake(self, environment_suffix: str, *, protected: bool) -> str | None:
        """Return what must be mended before a deployment, in one line."""
        if protected and self.certificate_arn is None and not self.allow_http:
            return f"{environment_suffix} needs a certificate: give `-c certificateArn=…`, or `-c allowHttp=true` if you mean plain HTTP."
        if self.certificate_arn is not None and self.public_url is None:
            return "A certificate needs the name that it is for: give `-c publicUrl=https://…`, since none can be had for the load balancer's own name."
        if (self.smtp_secret_arn is None) != (self.mail_from is None):
            return "Mail needs both `-c smtpSecretArn=…`, the secret with the server's URL, and `-c mailFrom=…`, whom it is from."
        return None


def _true(said: object) -> bool:
    return str(said).lower() == "true"


def _writes(said: object) -> int:
    text = str(said or _WRITES_PER_SECOND)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= WRITES_PER_SECOND_MAX):
        raise ConfigurationError(f"The context's `writesPerSecond` must be a whole number of 1 to {WRITES_PER_SECOND_MAX}, and not {said}.")
    return int(text)


def _listed(said: object, separator: str | None = ",") -> tuple[str, ...]:
    """Return what a text names, separated as on a command line (None: by blanks, as in a policy), or a list, as in cdk.json."""
    if isinstance(said, list | tuple):
        return tuple(str(each) for each in cast("list[object]", said))
    return tuple(filter(None, str(said or "").split(separator)))


def _origins(said: object) -> tuple[str, ...]:
    found = _listed(said, separator=None)
    if not all(FRAME_ANCESTOR.fullmatch(each) for each in found):
        raise ConfigurationError(
            f"The context's `frameAncestors` must be origins, like https://shop.example https://*.shop.example, and not {said}."
        )
    return found


def _ports(said: object) -> tuple[int, ...]:
    named = _listed(said)
    if not all(each.isascii() and each.isdigit() and 1 <= int(each) <= _PORT_MAX for each in named):
        raise ConfigurationError(f"The context's `acquirerPorts` must be ports, like 5001,5002, and not {said}.")
    return tuple(sorted({int(each) for each in named}))


def _addresses(said: object) -> tuple[str, ...]:
    found = _listed(said)
    try:
        return tuple(str(IPv4Address(each)) for each in found)
    except AddressValueError:
        raise ConfigurationError(
            f"The context's `testAddresses` must be IPv4 addresses, like 203.0.113.7,203.0.113.8, and not {said}."
        ) from None


def _queues(said: object) -> tuple[str, ...]:
    found = _listed(said, separator=None)
    if not all(QUEUES_ALLOWED.fullmatch(each) for each in found):
        raise ConfigurationError(
            f"The context's `queues` must be ARNs of queues, topics or event buses, like arn:aws:sqs:eu-west-1:123456789012:tap-*, and not {said}."
        )
    return found


def _architecture(said: object) -> Architecture | None:
    try:
        return Architecture(str(said)) if said else None
    except ValueError:
        raise ConfigurationError(f"The context's `architecture` must be {' or '.join(Architecture)}, and not {said}.") from None


def _zones(said: object) -> tuple[str, ...]:
    names = _listed(said)
    if names and (len(names), len(set(names))) != (ZONES, ZONES):
        raise ConfigurationError(
            f"The context's `availabilityZones` must be three different zones, like eu-west-1a,eu-west-1b,eu-west-1c, and not {said}."
        )
    return names


def _serving(said: object) -> dict[Service, Colour]:
    try:
        entries = json.loads(said or "{}") if isinstance(said, str | None) else said
        return {Service(name): Colour(colour) for name, colour in cast("dict[str, Any]", entries).items()}
    except (ValueError, AttributeError):
        raise ConfigurationError(
            """The context's `serving` must be like {"payment-api": "green"}; `tap deploy` fills it in from what is live."""
        ) from None
