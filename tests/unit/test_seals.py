"""The chain over transfers: however they are divided among seals it is the same, and what isn't as it was sealed is found and named."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.ledger.seals import BEGINNING, Place, Seal, disagreements, named_faults, seal_after, split
from payments.runtime.keyring import KeyRing
from payments.runtime.seal import EnvelopeKeys, GivenKeyProvider, Sealer
from payments.storage.seals import _unsigned

digests = st.lists(st.binary(min_size=32, max_size=32), max_size=12, unique=True)


def named(transfers: list[bytes]) -> list[tuple[str, bytes]]:
    return [(f"txn_{each.hex()[:4]} capture", each) for each in transfers]


@given(digests, st.lists(st.integers(0, 12), max_size=4))
def test_any_split_into_seals_gives_the_same_head(transfers: list[bytes], cuts: list[int]) -> None:
    whole = seal_after(BEGINNING, Place(1, "txn", "fee"), transfers)
    seal, bounds = BEGINNING, sorted({0, len(transfers), *(min(cut, len(transfers)) for cut in cuts)})
    for begin, end in pairwise(bounds):
        made = seal_after(seal, Place(1, "txn", "fee"), transfers[begin:end])
        assert disagreements(made, seal, transfers[begin:end]) == []
        seal = made
    assert (seal.head, seal.total) == ((whole.head, whole.total) if len(bounds) > 1 else (BEGINNING.head, 0))
    assert split(b"".join(transfers)) == transfers


@given(digests.filter(bool), st.data())
def test_no_change_of_a_seals_transfers_goes_unnoticed(transfers: list[bytes], data: st.DataObject) -> None:
    seal = seal_after(BEGINNING, Place(1, "txn", "fee"), transfers)
    there = data.draw(st.one_of(st.permutations(transfers), digests))
    faults = disagreements(seal, BEGINNING, there)
    assert bool(faults) == (there != transfers)
    assert bool(list(named_faults(seal, named(there)))) == (there != transfers)


def of(*numbers: int) -> list[bytes]:
    return [hashlib.sha256(bytes([number])).digest() for number in numbers]


@pytest.mark.parametrize(
    ("there", "fault"),
    [
        (of(1, 2, 9, 4), f"{named(of(9))[0][0]} isn't what was sealed"),
        (of(1, 2, 3, 9, 4), f"{named(of(9))[0][0]} was put in"),
        (of(1, 2, 4), f"a transfer is gone behind {named(of(2))[0][0]} and before {named(of(4))[0][0]}"),
        (of(1, 2), "2 transfers are gone at the end, txn_last fee among them"),
        ([], "4 transfers are gone at the end, txn_last fee among them"),
    ],
)
def test_what_is_wrong_is_named(there: list[bytes], fault: str) -> None:
    seal = seal_after(BEGINNING, Place(7, "txn_last", "fee"), of(1, 2, 3, 4))
    assert list(named_faults(seal, named(there))) == [fault]


def test_a_seal_that_was_made_anew_does_not_follow_and_one_that_is_gone_is_missed() -> None:
    one = seal_after(BEGINNING, Place(1, "a", "fee"), of(1))
    two = seal_after(one, Place(2, "b", "fee"), of(2))
    anew = seal_after(BEGINNING, Place(1, "a", "fee"), of(9))
    assert "doesn't follow from seal 1" in disagreements(two, anew, of(2))[0]
    assert disagreements(two, BEGINNING, of(1, 2)) == ["seal 1 is missing"]


def ring(*key_ids: int) -> Sealer:
    return Sealer(GivenKeyProvider(EnvelopeKeys(KeyRing({key_id: bytes([key_id]) * 32 for key_id in key_ids}), b"f" * 32)))


@pytest.mark.parametrize(
    ("signer", "known", "is_ours"),
    [((1,), (1,), True), ((1,), (2, 1), True), ((1,), (3, 2), True), ((2,), (1,), False)],
    ids=["in use", "kept", "taken away", "not known yet"],
)
def test_a_signature_is_checked_under_the_key_that_it_names(signer: tuple[int, ...], known: tuple[int, ...], is_ours: bool) -> None:
    seal = seal_after(BEGINNING, Place(1, "a", "fee"), of(1))
    signed = Seal(1, 1, 1, seal.last, seal.head, seal.fingerprints, ring(*signer).sign(seal.statement))
    assert (_unsigned(signed, ring(*known)) == []) is is_ours


@pytest.mark.parametrize("signature", ["", "h1:", "h1:AAAA", "h0:AAAA", "h9:AAAA", "h1:ä"])
def test_nothing_else_is_a_signature(signature: str) -> None:
    seal = seal_after(BEGINNING, Place(1, "a", "fee"), of(1))
    assert len(_unsigned(Seal(1, 1, 1, seal.last, seal.head, seal.fingerprints, signature), ring(2, 1))) == 1


def test_what_callers_have_signed_is_no_signature_of_the_ledger() -> None:
    assert ring(1).digest(b"x") != ring(1).sign(b"x")
