"""`tap keys envelope` and `tap keys pepper`: replacing a key while everything runs, step by step, each of which says what the next one is.

A new key is known everywhere before anything is made with it; nothing is dropped while anything needs it. What a step relies on is looked at, not believed.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from rich.console import Console
from rich.table import Table

from payments.cli.data_directory import UsageError
from payments.runtime.keyring import KEY_BYTES, KeyRing, KeyRingError
from payments.runtime.seal import EnvelopeKeys
from payments.storage.envelope_tasks import API_KEYS
from payments.storage.resealing import DIGESTS, KeyUse, Resealed


class Purpose(StrEnum):
    """What a ring of keys is for; the value is its command's name."""

    ENVELOPE = "envelope"
    """Seals card numbers, webhook secrets and stored answers."""
    PEPPER = "pepper"
    """Is in the hashes under which API keys are stored."""


class Place(Protocol):
    """Where a system runs, and keeps its rings of keys: here, or on AWS."""

    restart: str
    """How processes come to know what is in the rings: a sentence."""

    def read(self, purpose: Purpose) -> str:
        """Return a ring as text."""
        ...

    def write(self, purpose: Purpose, text: str) -> None:
        """Keep a ring; processes that are started from now on know it."""
        ...

    def outdated(self, purpose: Purpose) -> list[str]:
        """Name the processes that were started before the ring was written last."""
        ...

    def uses(self) -> list[KeyUse]:
        """Count what there is under each key of both rings."""
        ...

    def reseal(self) -> Resealed:
        """Seal anew what isn't under the envelope key in use."""
        ...

    def command(self, *arguments: object) -> str:
        """Return a `tap` command about this place, as it is typed."""
        ...


@dataclass(frozen=True, slots=True)
class KeyRings:
    """The steps; what can't be done yet is a `UsageError`, and has changed nothing."""

    console: Console
    place: Place
    purpose: Purpose

    def show_list(self) -> None:
        """Print the keys' numbers, and what there is under each."""
        ring, uses = self._ring(), self._uses()
        table = Table("key", "", "under it")
        for key_id in sorted({*ring.keys, *uses}):
            known = "in use" if key_id == ring.in_use else "known" if key_id in ring.keys else "not known" if key_id else "damaged"
            table.add_row(str(key_id), known, ", ".join(f"{use.count} {use.what}" for use in uses.get(key_id, [])))
        self.console.print(table)

    def add(self) -> None:
        """Make a key that can be read with, and isn't used yet."""
        ring = self._change(lambda ring: ring.with_key(secrets.token_bytes(KEY_BYTES)))
        key_id = max(ring.keys)
        self._say(f"There is a key {key_id} now, which isn't in use yet. {self.place.restart} Then: {self._command('use', key_id)}")

    def use(self, key_id: int) -> None:
        """Make new values with a key that every process knows."""
        if key_id == self._ring().in_use:
            raise UsageError(f"Key {key_id} is in use already.")
        self._check_all_know(f"doesn't know key {key_id}")
        self._change(lambda ring: ring.using(key_id))
        then = "reseal" if self.purpose is Purpose.ENVELOPE else "list"
        self._say(f"Key {key_id} is used by what is started from now on. {self.place.restart} Then: {self._command(then)}")

    def reseal(self) -> None:
        """Seal anew what is under other keys, while payments go on."""
        self._check_all_know("may still seal with another key")
        done = self.place.reseal()
        self._say(f"{done.done} values were sealed anew; {done.left} are left under other keys.")
        if done.unreadable:
            self._say(
                f"{done.unreadable} of these are damaged, or their key isn't known: they stay as they are. See: {self._command('list')}"
            )
        elif done.left:
            self._say("Somebody had these in hand. Run this again.")
        else:
            self._say(f"A day from now the old key can go: {self._command('drop', 'KEY')}")

    def drop(self, key_id: int) -> None:
        """Forget a key that nothing needs any more."""
        self._changed(self._ring(), lambda ring: ring.without(key_id))  # before anything else is asked: is it one that could go?
        self._check_all_know(f"may still use key {key_id}")
        if uses := self._uses().get(key_id, []):
            raise UsageError(f"Key {key_id} is needed: {self._needed(uses)}")
        self._change(lambda ring: ring.without(key_id))
        self._say(f"Key {key_id} is dropped. Backups from before can't be used without a copy of it. {self.place.restart}")

    def _needed(self, uses: Sequence[KeyUse]) -> str:
        needed = ", ".join(f"{use.count} {use.what}" for use in uses)
        match [use.what for use in uses]:
            case [only] if only == DIGESTS:
                return f"{needed} are under it, which are of no use a day after they were made."
            case [only] if only == API_KEYS:
                return f"{needed} are stored with it, and can't be stored anew, since nobody has them but merchants: replace and revoke them first."
            case _:
                return f"{needed} are under it. First: {self._command('reseal')}"

    def _check_all_know(self, why: str) -> None:
        if outdated := self.place.outdated(self.purpose):
            raise UsageError(f"{', '.join(outdated)}: started before the keys were changed, so that it {why}. {self.place.restart}")

    def _ring(self) -> KeyRing:
        return self._parse(self.place.read(self.purpose))[0]

    def _uses(self) -> dict[int, list[KeyUse]]:
        found: dict[int, list[KeyUse]] = {}
        for use in self.place.uses():
            if (use.what == API_KEYS) == (self.purpose is Purpose.PEPPER):
                found.setdefault(use.key_id, []).append(use)
        return found

    def _change(self, change: "_Change") -> KeyRing:
        ring, envelope = self._parse(self.place.read(self.purpose))
        ring = self._changed(ring, change)
        self.place.write(self.purpose, ring.text() if envelope is None else replace(envelope, ring=ring).text())
        return ring

    def _changed(self, ring: KeyRing, change: "_Change") -> KeyRing:
        try:
            return change(ring)
        except KeyRingError as mistake:
            raise UsageError(f"The {self.purpose} {mistake}.") from None

    def _parse(self, text: str) -> tuple[KeyRing, EnvelopeKeys | None]:
        try:
            if self.purpose is Purpose.PEPPER:
                return KeyRing.parse(text), None
            envelope = EnvelopeKeys.parse(text)
        except KeyRingError as mistake:
            raise UsageError(f"The {self.purpose} {mistake}.") from None
        return envelope.ring, envelope

    def _command(self, *arguments: object) -> str:
        return self.place.command("keys", self.purpose, *arguments)

    def _say(self, sentence: str) -> None:
        self.console.print(sentence, soft_wrap=True)


class _Change(Protocol):
    def __call__(self, ring: KeyRing, /) -> KeyRing: ...
