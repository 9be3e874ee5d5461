"""Tokens: create, retrieve."""

from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from payments.domain.token import Token
from payments.payment_api.card_hash import CardHash
from payments.payment_api.card_vault import CardVault
from payments.storage.database import Connection
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.kinds import PAYMENT_METHOD, TOKEN
from payments.wire.objects import Objects
from payments.wire.params import NoParams
from payments.wire.reading import Reader
from payments.wire.rendering import render


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    card: CardHash


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """`/v1/tokens`."""

    objects: Objects
    reader: Reader
    vault: CardVault

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("POST", TOKEN.path, _CreateParams, self._create, publishable=True),
            Endpoint("GET", f"{TOKEN.path}/{{id}}", NoParams, self._retrieve),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        vaulted = self.vault.vault(call.principal, params.card.card(), params.card.details())
        identity = self.objects.identity(call, TOKEN)
        method = replace(vaulted.method, token=identity["id"])
        token = Token(**identity, card=method)

        async def mutate(connection: Connection) -> Reply:
            await PAYMENT_METHOD.noun.insert(connection, method, sealed_number=vaulted.sealed_number)
            await TOKEN.noun.insert(connection, token)
            return reply(render(token))

        return await self.objects.once(call, mutate, TOKEN.name)

    async def _retrieve(self, call: Call, _: NoParams) -> Reply:
        token = await self.reader.get(call, TOKEN, call.path["id"])
        card = await self.reader.find(call, PAYMENT_METHOD, token.card.id)
        return await self.reader.answer(call, render(replace(token, used=card is None or not card.waits_for_token)))
