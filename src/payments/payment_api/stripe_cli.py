"""`POST /v1/stripecli/sessions`: what `stripe listen` and `stripe logs tail` begin with."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from payments.domain.api_version import NEWEST
from payments.domain.errors import InvalidRequest
from payments.runtime.ids import new_id
from payments.runtime.seal import Sealer
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.cli_session import REQUEST_LOGS, SESSION_SECONDS, WEBHOOKS, Session, sealed, signing_secret
from payments.wire.kind import Shown
from payments.wire.render_people import Rendered
from payments.wire.socket_path import SOCKET_PATH

PATH = "/v1/stripecli/sessions"
NAME = "stripecli.session"
_RECONNECT_SECONDS = 3_600
"""After which the command line opens its socket anew; it goes on where it was."""
_SUPPORTED = (WEBHOOKS, REQUEST_LOGS)

Url = Annotated[str, Meta(max_length=2_048)]


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It forwards by itself: where to, it tells for Stripe's dashboard."""

    device_name: Annotated[str, Meta(max_length=255)] = ""
    websocket_features: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=8)]
    filters: Annotated[str, Meta(max_length=2_048)] = ""
    forward_to_url: Url = ""
    forward_connect_to_url: Url = ""
    forward_thin_to_url: Url = ""
    forward_thin_connect_to_url: Url = ""


@dataclass(frozen=True, slots=True)
class StripeCli:
    """The endpoint."""

    sealer: Sealer
    public_url: str

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [Endpoint("POST", PATH, _CreateParams, self._create, shows=Shown(NAME))]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        feature = next((each for each in _SUPPORTED if each in params.websocket_features), None)
        if feature is None:
            raise InvalidRequest(f"Invalid websocket_features: Tap has {' and '.join(_SUPPORTED)}.", param="websocket_features")
        if params.filters:
            try:
                msgspec.json.decode(params.filters, type=dict[str, list[str]])
            except msgspec.MsgspecError:
                raise InvalidRequest("Invalid filters: JSON is expected, a list of strings for each.", param="filters") from None
        principal = call.principal
        session = Session(
            id=new_id("clis"),
            merchant_id=principal.merchant_id,
            livemode=principal.livemode,
            account_id=principal.account_id,
            key_id=principal.key_id,
            api_version=call.api_version,
            feature=feature,
            filters=params.filters,
            expires=call.received_at + SESSION_SECONDS,
        )
        return reply(render_session(session, sealed(session, self.sealer), signing_secret(principal.key_id, self.sealer), self.public_url))


def render_session(session: Session, websocket_id: str, secret: str, public_url: str) -> Rendered:
    """Render a session as the command line reads it."""
    scheme, _, rest = public_url.partition("://")
    return {
        "id": session.id,
        "object": NAME,
        "default_version": session.api_version,
        "device_token": "",
        "display_connect_filter_warning": False,
        "latest_version": NEWEST,
        "reconnect_delay": _RECONNECT_SECONDS,
        "secret": secret,
        "websocket_authorized_feature": session.feature,
        "websocket_id": websocket_id,
        "websocket_url": f"{'wss' if scheme == 'https' else 'ws'}://{rest}{SOCKET_PATH}",
    }
