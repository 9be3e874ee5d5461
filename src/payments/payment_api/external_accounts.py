"""The bank accounts that a merchant is paid out to: create, list, retrieve, update, delete. Numbers are sealed as they come; four characters are shown."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from payments.acquirers.sealed_account import AccountSealer
from payments.domain.bank_account import AccountNumber, BankAccount, check_routing_number
from payments.domain.errors import AccountInvalid, InvalidRequest
from payments.domain.money import CURRENCIES
from payments.payment_api.accounts import PATH
from payments.storage.database import Connection, Pool
from payments.storage.events import append_events
from payments.storage.nouns import Filter
from payments.storage.payouts import default_account
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, merge_metadata
from payments.wire.kinds import BANK_ACCOUNT
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams, ShortText
from payments.wire.reading import PageParams, none_of_them
from payments.wire.render_lists import render_deleted
from payments.wire.rendering import render

_OF_ACCOUNT = f"{PATH}/{{account}}/external_accounts"
_HolderType = Literal["company", "individual"]


class _BankAccountParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    object: Literal["bank_account"]
    account_number: Annotated[str, Meta(min_length=1, max_length=50)]
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
    currency: Annotated[str, Meta(max_length=3)]
    routing_number: Annotated[str, Meta(max_length=20)] | None = None
    account_holder_name: ShortText | None = None
    account_holder_type: _HolderType | None = None

    def __repr__(self) -> str:
        return "BankAccountParam(…)"


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    external_account: _BankAccountParam
    default_for_currency: bool = False
    metadata: MetadataParam | UnsetType = UNSET


class UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be changed."""

    account_holder_name: ShortText | UnsetType = UNSET
    account_holder_type: _HolderType | Literal[""] | UnsetType = UNSET
    default_for_currency: bool | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET


class _ListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    object: Literal["bank_account", "card"] | None = None

    def filters(self) -> dict[str, Filter]:
        """Return no filters: all that there is are bank accounts."""
        return {}


@dataclass(frozen=True, slots=True)
class ExternalAccounts:
    """`/v1/accounts/{account}/external_accounts`."""

    objects: Objects
    sealer: AccountSealer
    pool: Pool

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{_OF_ACCOUNT}/{{id}}"
        return [
            Endpoint("POST", _OF_ACCOUNT, _CreateParams, self._create),
            Endpoint("GET", _OF_ACCOUNT, _ListParams, self._list),
            Endpoint("GET", one, NoParams, self._retrieve),
            Endpoint("POST", one, UpdateParams, self._update),
            Endpoint("DELETE", one, NoParams, self._delete),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        _check_own(call)
        given, currency = params.external_account, params.external_account.currency.lower()
        if currency not in CURRENCIES:
            raise InvalidRequest(f"Invalid currency: {currency}.", param="external_account[currency]")
        check_routing_number(given.routing_number, given.country)
        number = AccountNumber(given.account_number)
        identity = self.objects.identity(call, BANK_ACCOUNT)
        merchant_id, livemode = call.principal.merchant_id, call.principal.livemode
        known = await default_account(self.pool, merchant_id, livemode, currency)
        made = BankAccount(
            **identity,
            account=call.principal.account_id,
            country=given.country,
            currency=currency,
            last4=number.last4,
            routing_number=given.routing_number,
            fingerprint=self.sealer.fingerprint(merchant_id, livemode, number, given.routing_number),
            account_holder_name=given.account_holder_name,
            account_holder_type=given.account_holder_type,
            default_for_currency=params.default_for_currency or known is None,
            metadata=merge_metadata({}, params.metadata or {}),
        )
        sealed = self.sealer.seal(merchant_id, livemode, made.id, number)

        async def mutate(connection: Connection) -> Reply:
            await self._yield_default(connection, call, known, made)
            await BANK_ACCOUNT.noun.insert(connection, made, sealed_number=sealed)
            await append_events(connection, [self.objects.event(call, "created", made)])
            return reply(render(made))

        return await self.objects.once(call, mutate, BANK_ACCOUNT.name)

    async def _list(self, call: Call, params: _ListParams) -> Reply:
        _check_own(call)
        url = _OF_ACCOUNT.format(account=call.path["account"])
        if params.object == "card":
            return await none_of_them(BANK_ACCOUNT.named, params, url)
        return await self.objects.reader.page(call, BANK_ACCOUNT, params, url)

    async def _retrieve(self, call: Call, _: NoParams) -> Reply:
        _check_own(call)
        return await self.objects.reader.show(call, BANK_ACCOUNT, call.path["id"])

    async def _update(self, call: Call, params: UpdateParams) -> Reply:
        before = await self._get(call)
        if params.default_for_currency is False and before.default_for_currency:
            raise InvalidRequest(
                "You cannot unset the default bank account of a currency: make another one its default instead.",
                param="default_for_currency",
            )
        known = await default_account(self.pool, before.merchant_id, before.livemode, before.currency)
        after = replace(changed(before, params), errored=False)

        async def mutate(connection: Connection) -> Reply:
            await self._yield_default(connection, call, known, after)
            await append_events(connection, [await self.objects.store(connection, call, before, after)])
            return reply(render(after))

        return await self.objects.once(call, mutate, BANK_ACCOUNT.name)

    async def _delete(self, call: Call, _: NoParams) -> Reply:
        before = await self._get(call)
        if before.default_for_currency:
            raise InvalidRequest(
                f"You cannot delete the default bank account of a currency ({before.currency}). Make another one its default first."
            )
        after = replace(before, version=before.version + 1, deleted=True)

        async def mutate(connection: Connection) -> Reply:
            await append_events(connection, [await self.objects.store(connection, call, before, after, "deleted")])
            return reply(render_deleted(after.id, BANK_ACCOUNT.name))

        return await self.objects.once(call, mutate, BANK_ACCOUNT.name)

    async def _get(self, call: Call) -> BankAccount:
        _check_own(call)
        return await self.objects.reader.get(call, BANK_ACCOUNT, call.path["id"])

    async def _yield_default(self, connection: Connection, call: Call, known: BankAccount | None, new: BankAccount) -> None:
        """Have the default account of the currency be that no more, when a new one is. One that was so only since has the database refuse two."""
        if known is not None and new.default_for_currency and known.id != new.id:
            after = replace(known, version=known.version + 1, default_for_currency=False)
            await append_events(connection, [await self.objects.store(connection, call, known, after)])


def _check_own(call: Call) -> None:
    """Raise `AccountInvalid` for an account that isn't the caller's."""
    if call.path["account"] != call.principal.account_id:
        raise AccountInvalid(call.path["account"])
