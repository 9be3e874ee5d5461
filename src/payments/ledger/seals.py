"""The hash chain over all transfers, pure: what a seal is over, what is signed of it, and what is wrong with one.

Transfers have an order in which none can come in between any more (`Place`). The head after a transfer is SHA-256 of the head before it and of the transfer's
digest. So however transfers are divided among seals, the head after the same transfers is the same.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

DIGEST_BYTES = 32
_FINGERPRINT_BYTES = 8
_FAULTS_NAMED_MAX = 5


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a transfer stands in the order of the chain."""

    recorded_in: int
    """The number of its transaction; 0 for what was there before there were seals."""
    posting: str
    kind: str

    def __str__(self) -> str:
        return f"{self.posting} {self.kind}"


@dataclass(frozen=True, slots=True)
class Seal:
    """A link of the chain: it is over all transfers after the seal before it, as far as `last`."""

    number: int
    """From 1 on, without gaps."""
    transfers: int
    """How many it adds; none, when it only puts another signature under the same head."""
    total: int
    """How many the chain is over by then."""
    last: Place
    head: bytes
    fingerprints: bytes
    """The beginning of each transfer's digest: what is wrong can be named by them. They prove nothing, the head does."""
    signature: str = ""
    """A keyed digest of `statement`."""

    @property
    def statement(self) -> bytes:
        """What is signed."""
        fields = (self.number, self.transfers, self.total, self.last.recorded_in, self.last.posting, self.last.kind, self.head.hex())
        return "\n".join(map(str, (*fields, hashlib.sha256(self.fingerprints).hexdigest()))).encode()


BEGINNING = Seal(number=0, transfers=0, total=0, last=Place(0, "", ""), head=bytes(DIGEST_BYTES), fingerprints=b"")
"""Before the first seal."""


def seal_after(before: Seal, last: Place, digests: Sequence[bytes]) -> Seal:
    """Return the seal, not signed yet, over the transfers with these digests, in their order."""
    return Seal(
        number=before.number + 1,
        transfers=len(digests),
        total=before.total + len(digests),
        last=last,
        head=chained(before.head, digests),
        fingerprints=b"".join(each[:_FINGERPRINT_BYTES] for each in digests),
    )


def chained(head: bytes, digests: Sequence[bytes]) -> bytes:
    """Return the head after further transfers."""
    for digest in digests:
        head = hashlib.sha256(head + digest).digest()
    return head


def split(digests: bytes) -> list[bytes]:
    """Take apart digests that lie one behind the other."""
    return [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]


def disagreements(seal: Seal, before: Seal, digests: Sequence[bytes]) -> list[str]:
    """Return what is wrong with a seal behind another one, when these are the digests of the transfers that lie between the two; its signature aside."""
    if seal.number != before.number + 1:
        missing = range(before.number + 1, seal.number)
        named = f"seal {missing[0]} is" if len(missing) == 1 else f"seals {missing[0]} to {missing[-1]} are"
        return [f"{named} missing"]
    made = seal_after(before, seal.last, digests)
    if (made.transfers, made.fingerprints) != (seal.transfers, seal.fingerprints):
        return [f"seal {seal.number} isn't over what is there now: {len(digests)} transfers, where {seal.transfers} were sealed"]
    if made.head != seal.head:
        return [f"seal {seal.number} doesn't follow from seal {before.number}: one of them was made anew, or a transfer in it was"]
    return (
        [] if made.total == seal.total else [f"seal {seal.number} says that the chain is over {seal.total} transfers: it is {made.total}"]
    )


def named_faults(seal: Seal, found: Sequence[tuple[str, bytes]]) -> Iterator[str]:
    """Name what is wrong with the transfers of a seal, the first few; `found` are those that are there, by name, with their digests."""
    sealed = [seal.fingerprints[at : at + _FINGERPRINT_BYTES] for at in range(0, len(seal.fingerprints), _FINGERPRINT_BYTES)]
    there = [digest[:_FINGERPRINT_BYTES] for _, digest in found]
    names = [name for name, _ in found]
    faults: list[str] = []
    for what, from_sealed, to_sealed, first, end in SequenceMatcher(None, sealed, there, autojunk=False).get_opcodes():
        if what == "equal" or len(faults) >= _FAULTS_NAMED_MAX:
            continue
        changed = min(to_sealed - from_sealed, end - first)
        faults += [f"{name} isn't what was sealed" for name in names[first : first + changed]]
        faults += [f"{name} was put in" for name in names[first + changed : end]]
        if (gone := to_sealed - from_sealed - changed) > 0:
            faults.append(f"{_transfers(gone)} gone {_between(names, end, str(seal.last) if to_sealed == len(sealed) else '')}")
    yield from faults[:_FAULTS_NAMED_MAX]


def _transfers(count: int) -> str:
    return "a transfer is" if count == 1 else f"{count} transfers are"


def _between(names: Sequence[str], at: int, last: str) -> str:
    """Say where something is missing."""
    if at >= len(names) and last:
        return f"at the end, {last} among them"
    before, after = names[at - 1] if at else "", names[at] if at < len(names) else ""
    return " and ".join(part for part in (f"behind {before}" if before else "", f"before {after}" if after else "") if part) or "of it"
