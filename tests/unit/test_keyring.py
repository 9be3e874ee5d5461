"""Rings of keys: a new key beside the old ones, none of which is lost, or shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.runtime.keyring import KEY_ID_MAX, KeyRing, KeyRingError
from payments.runtime.seal import EnvelopeKeys, GivenKeyProvider, Sealer, SealError

OLD, NEW, NEWEST = (bytes([each]) * 32 for each in (1, 2, 3))
keys = st.binary(min_size=32, max_size=32)
rings = st.lists(st.tuples(st.integers(1, KEY_ID_MAX), keys), min_size=1, max_size=5, unique_by=lambda each: each[0]).map(
    lambda pairs: KeyRing(dict(pairs))
)


def sealer(keys: EnvelopeKeys) -> Sealer:
    return Sealer(GivenKeyProvider(keys))


def with_new_key(keys: EnvelopeKeys, key: bytes = NEW) -> EnvelopeKeys:
    ring = keys.ring.with_key(key)
    return EnvelopeKeys(ring.using(max(ring.keys)), keys.fingerprint_key)


@given(ring=rings, fingerprint_key=keys)
def test_a_ring_is_read_as_it_was_written(ring: KeyRing, fingerprint_key: bytes) -> None:
    read = KeyRing.parse(ring.text())
    assert (list(read.keys.items()), read.in_use) == (list(ring.keys.items()), ring.in_use), "their order counts"
    envelope = EnvelopeKeys(ring, fingerprint_key)
    assert EnvelopeKeys.parse(envelope.text()) == envelope


def test_a_key_alone_is_what_code_reads_that_knows_no_numbers() -> None:
    assert KeyRing.of(OLD).text() == EnvelopeKeys.of(OLD).text() == OLD.hex()
    assert KeyRing.parse(OLD.hex()) == KeyRing.of(OLD)


@pytest.mark.parametrize(
    "text",
    [
        "", ",", "1:", "abc", "x" * 64, f"{'ab' * 32},{'cd' * 32}", f"0:{'ab' * 32}", f"256:{'ab' * 32}", f"1:{'ab' * 32},1:{'cd' * 32}",
        f"01:{'ab' * 32}", f"1:{'ab' * 31}", f"-1:{'ab' * 32}", f"1:{'ab' * 32},", f"1:{'ab' * 32},fingerprint:", f"1:{'ab' * 32},fingerprint:abc",
        f"2:{'ab' * 32}", f"2:{'ab' * 32},1:{'cd' * 32}",
    ],
)  # fmt: skip
def test_what_is_no_ring_is_refused_and_never_shown(text: str) -> None:
    with pytest.raises(KeyRingError) as refused:
        EnvelopeKeys.parse(text)
    for part in ("ab" * 4, "cd" * 4, "xxxx"):
        assert part not in str(refused.value)


@given(ring=rings, fingerprint_key=keys)
def test_keys_are_not_shown(ring: KeyRing, fingerprint_key: bytes) -> None:
    shown = repr(EnvelopeKeys(ring, fingerprint_key))
    assert not any(key.hex() in shown or repr(key) in shown for key in (*ring.keys.values(), fingerprint_key))


def test_a_new_key_is_known_before_it_is_used_and_an_old_one_can_be_dropped_after() -> None:
    ring = KeyRing.of(OLD).with_key(NEW)
    assert (ring.in_use, list(ring.keys)) == (1, [1, 2])
    ring = ring.using(2)
    assert (ring.in_use, ring.key, ring.keys) == (2, NEW, {1: OLD, 2: NEW})
    assert ring.without(1).keys == {2: NEW}
    assert list(ring.without(1).with_key(NEWEST).keys) == [2, 3], "a number is never given twice"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ring: ring.without(2), "uses key 2"),
        (lambda ring: ring.without(3), "whose number would be given again"),
        (lambda ring: ring.without(9), "has no key 9; it has 2, 1, 3"),
        (lambda ring: ring.using(9), "has no key 9"),
        (lambda _: KeyRing({KEY_ID_MAX: OLD}).with_key(NEW), "used up its numbers"),
    ],
)
def test_a_change_that_would_lose_something_is_refused(change: Any, message: str) -> None:
    with pytest.raises(KeyRingError, match=message):
        change(KeyRing({2: NEW, 1: OLD, 3: NEWEST}))


@given(plaintext=st.binary(), context=st.binary())
def test_what_was_sealed_before_a_rotation_opens_after_it_and_not_without_its_key(plaintext: bytes, context: bytes) -> None:
    before = EnvelopeKeys.of(OLD)
    both = with_new_key(before)
    sealed = sealer(before).seal(plaintext, context)
    assert sealer(both).open(sealed, context) == plaintext
    anew = sealer(both).seal(plaintext, context)
    assert (sealed[0], anew[0]) == (1, 2)
    only_new = sealer(EnvelopeKeys(both.ring.without(1), both.fingerprint_key))
    assert only_new.open(anew, context) == plaintext
    with pytest.raises(SealError, match="not known here"):
        only_new.open(sealed, context)
    with pytest.raises(SealError, match="damaged"):
        sealer(both).open(b"\x02" + sealed[1:], context)


@given(plaintext=st.binary(), context=st.binary())
def test_fingerprints_outlive_the_key_that_they_came_from(plaintext: bytes, context: bytes) -> None:
    before = EnvelopeKeys.of(OLD)
    both = with_new_key(before)
    after = EnvelopeKeys.parse(EnvelopeKeys(both.ring.without(1), both.fingerprint_key).text())
    assert sealer(before).fingerprint(plaintext, context) == sealer(after).fingerprint(plaintext, context)


@given(plaintext=st.binary(), other=st.binary())
def test_a_digest_is_compared_under_its_own_key(plaintext: bytes, other: bytes) -> None:
    before = EnvelopeKeys.of(OLD)
    both = with_new_key(before)
    kept = sealer(before).digest(plaintext)
    assert kept.startswith("h1:")
    assert sealer(both).digest(plaintext).startswith("h2:")
    assert sealer(both).digest(plaintext, like=kept) == kept
    assert (sealer(both).digest(other, like=kept) == kept) == (other == plaintext)
    for unknown in ("", "f" * 64, "h9:abc", "h0:abc", "h:abc"):
        assert sealer(both).digest(plaintext, like=unknown) == ""
