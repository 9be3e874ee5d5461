"""`tap keys envelope | pepper`: no step is taken before what it relies on is so, and none that was refused has changed anything."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from payments.cli.data_directory import UsageError
from payments.cli.key_rings import KeyRings, Purpose
from payments.runtime.keyring import KeyRing
from payments.runtime.seal import EnvelopeKeys
from payments.storage.envelope_tasks import API_KEYS
from payments.storage.resealing import DIGESTS, KeyUse, Resealed

OLD = b"\x01" * 32


@dataclass
class FakePlace:
    """A system whose processes know what they were started with."""

    restart: str = "Restart."
    rings: dict[Purpose, str] = field(default_factory=lambda: dict.fromkeys(Purpose, OLD.hex()))
    changed: set[Purpose] = field(default_factory=set)
    used: list[KeyUse] = field(default_factory=list)
    resealed: Resealed = field(default_factory=Resealed)

    def read(self, purpose: Purpose) -> str:
        return self.rings[purpose]

    def write(self, purpose: Purpose, text: str) -> None:
        self.rings[purpose] = text
        self.changed.add(purpose)

    def outdated(self, purpose: Purpose) -> list[str]:
        return ["payment-api"] if purpose in self.changed else []

    def uses(self) -> list[KeyUse]:
        return self.used

    def reseal(self) -> Resealed:
        return self.resealed

    def command(self, *arguments: object) -> str:
        return " ".join(map(str, ("tap", *arguments)))


class Operator:
    def __init__(self, purpose: Purpose) -> None:
        self.place, self.written, self.purpose = FakePlace(), io.StringIO(), purpose
        self.keys = KeyRings(Console(file=self.written, width=200), self.place, purpose)

    def ring(self) -> KeyRing:
        text = self.place.read(self.purpose)
        return KeyRing.parse(text) if self.purpose is Purpose.PEPPER else EnvelopeKeys.parse(text).ring

    def restart(self) -> None:
        self.place.changed.clear()

    def rotated(self) -> "Operator":
        """With key 2 in use beside key 1, and every process knows it."""
        self.keys.add()
        self.restart()
        self.keys.use(2)
        self.restart()
        return self

    def refused(self, step: Callable[[], None], message: str) -> None:
        before = dict(self.place.rings)
        with pytest.raises(UsageError, match=message):
            step()
        assert self.place.rings == before


@pytest.fixture(params=Purpose)
def operator(request: pytest.FixtureRequest) -> Operator:
    return Operator(request.param)


def test_a_key_is_known_before_it_is_used_and_dropped_when_nothing_needs_it(operator: Operator) -> None:
    operator.keys.add()
    assert (operator.ring().in_use, list(operator.ring().keys), operator.ring().keys[1]) == (1, [1, 2], OLD)
    operator.refused(
        lambda: operator.keys.use(2), "payment-api: started before the keys were changed, so that it doesn't know key 2. Restart"
    )
    operator.restart()
    operator.keys.use(2)
    assert operator.ring().in_use == 2
    operator.refused(lambda: operator.keys.drop(1), "may still use key 1")
    operator.restart()
    operator.keys.drop(1)
    assert list(operator.ring().keys) == [2]


def test_no_key_is_ever_shown(operator: Operator) -> None:
    operator.rotated().keys.show_list()
    operator.keys.drop(1)
    assert not any(key.hex() in operator.written.getvalue() for key in (OLD, *operator.ring().keys.values()))


@pytest.mark.parametrize(("key_id", "message"), [(1, "uses key 1"), (9, "has no key 9; it has 1")])
def test_a_key_that_is_in_use_or_is_not_there_is_not_dropped(operator: Operator, key_id: int, message: str) -> None:
    operator.refused(lambda: operator.keys.drop(key_id), message)
    operator.refused(lambda: operator.keys.use(key_id), "in use already|has no key 9")


def test_the_fingerprints_key_outlives_the_first_key() -> None:
    operator = Operator(Purpose.ENVELOPE).rotated()
    operator.keys.drop(1)
    assert EnvelopeKeys.parse(operator.place.read(Purpose.ENVELOPE)).fingerprint_key == EnvelopeKeys.of(OLD).fingerprint_key


@pytest.mark.parametrize(
    ("purpose", "uses", "message"),
    [
        (Purpose.ENVELOPE, [KeyUse("card numbers", 1, 3)], r"3 card numbers are under it\. First: tap keys envelope reseal"),
        (Purpose.ENVELOPE, [KeyUse("card numbers", 1, 3), KeyUse(DIGESTS, 1, 2)], r"3 card numbers, 2 request digests .* reseal"),
        (Purpose.ENVELOPE, [KeyUse(DIGESTS, 1, 2)], "of no use a day after"),
        (Purpose.PEPPER, [KeyUse(API_KEYS, 1, 4)], "4 API keys are stored with it.* replace and revoke them first"),
    ],
)
def test_a_key_that_anything_needs_is_not_dropped(purpose: Purpose, uses: list[KeyUse], message: str) -> None:
    operator = Operator(purpose).rotated()
    operator.place.used = uses
    operator.refused(lambda: operator.keys.drop(1), message)


def test_what_the_other_ring_is_needed_for_keeps_no_key() -> None:
    envelope, pepper = Operator(Purpose.ENVELOPE).rotated(), Operator(Purpose.PEPPER).rotated()
    envelope.place.used, pepper.place.used = [KeyUse(API_KEYS, 1, 4)], [KeyUse("card numbers", 1, 3)]
    envelope.keys.drop(1)
    pepper.keys.drop(1)


@pytest.mark.parametrize(
    ("resealed", "shown"),
    [
        (Resealed(done=3), "A day from now the old key can go: tap keys envelope drop KEY"),
        (Resealed(done=3, left=2), "Run this again"),
        (Resealed(done=3, left=2, unreadable=1), "1 of these are damaged"),
    ],
)
def test_sealing_anew_says_what_is_left(resealed: Resealed, shown: str) -> None:
    operator = Operator(Purpose.ENVELOPE).rotated()
    operator.place.resealed = resealed
    operator.keys.reseal()
    assert f"3 values were sealed anew; {resealed.left} are left" in operator.written.getvalue()
    assert shown in operator.written.getvalue()


def test_nothing_is_sealed_anew_while_somebody_seals_with_the_old_key() -> None:
    operator = Operator(Purpose.ENVELOPE)
    operator.keys.add()
    operator.refused(operator.keys.reseal, "may still seal with another key")


def test_the_list_says_what_is_under_each_key(operator: Operator) -> None:
    what = API_KEYS if operator.purpose is Purpose.PEPPER else "card numbers"
    operator.rotated().place.used = [KeyUse(what, 0, 5), KeyUse(what, 1, 6), KeyUse(what, 9, 7)]
    operator.keys.show_list()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in operator.written.getvalue().splitlines() if what in line]
    assert rows == [["0", "damaged", f"5 {what}"], ["1", "known", f"6 {what}"], ["9", "not known", f"7 {what}"]]
    assert "in use" in operator.written.getvalue()
