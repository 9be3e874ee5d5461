"""Charges: retrieve, update, list. They are made by payment intents only."""

from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from payments.domain.errors import NotFound
from payments.wire.api import Call, Endpoint, Endpoints, Reply
from payments.wire.kinds import CHARGE, DISPUTE, REFUND, render
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams, ShortText, Text
from payments.wire.people_params import ShippingParam
from payments.wire.reading import FilterId, ListParams, PageParams, Reader
from payments.wire.resource import listing, retrieve, update

_REFUNDS = f"{CHARGE.path}/{{id}}/refunds"


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    description: Text | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    receipt_email: ShortText | UnsetType = UNSET
    shipping: ShippingParam | Literal[""] | UnsetType = UNSET


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None
    payment_intent: FilterId | None = None


@dataclass(frozen=True, slots=True)
class Charges:
    """`/v1/charges`."""

    objects: Objects
    reader: Reader

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            listing(self.reader, CHARGE, _ListParams),
            retrieve(self.reader, CHARGE),
            update(self.objects, CHARGE, _UpdateParams),
            Endpoint("GET", _REFUNDS, PageParams, self._refunds),
            Endpoint("GET", f"{_REFUNDS}/{{refund}}", NoParams, self._refund),
            Endpoint("GET", f"{CHARGE.path}/{{id}}/dispute", NoParams, self._dispute),
        ]

    async def _refunds(self, call: Call, params: PageParams) -> Reply:
        """Answer with what `charge.refunds` is the first page of."""
        charge = await self.reader.get(call, CHARGE, call.path["id"])
        return await self.reader.page(call, REFUND, params, _REFUNDS.format(id=charge.id), charge=charge.id)

    async def _refund(self, call: Call, _: NoParams) -> Reply:
        refund = await self.reader.get(call, REFUND, call.path["refund"])
        if refund.charge != call.path["id"]:
            raise NotFound(REFUND.named, refund.id, param=REFUND.param)
        return await self.reader.answer(call, render(refund))

    async def _dispute(self, call: Call, _: NoParams) -> Reply:
        charge = await self.reader.get(call, CHARGE, call.path["id"])
        if charge.dispute is None:
            raise NotFound(DISPUTE.named, charge.id, param="charge")
        return await self.reader.show(call, DISPUTE, charge.dispute)
