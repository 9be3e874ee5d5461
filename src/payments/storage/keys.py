"""Merchants and their API keys. A key is shown once; the database knows its keyed hash only."""

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from payments.domain.account import Account
from payments.domain.api_version import NEWEST
from payments.domain.ephemeral_key import EphemeralKey
from payments.domain.fees import FeeSchedule
from payments.domain.payout_schedule import PayoutSchedule
from payments.domain.principal import KeyKind, Principal
from payments.runtime.ids import new_id
from payments.runtime.keyring import KeyRing
from payments.storage.database import Connection, Queries
from payments.storage.sql import queries

_SQL = queries("keys.sql")
_MERCHANT_NAME_CHARACTERS_MAX = 200
_MERCHANTS_SHOWN_MAX = 20
_EPHEMERAL = "ek_"
"""How ephemeral keys begin."""


class MerchantError(ValueError):
    """There is no such merchant, or it isn't said which; the message is for whoever asked."""


class UnknownKeyError(LookupError):
    """There is no key of that id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no key {key_id}. See: tap keys list")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key just made."""

    id: str
    plaintext: str = field(repr=False)
    """The key itself: to be shown now, and never again."""

    @property
    def last4(self) -> str:
        """What is kept of it to be recognised by."""
        return self.plaintext[-4:]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of a key."""

    id: str
    merchant_id: int
    livemode: bool
    kind: KeyKind
    last4: str
    created_at: datetime
    revoked_at: datetime | None
    writes_per_second: int | None = None
    """How fast it may write; None: as fast as the deployment says, and where the task that tells of it is of an older version."""


def key_hash(plaintext: str, pepper: KeyRing) -> bytes:
    """Return the HMAC-SHA256 under which a key is stored: without the pepper a stolen table can't be searched for keys."""
    return key_hashes(plaintext, pepper)[0]


def key_hashes(plaintext: str, pepper: KeyRing) -> tuple[bytes, ...]:
    """Return what a key may be stored under: its hash with the pepper in use, and those with older ones."""
    return tuple(hmac.digest(each, plaintext.encode(errors="replace"), "sha256") for each in pepper.keys.values())


async def create_merchant(connection: Connection, name: str) -> int:
    """Create a merchant and return its id."""
    merchant_id: int = await connection.fetchval(_SQL["create_merchant"], name, new_id("acct"), NEWEST)
    return merchant_id


async def fee_schedule(connection: Queries, merchant_id: int) -> FeeSchedule:
    """Return what a merchant pays; raises `LookupError` for an unknown one."""
    row = await connection.fetchrow(_SQL["merchant"], merchant_id)
    if row is None:
        raise LookupError(f"no merchant {merchant_id}")
    return FeeSchedule(
        basis_points=row["fee_basis_points"],
        fixed_minor_units=row["fee_fixed_minor_units"],
        dispute_usd_cents=row["fee_dispute_usd_cents"],
        delay_days=row["payout_delay_days"],
    )


async def find_account(connection: Queries, merchant_id: int) -> Account:
    """Return what the API shows of a merchant; raises `LookupError` for an unknown one."""
    row = await connection.fetchrow(_SQL["account"], merchant_id)
    if row is None:
        raise LookupError(f"no merchant {merchant_id}")
    return Account(
        id=row["account_id"],
        name=row["name"],
        created=int(row["created_at"].timestamp()),
        api_version=row["api_version"],
        payouts=PayoutSchedule(
            interval=row["payout_interval"],
            weekly_anchor=row["payout_weekly_anchor"],
            monthly_anchor=row["payout_monthly_anchor"],
            delay_days=row["payout_delay_days"],
        ),
        webhook_endpoints_max=row["webhook_endpoints_max"],
        colour=row["brand_colour"],
        has_logo=row["has_logo"],
    )


async def set_payout_schedule(connection: Queries, merchant_id: int, schedule: PayoutSchedule) -> None:
    """Set when a merchant is paid out."""
    await connection.execute(
        _SQL["set_payout_schedule"],
        merchant_id,
        schedule.interval,
        schedule.weekly_anchor,
        schedule.monthly_anchor,
        schedule.delay_days,
    )


async def set_webhook_endpoints_max(connection: Queries, merchant_id: int, webhook_endpoints_max: int) -> None:
    """Set how many webhook endpoints a merchant may have in each mode; those that it has stay."""
    await connection.execute(_SQL["set_webhook_endpoints_max"], merchant_id, webhook_endpoints_max)


async def set_api_version(connection: Queries, merchant_id: int, version: str) -> None:
    """Set the version of a merchant's requests and events that name none; raises `LookupError` for an unknown merchant."""
    if await connection.fetchval(_SQL["set_api_version"], merchant_id, version) is None:
        raise LookupError(f"no merchant {merchant_id}")


def check_choice(merchant_id: int | None, new_name: str | None) -> None:
    """Raise `MerchantError` when a merchant can't be chosen by this, whichever there are."""
    if merchant_id is not None and new_name is not None:
        raise MerchantError("Give either --merchant or --new-merchant.")
    if new_name is not None and not (new_name.strip() and new_name.isprintable() and len(new_name) <= _MERCHANT_NAME_CHARACTERS_MAX):
        raise MerchantError(f"A merchant's name is 1 to {_MERCHANT_NAME_CHARACTERS_MAX} printable characters.")


async def choose_merchant(connection: Connection, merchant_id: int | None, new_name: str | None) -> int:
    """Return the merchant of that id, a new one of that name, or the first one; raises `MerchantError`."""
    check_choice(merchant_id, new_name)
    if new_name is not None:
        return await create_merchant(connection, new_name)
    known: list[int] = [row["id"] for row in await connection.fetch(_SQL["merchant_ids"])]
    if not known:
        raise MerchantError("There is no merchant yet. Make one: --new-merchant NAME")
    if merchant_id is None:
        return known[0]
    if merchant_id not in known:
        more = ", …" if len(known) > _MERCHANTS_SHOWN_MAX else ""
        raise MerchantError(f"There is no merchant {merchant_id}. There are: {', '.join(map(str, known[:_MERCHANTS_SHOWN_MAX]))}{more}")
    return merchant_id


def make_key(*, livemode: bool, kind: KeyKind) -> ApiKey:
    """Make a key that nobody knows yet; the plaintext in the result is the only copy."""
    prefix = "sk" if kind is KeyKind.SECRET else "pk"
    return ApiKey(new_id("key"), f"{prefix}_{'live' if livemode else 'test'}_{secrets.token_hex(24)}")


async def store_key(
    connection: Connection, key_id: str, merchant_id: int, *, livemode: bool, kind: KeyKind, hashed: bytes, pepper_id: int, last4: str
) -> None:
    """Make a key known by its hash, with the pepper of that number."""
    await connection.execute(_SQL["create_key"], key_id, merchant_id, livemode, kind, hashed, last4, pepper_id)


async def create_key(connection: Connection, merchant_id: int, *, livemode: bool, kind: KeyKind, pepper: KeyRing) -> ApiKey:
    """Make a key and make it known."""
    key = make_key(livemode=livemode, kind=kind)
    hashed = key_hash(key.plaintext, pepper)
    await store_key(connection, key.id, merchant_id, livemode=livemode, kind=kind, hashed=hashed, pepper_id=pepper.in_use, last4=key.last4)
    return key


async def provide_test_key(connection: Connection, plaintext: str, *, merchant_name: str, pepper: KeyRing) -> bool:
    """Make a secret test-mode key known that was made elsewhere, with a merchant of its own; False when it is known already.

    Any number of processes may do it at once. A key that was revoked stays revoked.
    """
    hashed = key_hash(plaintext, pepper)
    async with connection.transaction():
        await connection.execute(_SQL["provide_one_at_a_time"])
        if await hash_anew(connection, plaintext, pepper):
            return False
        merchant_id = await create_merchant(connection, merchant_name)
        key = ApiKey(new_id("key"), plaintext)
        await store_key(
            connection, key.id, merchant_id, livemode=False, kind=KeyKind.SECRET, hashed=hashed, pepper_id=pepper.in_use, last4=key.last4
        )
    return True


async def hash_anew(connection: Queries, plaintext: str, pepper: KeyRing) -> bool:
    """Store a key under its hash with the pepper in use, whichever it was stored with, since it is at hand here; False when it isn't known at all."""
    known: bool = await connection.fetchval(
        _SQL["hash_anew"], list(key_hashes(plaintext, pepper)), key_hash(plaintext, pepper), pepper.in_use
    )
    return known


async def pepper_uses(connection: Queries) -> dict[int, int]:
    """Return how many keys that aren't revoked are stored with each pepper, by its number."""
    return {row["pepper"]: row["count"] for row in await connection.fetch(_SQL["pepper_uses"])}


async def list_keys(connection: Queries, merchant_id: int | None = None) -> list[KeyRecord]:
    """Return the keys of one merchant, or of all, oldest first."""
    rows = await connection.fetch(_SQL["list_keys"], merchant_id)
    return [
        KeyRecord(
            id=row["id"],
            merchant_id=row["merchant_id"],
            livemode=row["livemode"],
            kind=KeyKind(row["kind"]),
            last4=row["last4"],
            created_at=row["created_at"],
            revoked_at=row["revoked_at"],
            writes_per_second=row["writes_per_second"],
        )
        for row in rows
    ]


async def revoke_key(connection: Queries, key_id: str) -> datetime:
    """Revoke a key, and return since when it is revoked; services refuse it a second after that. Raises `UnknownKeyError`."""
    revoked_at: datetime | None = await connection.fetchval(_SQL["revoke_key"], key_id)
    if revoked_at is None:
        raise UnknownKeyError(key_id)
    return revoked_at


async def limit_key(connection: Queries, key_id: str, writes_per_second: int | None) -> None:
    """Say how fast a key may write, None for as fast as the deployment says; services know it a second after that. Raises `UnknownKeyError`."""
    if await connection.fetchval(_SQL["limit_key"], key_id, writes_per_second) is None:
        raise UnknownKeyError(key_id)


def new_ephemeral_secret(*, livemode: bool) -> str:
    """Return an ephemeral key that nobody knows yet."""
    return f"{_EPHEMERAL}{'live' if livemode else 'test'}_{secrets.token_hex(32)}"


def is_ephemeral(plaintext: str) -> bool:
    """Tell whether a key says that it is a customer's."""
    return plaintext.startswith(_EPHEMERAL)


async def forget_ephemeral_keys(connection: Queries, key: EphemeralKey) -> None:
    """Forget the keys of a customer whose time was over when `key` was made."""
    await connection.execute(_SQL["forget_ephemeral_keys"], key.merchant_id, key.livemode, key.customer, key.created)


async def delete_ephemeral_key(connection: Queries, key: EphemeralKey) -> None:
    """End a key before its time; services refuse it a second after that."""
    await connection.execute(_SQL["delete_ephemeral_key"], key.merchant_id, key.livemode, key.id)


async def find_principal(connection: Queries, *hashes: bytes, ephemeral: bool = False) -> Principal | None:
    """Return whom the key stands for that has one of these hashes, a customer's own key or not; None for one that is unknown, revoked or over."""
    row = await connection.fetchrow(_SQL["find_customer" if ephemeral else "find_principal"], hashes)
    if row is None:
        return None
    return Principal(
        merchant_id=row["merchant_id"],
        livemode=row["livemode"],
        kind=KeyKind(row["kind"]),
        account_id=row["account_id"],
        api_version=row["api_version"],
        key_id=row["id"],
        ahead_seconds=row["ahead_seconds"],
        writes_per_second=row["writes_per_second"],
        customer=row["customer"],
    )
