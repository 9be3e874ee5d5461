"""What was stored means what it meant, whatever defaults the code has now."""

from typing import Any

import pytest

from tests.support.stored_documents import STORED, decoded, known

GOLDEN = known()


def differences(was: Any, now: Any, path: str = "") -> list[str]:
    """Where a meaning has changed; what was added since has none to compare."""
    if isinstance(was, dict) and isinstance(now, dict):
        return [each for name in was for each in differences(was[name], now.get(name, "gone"), f"{path}.{name}")]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [each for index, pair in enumerate(zip(was, now, strict=True)) for each in differences(*pair, f"{path}[{index}]")]
    return [] if was == now else [f"{path}: {was!r} became {now!r}"]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_document_means_what_it_meant(name: str) -> None:
    assert differences(GOLDEN[name]["means"], decoded(name, GOLDEN[name]["document"])) == []


def test_all_that_is_stored_or_said_is_held_to_what_it_means() -> None:
    """`python -m tests.support.stored_documents` adds what is new."""
    assert STORED.keys() == GOLDEN.keys()


def test_a_changed_default_is_noticed() -> None:
    customer = GOLDEN["Customer"]
    assert differences({**customer["means"], "tax_exempt": "exempt"}, decoded("Customer", customer["document"])) == [
        ".tax_exempt: 'exempt' became 'none'"
    ]
