"""Another merchant's objects, and the other mode's, are none: whatever operation an id is given to answers as for an id that nobody has.

The operations are those of the route table, so a new one is tried without being named here.
"""

import json
import re
from typing import Any

import pytest

from payments.wire.api import Endpoint
from payments.wire.kinds import KINDS
from tests.support.belongings import NEEDED, WITH_TEST_CARDS, Merchant, given, needed, parameters, placeholders
from tests.support.public_api import endpoints
from tests.support.running_tap import RunningTap

IN_PATHS = [(each, name) for each in endpoints() for name in placeholders(each)]
IN_PARAMETERS = [(each, name) for each in endpoints() for name in parameters(each)]
AS_IF_IN_THE_PATH = {("POST /v1/refunds", "charge")}
"""Of what parameters name and there is not, Stripe answers 400; but of this."""
STRANGERS = ("another merchant", "the other mode")


def named(value: object) -> str:
    return value.operation if isinstance(value, Endpoint) else str(value)


@pytest.fixture(scope="module")
def owner(tap: RunningTap) -> Merchant:
    return Merchant(tap.create_key("--new-merchant", "Owner"), tap.status()["base_url"])


@pytest.fixture(scope="module")
def strangers(tap: RunningTap, owner: Merchant) -> dict[str, Merchant]:
    """Those who must see nothing of what the owner has in test mode."""
    (number,) = [row.split("│")[2].strip() for row in tap.tap("keys", "list").stdout.splitlines() if f" {owner.key[-4:]} " in row]
    keys = {
        "another merchant": tap.create_key("--new-merchant", "Stranger"),
        "the other mode": tap.create_key("--merchant", number, "--live"),
    }
    return {name: Merchant(key, owner.base_url) for name, key in keys.items()}


@pytest.fixture(scope="module")
def browser(tap: RunningTap, owner: Merchant) -> Merchant:
    """With the publishable key of the sandbox's merchant."""
    return Merchant(tap.status()["publishable_key"], owner.base_url)


def nobodys(object_id: str) -> str:
    """An id of the same form, which there is not."""
    return re.sub(r"[A-Za-z0-9]{8}(?=\.|$)", "ZZZZZZZZ", object_id)


def answers(stranger: Merchant, endpoint: Endpoint[Any], path: str, name: str, object_id: str, **others: Any) -> tuple[int, Any]:
    """What an operation answers to an id that is the owner's; it must be what it answers to nobody's."""
    found: list[tuple[int, Any]] = []
    for each in (object_id, nobodys(object_id)):
        shaped = {} if f"{{{name}}}" in path else given(name, each)
        status, body = stranger.call(endpoint.method, path.replace(f"{{{name}}}", each), {**others, **shaped})
        found.append((status, json.loads(json.dumps(body).replace(each, "x"))))
    assert found[0] == found[1]
    return found[0]


def skip_what_the_mode_has_not(caller: str, *kinds: str) -> None:
    if caller == "the other mode" and kinds[0] == "account":
        pytest.skip("an account has both modes")
    if caller == "the other mode" and WITH_TEST_CARDS & {*kinds[1:]}:
        pytest.skip("test cards are of test mode")


@pytest.mark.parametrize("caller", STRANGERS)
@pytest.mark.parametrize(("endpoint", "name"), IN_PATHS, ids=named)
def test_an_id_in_a_path_is_nobodys(
    owner: Merchant, strangers: dict[str, Merchant], caller: str, endpoint: Endpoint[Any], name: str
) -> None:
    stranger, kinds = strangers[caller], placeholders(endpoint)
    tried = kinds.pop(name)
    skip_what_the_mode_has_not(caller, tried, *kinds.values())
    path = endpoint.path
    for other, kind in kinds.items():
        path = path.replace(f"{{{other}}}", stranger.has(kind))
    status, body = answers(stranger, endpoint, path, name, owner.has(tried), **needed(endpoint, stranger, name))
    assert (status, body["error"]["code"]) in {(404, "resource_missing"), (403, "account_invalid")}, body


@pytest.mark.parametrize("caller", STRANGERS)
@pytest.mark.parametrize(("endpoint", "name"), IN_PARAMETERS, ids=named)
def test_an_id_in_a_parameter_is_nobodys(
    owner: Merchant, strangers: dict[str, Merchant], caller: str, endpoint: Endpoint[Any], name: str
) -> None:
    stranger, kinds, tried = strangers[caller], placeholders(endpoint), parameters(endpoint)[name]
    skip_what_the_mode_has_not(caller, tried, *kinds.values())
    path = endpoint.path
    for other, kind in kinds.items():
        path = path.replace(f"{{{other}}}", stranger.make(kind))
    status, body = answers(stranger, endpoint, path, name, owner.has(tried), **needed(endpoint, stranger, name))
    if status == 200:
        assert (endpoint.method, body["data"]) == ("GET", [])
        assert name not in KINDS, "that there is none is an error"
    else:
        as_in_path = (endpoint.operation, name) in AS_IF_IN_THE_PATH
        assert (status, body["error"]["code"]) == (404 if as_in_path else 400, "resource_missing"), body


@pytest.mark.parametrize("endpoint", endpoints(), ids=named)
def test_a_publishable_key_may_call_what_is_open_to_it_and_nothing_else(
    browser: Merchant, owner: Merchant, endpoint: Endpoint[Any]
) -> None:
    kinds = placeholders(endpoint)
    if not endpoint.publishable:
        status, body = browser.call(endpoint.method, re.sub(r"{\w+}", "x_1", endpoint.path))
        assert (status, body["error"]["code"]) == (403, "secret_key_required")
    elif not kinds:
        assert browser.call(endpoint.method, endpoint.path)[0] == 400, "it wants parameters"
    else:
        ((name, kind),) = kinds.items()
        secret = owner.get(f"{KINDS[kind].path}/{owner.has(kind)}")["client_secret"]
        status, _ = answers(
            browser, endpoint, endpoint.path, name, owner.has(kind), client_secret=secret, **NEEDED.get(endpoint.operation, {})
        )
        assert status == 404, "not even with its secret"
