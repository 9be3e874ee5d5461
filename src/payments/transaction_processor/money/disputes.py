"""Disputes: list, retrieve, answer, give in. They begin with what an acquirer tells."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.dispute import ANSWERABLE, Dispute, DisputeStatus, Evidence, check_evidence
from payments.domain.errors import InvalidRequest
from payments.storage.database import Connection
from payments.transaction_processor.money import dispute_steps as steps
from payments.transaction_processor.money.booking import Booking, Bookkeeper, StepTerms
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import HashParam, changed
from payments.wire.kinds import DISPUTE
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams, Text
from payments.wire.reading import FilterId, ListParams
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve

_LongText = Annotated[str, Meta(max_length=20_000)]


class EvidenceParam(HashParam, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given in words; what would be given in files is refused by name."""

    OF = Evidence
    MERGES = True

    access_activity_log: _LongText | UnsetType = UNSET
    billing_address: Text | UnsetType = UNSET
    cancellation_policy_disclosure: _LongText | UnsetType = UNSET
    cancellation_rebuttal: _LongText | UnsetType = UNSET
    customer_email_address: Text | UnsetType = UNSET
    customer_name: Text | UnsetType = UNSET
    customer_purchase_ip: Text | UnsetType = UNSET
    duplicate_charge_explanation: _LongText | UnsetType = UNSET
    duplicate_charge_id: Text | UnsetType = UNSET
    product_description: _LongText | UnsetType = UNSET
    refund_policy_disclosure: _LongText | UnsetType = UNSET
    refund_refusal_explanation: _LongText | UnsetType = UNSET
    service_date: Text | UnsetType = UNSET
    shipping_address: Text | UnsetType = UNSET
    shipping_carrier: Text | UnsetType = UNSET
    shipping_date: Text | UnsetType = UNSET
    shipping_tracking_number: Text | UnsetType = UNSET
    uncategorized_text: _LongText | UnsetType = UNSET


class UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be changed."""

    evidence: EvidenceParam | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    submit: bool | UnsetType = UNSET


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    charge: FilterId | None = None
    payment_intent: FilterId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputes:
    """`/v1/disputes`."""

    objects: Objects
    bookkeeper: Bookkeeper

    def endpoints(self) -> Endpoints:
        """What may be called."""
        reader = self.objects.reader
        return [
            listing(reader, DISPUTE, _ListParams),
            retrieve(reader, DISPUTE),
            Endpoint("POST", f"{DISPUTE.path}/{{id}}", UpdateParams, self._update),
            Endpoint("POST", f"{DISPUTE.path}/{{id}}/close", NoParams, self._close),
        ]

    async def _update(self, call: Call, params: UpdateParams) -> Reply:
        dispute = await self.objects.reader.get(call, DISPUTE, call.path["id"])
        after, terms = changed(dispute, params), self._terms(call)
        submits = params.submit is True or (params.submit is UNSET and params.evidence is not UNSET)
        if params.evidence is not UNSET or submits:
            _check_answerable(dispute, terms.now + call.principal.ahead_seconds)
            check_evidence(after.evidence)
        if not submits:
            return await self._book(call, steps.stage(dispute, after, terms))
        if not after.evidence.given():
            raise InvalidRequest("There is no evidence to submit for this dispute.", param="submit")
        return await self._book(call, replace(steps.submit(dispute, after, terms), answers=dispute))

    async def _close(self, call: Call, _: NoParams) -> Reply:
        dispute, terms = await self.objects.reader.get(call, DISPUTE, call.path["id"]), self._terms(call)
        _check_answerable(dispute, terms.now + call.principal.ahead_seconds)
        return await self._book(call, replace(steps.lose(dispute, terms), answers=dispute))

    def _terms(self, call: Call) -> StepTerms:
        return StepTerms(now=int(self.bookkeeper.clock.now()), origin=call.origin)

    async def _book(self, call: Call, booking: Booking) -> Reply:
        transfers = await self.bookkeeper.rows_of(booking)
        (after,) = booking.changes

        async def mutate(connection: Connection) -> Reply:
            await self.bookkeeper.write(connection, booking, transfers)
            return reply(render(after))

        return await self.objects.once(call, mutate, DISPUTE.name)


def _check_answerable(dispute: Dispute, now: int) -> None:
    """Raise `InvalidRequest` for a dispute that can't be answered any more."""
    match dispute.status:
        case DisputeStatus.WON | DisputeStatus.LOST | DisputeStatus.WARNING_CLOSED:
            raise InvalidRequest("This dispute is already closed.")
        case DisputeStatus.UNDER_REVIEW | DisputeStatus.WARNING_UNDER_REVIEW:
            raise InvalidRequest(
                f"Evidence for this dispute has already been submitted: it has a status of {dispute.status}. Only a dispute with one of the following "
                f"statuses can be answered or closed: {', '.join(ANSWERABLE)}."
            )
        case DisputeStatus.NEEDS_RESPONSE | DisputeStatus.WARNING_NEEDS_RESPONSE:
            pass
    if now >= dispute.due_by:
        raise InvalidRequest("The deadline for responding to this dispute has passed.")
