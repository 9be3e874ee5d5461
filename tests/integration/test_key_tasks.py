"""`python -m payments.storage create-key | list-keys | revoke-key`: API keys where only tasks reach the database."""

import json
import subprocess
import sys
from datetime import datetime
from typing import Any

import msgspec
import pytest

from payments.domain.api_version import NEWEST
from payments.domain.principal import KeyKind
from payments.runtime.ids import new_id
from payments.runtime.keyring import KeyRing
from payments.storage.database import Connection
from payments.storage.key_tasks import CreateKey, LimitKey, RevokeKey
from payments.storage.keys import ApiKey, create_key, create_merchant, find_principal, key_hash, list_keys, make_key
from tests.integration.test_maintenance import run

KINDS = (KeyKind.SECRET, KeyKind.PUBLISHABLE)
"""Of keys that a merchant has; ephemeral ones are made by the API."""
PEPPER = KeyRing.of(b"p" * 32)


def order_for(key: ApiKey, **choice: Any) -> CreateKey:
    """What a command line tells the task: made from a key, without it."""
    livemode, kind = key.plaintext[3:7] == "live", KeyKind.SECRET if key.plaintext.startswith("sk") else KeyKind.PUBLISHABLE
    return CreateKey(key_id=key.id, hashed=key_hash(key.plaintext, PEPPER).hex(), last4=key.last4, livemode=livemode, kind=kind, **choice)


def tell(order: msgspec.Struct) -> str:
    return msgspec.json.encode(order).decode()


@pytest.mark.parametrize(("livemode", "kind"), [(True, KeyKind.SECRET), (False, KeyKind.PUBLISHABLE)])
async def test_a_key_made_elsewhere_opens_its_merchant_and_mode(
    database_url: str, connection: Connection, livemode: bool, kind: KeyKind
) -> None:
    key = make_key(livemode=livemode, kind=kind)
    status, (line,), errors = run(database_url, "create-key", tell(order_for(key, new_merchant="Ünïted 'Shoes'")))
    assert (status, errors, line["event"], line["key_id"]) == (0, "", "key created", key.id)
    principal = await find_principal(connection, key_hash(key.plaintext, PEPPER))
    assert principal is not None
    assert (principal.merchant_id, principal.livemode, principal.kind) == (line["merchant_id"], livemode, kind)
    assert (principal.account_id[:5], principal.api_version) == ("acct_", NEWEST)
    (record,) = await list_keys(connection)
    assert (record.id, record.last4) == (key.id, key.plaintext[-4:])
    assert await connection.fetchval("SELECT name FROM payments.merchants") == "Ünïted 'Shoes'"


async def test_a_merchant_that_there_is_gets_another_key(database_url: str, connection: Connection) -> None:
    first, second = [await create_merchant(connection, name) for name in ("First", "Second")]
    for choice, merchant_id in (({}, first), ({"merchant": second}, second)):
        key = make_key(livemode=False, kind=KeyKind.SECRET)
        _, (line,), _ = run(database_url, "create-key", tell(order_for(key, **choice)))
        assert line["merchant_id"] == merchant_id
    assert await connection.fetchval("SELECT count(*) FROM payments.merchants") == 2


async def test_keys_are_listed_a_line_each_and_counted(database_url: str, connection: Connection) -> None:
    merchant_id = await create_merchant(connection, "Test")
    keys = [await create_key(connection, merchant_id, livemode=False, kind=kind, pepper=PEPPER) for kind in KINDS]
    status, (*listed, last), errors = run(database_url, "list-keys")
    assert (status, errors, last["event"], last["count"]) == (0, "", "keys", 2)
    assert [(line["event"], line["id"], line["merchant_id"], line["kind"], line["last4"], line["revoked_at"]) for line in listed] == [
        ("key", key.id, merchant_id, kind, key.last4, None) for key, kind in zip(keys, KINDS, strict=True)
    ]
    assert not any(key.plaintext[:-4] in json.dumps(listed) for key in keys)


async def test_a_revoked_key_is_unknown_and_its_first_revocation_counts(database_url: str, connection: Connection) -> None:
    merchant_id = await create_merchant(connection, "Test")
    key = await create_key(connection, merchant_id, livemode=True, kind=KeyKind.SECRET, pepper=PEPPER)
    status, (line,), errors = run(database_url, "revoke-key", tell(RevokeKey(key.id)))
    assert (status, errors, line["event"], line["key_id"]) == (0, "", "key revoked", key.id)
    assert await find_principal(connection, key_hash(key.plaintext, PEPPER)) is None
    (record,) = await list_keys(connection)
    assert datetime.fromisoformat(line["revoked_at"]) == record.revoked_at
    _, (again,), _ = run(database_url, "revoke-key", tell(RevokeKey(key.id)))
    assert again["revoked_at"] == line["revoked_at"]


async def test_how_fast_a_key_may_write_is_set_and_left_to_the_deployment_again(database_url: str, connection: Connection) -> None:
    key = await create_key(connection, await create_merchant(connection, "Test"), livemode=True, kind=KeyKind.SECRET, pepper=PEPPER)
    for limit in (250, None):
        status, (line,), errors = run(database_url, "limit-key", tell(LimitKey(key.id, limit)))
        assert (status, errors, line["event"], line["key_id"], line["writes_per_second"]) == (0, "", "key limited", key.id, limit)
        (record,) = await list_keys(connection)
        assert record.writes_per_second == limit


async def test_a_merchant_or_key_that_there_is_not_is_one_line(database_url: str, connection: Connection) -> None:
    order = order_for(make_key(livemode=False, kind=KeyKind.SECRET))
    for merchants, asked, message in (
        ([], None, "There is no merchant yet. Make one: --new-merchant NAME"),
        (["Test"], 9, "There is no merchant 9. There are: 1"),
    ):
        for name in merchants:
            await create_merchant(connection, name)
        status, (line,), errors = run(database_url, "create-key", tell(msgspec.structs.replace(order, merchant=asked)))
        assert (status, line["event"], line["message"], errors) == (1, "error", message, "")
    key_id = new_id("key")
    status, (line,), errors = run(database_url, "revoke-key", tell(RevokeKey(key_id)))
    assert (status, line["message"], errors) == (1, f"There is no key {key_id}. See: tap keys list", "")
    assert await list_keys(connection) == []


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("create-key", {"merchant": 1, "new_merchant": "Two"}, "Give either --merchant or --new-merchant."),
        ("create-key", {"new_merchant": " "}, "1 to 200 printable characters"),
        ("create-key", {"new_merchant": "a\nb"}, "1 to 200 printable characters"),
        ("create-key", {"hashed": "00"}, "$.hashed"),
        ("create-key", {"last4": "12345"}, "$.last4"),
        ("create-key", {"kind": "master"}, "$.kind"),
        ("create-key", {"livemode": "yes"}, "$.livemode"),
        ("create-key", {"plaintext": "sk_live_…"}, "unknown field `plaintext`"),
        ("revoke-key", {"key_id": "sk_live_" + "a" * 48}, "$.key_id"),
        ("revoke-key", {"key_id": None}, "$.key_id"),
    ],
)
def test_an_order_that_is_wrong_is_one_line_before_anything_is_done(task: str, change: dict[str, Any], message: str) -> None:
    """No database is given: it would be the next thing to be missed."""
    right = order_for(make_key(livemode=False, kind=KeyKind.SECRET)) if task == "create-key" else RevokeKey(new_id("key"))
    status, lines, errors = run(None, task, json.dumps(msgspec.to_builtins(right) | change))
    assert (status, lines) == (2, [])
    assert message in errors
    assert errors.startswith("The order isn't the JSON of a ")
    assert errors.count("\n") == 1
    assert "sk_live" not in errors


def test_an_order_that_is_no_json_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "payments.storage", "revoke-key", b"\xff{"], env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("The order isn't the JSON of a RevokeKey: ")
    assert done.stderr.count("\n") == 1
