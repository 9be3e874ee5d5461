"""Ephemeral keys: create, delete. An app has one for its customer, instead of a secret key, which nobody's device may have.

Such a key shows its customer, lists their cards, attaches one and takes one away; nothing else, and of nobody else. Source: Stripe's mobile SDKs.
"""

from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from payments.domain.ephemeral_key import EPHEMERAL_KEY_SECONDS, EphemeralKey
from payments.domain.errors import InvalidRequest
from payments.payment_api.given_card import Id
from payments.runtime.keyring import KeyRing
from payments.storage.database import Connection
from payments.storage.keys import delete_ephemeral_key, forget_ephemeral_keys, key_hash, new_ephemeral_secret
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.kind import Shown
from payments.wire.kinds import CUSTOMER, EPHEMERAL_KEY
from payments.wire.objects import Objects
from payments.wire.params import NoParams
from payments.wire.reading import Reader
from payments.wire.render import render_ephemeral_key
from payments.wire.rendering import render


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Id


@dataclass(frozen=True, slots=True, kw_only=True)
class EphemeralKeys:
    """`/v1/ephemeral_keys`."""

    objects: Objects
    reader: Reader
    pepper: KeyRing

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("POST", EPHEMERAL_KEY.path, _CreateParams, self._create),
            Endpoint("DELETE", f"{EPHEMERAL_KEY.path}/{{id}}", NoParams, self._delete, shows=Shown(EPHEMERAL_KEY.name)),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        if not call.names_version:
            raise InvalidRequest(
                "An ephemeral key is made for the API version of the app that will use it: name that in the header Stripe-Version.",
                param="Stripe-Version",
            )
        customer = await self.reader.get(call, CUSTOMER, params.customer, param="customer")
        identity = self.objects.identity(call, EPHEMERAL_KEY)
        key = EphemeralKey(
            **identity, customer=customer.id, expires=identity["created"] + EPHEMERAL_KEY_SECONDS, api_version=call.api_version
        )
        secret = new_ephemeral_secret(livemode=key.livemode)

        async def mutate(connection: Connection) -> Reply:
            await require_unmoved(connection, customer)
            await forget_ephemeral_keys(connection, key)
            await EPHEMERAL_KEY.noun.insert(connection, key, key_hash=key_hash(secret, self.pepper))
            return reply(render_ephemeral_key(key, secret))

        return await self.objects.once(call, mutate, EPHEMERAL_KEY.name)

    async def _delete(self, call: Call, _: NoParams) -> Reply:
        key = await self.reader.get(call, EPHEMERAL_KEY, call.path["id"])
        ended = replace(key, expires=min(key.expires, int(self.objects.clock.now())))

        async def mutate(connection: Connection) -> Reply:
            await delete_ephemeral_key(connection, key)
            return reply(render(ended))

        return await self.objects.once(call, mutate, EPHEMERAL_KEY.name)
