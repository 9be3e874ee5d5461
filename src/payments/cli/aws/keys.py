"""API keys of an environment on AWS, by one-off tasks, since nobody else reaches its database.

A key is made here and shown here. What leaves this machine is its keyed hash and its last four characters: AWS records the commands of tasks, and keeps
what they print.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from rich.console import Console

from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.storage_tasks import StorageTasks
from payments.cli.data_directory import UsageError
from payments.cli.keys import show_key, show_keys, show_limit
from payments.domain.principal import KeyKind
from payments.runtime.keyring import KeyRing, KeyRingError
from payments.runtime.topology import API_KEY_PEPPER_VARIABLE
from payments.storage.key_tasks import CreateKey, KeyEvent, KeyId, KeyTask, LimitKey, RevokeKey
from payments.storage.keys import KeyRecord, MerchantError, check_choice, key_hash, make_key
from payments.wire.auth import REMEMBERED_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Creates, lists and revokes keys; what goes wrong is a `UsageError`."""

    deployed: DeployedEnvironment
    console: Console
    poll_seconds: float
    sleep: Callable[[float], None] = field(default=time.sleep)

    def create(self, *, merchant: int | None, new_merchant: str | None, live: bool, publishable: bool) -> None:
        """Create a key and print it, for the only time."""
        try:
            check_choice(merchant, new_merchant)
        except MerchantError as mistake:
            raise UsageError(str(mistake)) from None
        kind = KeyKind.PUBLISHABLE if publishable else KeyKind.SECRET
        key = make_key(livemode=live, kind=kind)
        tasks, pepper = self._tasks(), self._pepper()
        order = CreateKey(
            key_id=key.id,
            hashed=key_hash(key.plaintext, pepper).hex(),
            pepper_id=pepper.in_use,
            last4=key.last4,
            livemode=live,
            kind=kind,
            merchant=merchant,
            new_merchant=new_merchant,
        )
        done = tasks.run(KeyTask.CREATE, order)
        created = next((event for event in done if event["event"] == KeyEvent.CREATED), None)
        if created is None:  # it was stored all the same, and is lost unless it is shown
            show_key(self.console, f"Key {key.id}; `{self._list_command}` shows its merchant.", key)
        else:
            show_key(self.console, f"Merchant {created['merchant_id']}, key {key.id}.", key)

    def show_list(self) -> None:
        """Print what is kept of the keys."""
        done = self._tasks().run(KeyTask.LIST)
        keys = [msgspec.convert(event, KeyRecord) for event in done if event["event"] == KeyEvent.KEY]
        count = next((event["count"] for event in done if event["event"] == KeyEvent.LISTED), None)
        if count != len(keys):
            raise UsageError("Not all of the task's lines have arrived in its log yet: list the keys again.")
        show_keys(self.console, keys)

    def revoke(self, key_id: str) -> None:
        """Revoke a key, and wait until every task has forgotten it."""
        order = RevokeKey(self._checked(key_id))
        done = self._tasks().run(KeyTask.REVOKE, order)
        self.sleep(REMEMBERED_SECONDS)
        since = next((f" since {_minute(event['revoked_at'])}" for event in done if event["event"] == KeyEvent.REVOKED), "")
        self.console.print(
            f"Key {key_id} is revoked{since}. Tasks refuse it {REMEMBERED_SECONDS:g} s after that at the latest.", soft_wrap=True
        )

    def limit(self, key_id: str, writes_per_second: int | None) -> None:
        """Say how fast a key may write, and wait until every task knows it."""
        order = LimitKey(self._checked(key_id), writes_per_second)
        self._tasks().run(KeyTask.LIMIT, order)
        self.sleep(REMEMBERED_SECONDS)
        show_limit(self.console, key_id, writes_per_second)

    def _checked(self, key_id: str) -> str:
        try:
            return msgspec.convert(key_id, KeyId)
        except msgspec.ValidationError:  # perhaps it is a key itself, which nobody should see again
            raise UsageError(f"That isn't a key's id, which begins with key_. See: {self._list_command}") from None

    @property
    def _list_command(self) -> str:
        return f"tap keys list --environment {self.deployed.names.environment}"

    def _tasks(self) -> StorageTasks:
        return StorageTasks.of(self.deployed, self.poll_seconds)

    def _pepper(self) -> KeyRing:
        try:
            return KeyRing.parse(self.deployed.injected_secret(API_KEY_PEPPER_VARIABLE))
        except KeyRingError as mistake:
            raise UsageError(f"The secret that tasks are given as {API_KEY_PEPPER_VARIABLE} {mistake}.") from None


def _minute(timestamp: str) -> str:
    return f"{timestamp[:16].replace('T', ' ')} UTC"
