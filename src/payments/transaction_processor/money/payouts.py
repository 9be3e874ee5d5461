"""Payouts: create, list, retrieve, update, cancel, take back."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.bank_account import BankAccount
from payments.domain.errors import InvalidRequest, ResourceMissing
from payments.domain.money import CURRENCIES
from payments.domain.payout import Payout, PayoutStatus
from payments.storage.database import Connection
from payments.storage.nouns import Filter, Range
from payments.storage.payouts import default_account
from payments.transaction_processor.money import payout_steps as steps
from payments.transaction_processor.money.booking import Booking, Bookkeeper, StepTerms
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import merge_metadata
from payments.wire.kinds import BANK_ACCOUNT, PAYOUT
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams, Text
from payments.wire.reading import CreatedRange, FilterId, ListParams, range_of
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve, update

_AMOUNT_MAX = 10**12


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Annotated[int, Meta(ge=1, le=_AMOUNT_MAX)]
    currency: Annotated[str, Meta(max_length=3)]
    description: Text | None = None
    destination: FilterId | None = None
    metadata: MetadataParam | UnsetType = UNSET
    method: Literal["standard", "instant"] = "standard"
    source_type: Literal["card", "bank_account", "fpx"] = "card"
    statement_descriptor: Annotated[str, Meta(max_length=22)] | None = None


class UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be changed."""

    metadata: MetadataParam | UnsetType = UNSET


class _ReverseParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metadata: MetadataParam | UnsetType = UNSET


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    arrival_date: CreatedRange | int | None = None
    destination: FilterId | None = None
    status: Literal["pending", "in_transit", "paid", "failed", "canceled"] | None = None

    def filters(self) -> dict[str, Filter]:
        """Return the filters that are given, by column."""
        found = {"destination": self.destination, "status": self.status}
        days: dict[str, Filter] = {} if self.arrival_date is None else {"arrival_date": Range(*range_of(self.arrival_date))}
        return {name: value for name, value in found.items() if value is not None} | days


@dataclass(frozen=True, slots=True, kw_only=True)
class Payouts:
    """`/v1/payouts`."""

    objects: Objects
    bookkeeper: Bookkeeper

    def endpoints(self) -> Endpoints:
        """What may be called."""
        reader = self.objects.reader
        return [
            Endpoint("POST", PAYOUT.path, _CreateParams, self._create),
            listing(reader, PAYOUT, _ListParams),
            retrieve(reader, PAYOUT),
            update(self.objects, PAYOUT, UpdateParams),
            Endpoint("POST", f"{PAYOUT.path}/{{id}}/cancel", NoParams, self._cancel),
            Endpoint("POST", f"{PAYOUT.path}/{{id}}/reverse", _ReverseParams, self._reverse),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        currency, terms = params.currency.lower(), self._terms(call)
        _check_honoured(params, currency)
        destination = await self._destination(call, params.destination, currency)
        if call.principal.livemode:  # the one bank that there is pays nobody
            raise InvalidRequest("Your account cannot currently make live payouts: no bank is connected.", code="payouts_not_allowed")
        payout = Payout(
            **self.objects.identity(call, PAYOUT),
            amount=params.amount,
            currency=currency,
            status=PayoutStatus.PENDING,
            arrival_date=steps.arrival_date(terms.now + call.principal.ahead_seconds),
            destination=destination.id,
            description=params.description,
            statement_descriptor=params.statement_descriptor,
            metadata=merge_metadata({}, params.metadata or {}),
        )
        return await self._book(call, steps.create(payout, destination, terms))

    async def _destination(self, call: Call, given: str | None, currency: str) -> BankAccount:
        """Return where the money goes; raises `InvalidRequest`."""
        if given is None:
            found = await default_account(self.bookkeeper.pool, call.principal.merchant_id, call.principal.livemode, currency)
            if found is None:
                raise InvalidRequest(f"Sorry, you don't have any external accounts in that currency ({currency}).", param="currency")
            return found
        found = await self.objects.reader.find(call, BANK_ACCOUNT, given)
        if found is None or found.deleted:
            raise ResourceMissing("external account", given[:100], param="destination")
        if found.currency != currency:
            raise InvalidRequest(
                f"The external account {found.id} takes {found.currency}: it can't be paid {currency}.", param="destination"
            )
        return found

    async def _cancel(self, call: Call, _: NoParams) -> Reply:
        payout = await self.objects.reader.get(call, PAYOUT, call.path["id"])
        if payout.status is not PayoutStatus.PENDING:
            raise InvalidRequest(f"Payouts can only be canceled while they are pending; this one has a status of {payout.status}.")
        original = None
        if payout.original_payout is not None:
            original = await self.objects.reader.get(call, PAYOUT, payout.original_payout)
        return await self._book(call, steps.cancel(payout, original, self._terms(call)))

    async def _reverse(self, call: Call, params: _ReverseParams) -> Reply:
        original, terms = await self.objects.reader.get(call, PAYOUT, call.path["id"]), self._terms(call)
        if original.takes_back or original.status is not PayoutStatus.PAID:
            raise InvalidRequest(f"Only a payout that was paid can be reversed; this one has a status of {original.status}.")
        if original.reversed_by is not None:
            raise InvalidRequest(f"This payout has been reversed already, by {original.reversed_by}.")
        destination = await self._destination(call, original.destination, original.currency)
        back = Payout(
            **self.objects.identity(call, PAYOUT),
            amount=-original.amount,
            currency=original.currency,
            status=PayoutStatus.PENDING,
            arrival_date=steps.arrival_date(terms.now + call.principal.ahead_seconds),
            destination=original.destination,
            original_payout=original.id,
            metadata=merge_metadata({}, params.metadata or {}),
        )
        return await self._book(call, steps.take_back(original, back, destination, terms))

    def _terms(self, call: Call) -> StepTerms:
        return StepTerms(now=int(self.bookkeeper.clock.now()), origin=call.origin)

    async def _book(self, call: Call, booking: Booking) -> Reply:
        """Book a step and answer with the payout that it is about."""
        transfers = await self.bookkeeper.rows_of(booking)
        shown = booking.creates or booking.changes[0]

        async def mutate(connection: Connection) -> Reply:
            await self.bookkeeper.write(connection, booking, transfers)
            return reply(render(shown))

        return await self.objects.once(call, mutate, PAYOUT.name)


def _check_honoured(params: _CreateParams, currency: str) -> None:
    """Raise `InvalidRequest` for what can't be paid out like that."""
    if currency not in CURRENCIES:
        raise InvalidRequest(f"Invalid currency: {currency}.", param="currency")
    step = steps.step_of(currency)
    if params.amount % step:
        raise InvalidRequest(f"Invalid amount: in {currency}, payouts must be divisible by {step}.", param="amount")
    if params.method == "instant":
        raise InvalidRequest("Instant payouts are not supported by Tap.", param="method")
    if params.source_type != "card":
        raise InvalidRequest(f"There is no balance of the type {params.source_type}: all of it is of cards.", param="source_type")
