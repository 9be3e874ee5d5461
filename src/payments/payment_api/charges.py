"""Charges: retrieve, update, list. They are made by payment intents only."""

from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from payments.domain.charge import Charge
from payments.domain.errors import NotFound
from payments.domain.refund import Refund
from payments.payment_api.objects import Objects
from payments.storage.changes import update_charge
from payments.wire.api import Call, Endpoint, Reply
from payments.wire.params import MetadataParam, ShippingParam, ShortText, Text, merge_metadata, not_supported, unset
from payments.wire.reading import FilterId, ListParams, PageParams, Reader
from payments.wire.render import render

PATH = "/v1/charges"


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    description: Text | None = None
    metadata: MetadataParam | None = None
    receipt_email: ShortText | None = None
    shipping: ShippingParam | None = None


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None
    payment_intent: FilterId | None = None


@dataclass(frozen=True, slots=True)
class Charges:
    """Handlers of `/v1/charges`."""

    objects: Objects
    reader: Reader

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", PATH, self._list),
            Endpoint("GET", f"{PATH}/{{id}}", self._retrieve),
            Endpoint("POST", f"{PATH}/{{id}}", self._update),
            Endpoint("GET", f"{PATH}/{{id}}/refunds", self._refunds),
            Endpoint("GET", f"{PATH}/{{id}}/refunds/{{refund}}", self._refund),
        ]

    async def _retrieve(self, call: Call) -> Reply:
        call.no_parameters()
        return await self.reader.show(call, "charge", call.path["id"], param="charge")

    async def _update(self, call: Call) -> Reply:
        not_supported(call.params, frozenset({"customer", "fraud_details", "transfer_group"}))
        params = call.parse(_UpdateParams)
        charge: Charge = await self.reader.get(call, "charge", call.path["id"], param="charge")
        changed = replace(
            charge,
            version=charge.version + 1,
            description=charge.description if params.description is None else unset(params.description),
            receipt_email=charge.receipt_email if params.receipt_email is None else unset(params.receipt_email),
            shipping=charge.shipping if params.shipping is None else params.shipping.value(),
            metadata=merge_metadata(charge.metadata, params.metadata),
        )
        return await self.objects.change(call, "charge.updated", charge, changed, update_charge)

    async def _list(self, call: Call) -> Reply:
        params = call.parse(_ListParams)
        return await self.reader.page(call, "charge", params, {"customer": params.customer, "payment_intent": params.payment_intent}, PATH)

    async def _refunds(self, call: Call) -> Reply:
        """Answer with what `charge.refunds` is the first page of."""
        params = call.parse(PageParams)
        charge: Charge = await self.reader.get(call, "charge", call.path["id"], param="charge")
        return await self.reader.page(call, "refund", params, {"charge": charge.id}, f"{PATH}/{charge.id}/refunds")

    async def _refund(self, call: Call) -> Reply:
        call.no_parameters()
        refund: Refund = await self.reader.get(call, "refund", call.path["refund"], param="refund")
        if refund.charge != call.path["id"]:
            raise NotFound("refund", refund.id, param="refund")
        return await self.reader.answer(call, render(refund))
