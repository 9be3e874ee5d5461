"""API keys of an environment on AWS, by one-off tasks, since nobody else reaches its database.

A key is made here and shown here. What leaves this machine is its keyed hash and its last four characters: AWS records the commands of tasks, and keeps
what they print.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from rich.console import Console

from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.one_off import Finished, events, run_one_off
from payments.cli.data_directory import UsageError
from payments.cli.keys import show_key, show_keys
from payments.domain.principal import KeyKind
from payments.runtime.topology import API_KEY_PEPPER_VARIABLE, MIGRATION_MODULE, Service
from payments.storage.key_tasks import CreateKey, KeyEvent, KeyTask, RevokeKey
from payments.storage.keys import KeyRecord, MerchantError, check_choice, key_hash, make_key
from payments.wire.auth import REMEMBERED_SECONDS

_PEPPER_BYTES = 32
_ARGUMENTS_REFUSED = 2


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
        network, hashed = self._network(), key_hash(key.plaintext, self._pepper()).hex()
        order = CreateKey(
            key_id=key.id, hashed=hashed, last4=key.last4, livemode=live, kind=kind, merchant=merchant, new_merchant=new_merchant
        )
        done = self._run(network, KeyTask.CREATE, order)
        created = next((event for event in done if event["event"] == KeyEvent.CREATED), None)
        if created is None:  # it was stored all the same, and is lost unless it is shown
            show_key(self.console, f"Key {key.id}; `{self._list_command}` shows its merchant.", key)
        else:
            show_key(self.console, f"Merchant {created['merchant_id']}, key {key.id}.", key)

    def show_list(self) -> None:
        """Print what is kept of the keys."""
        done = self._run(self._network(), KeyTask.LIST)
        keys = [msgspec.convert(event, KeyRecord) for event in done if event["event"] == KeyEvent.KEY]
        count = next((event["count"] for event in done if event["event"] == KeyEvent.LISTED), None)
        if count != len(keys):
            raise UsageError("Not all of the task's lines have arrived in its log yet: list the keys again.")
        show_keys(self.console, keys)

    def revoke(self, key_id: str) -> None:
        """Revoke a key, and wait until every task has forgotten it."""
        try:
            order = msgspec.convert({"key_id": key_id}, RevokeKey)
        except msgspec.ValidationError:  # perhaps it is a key itself, which nobody should see again
            raise UsageError(f"That isn't a key's id, which begins with key_. See: {self._list_command}") from None
        done = self._run(self._network(), KeyTask.REVOKE, order)
        self.sleep(REMEMBERED_SECONDS)
        since = next((f" since {_minute(event['revoked_at'])}" for event in done if event["event"] == KeyEvent.REVOKED), "")
        self.console.print(
            f"Key {key_id} is revoked{since}. Tasks refuse it {REMEMBERED_SECONDS:g} s after that at the latest.", soft_wrap=True
        )

    @property
    def _list_command(self) -> str:
        return f"tap keys list --environment {self.deployed.names.environment}"

    def _network(self) -> Any:
        self.deployed.check_there(may_change=True)  # a key that was seen by somebody can't wait for the end of an update
        return self.deployed.service(Service.PAYMENT_API).network

    def _pepper(self) -> bytes:
        try:
            pepper = bytes.fromhex(self.deployed.injected_secret(API_KEY_PEPPER_VARIABLE))
        except ValueError:
            pepper = b""
        if len(pepper) != _PEPPER_BYTES:
            raise UsageError(f"The secret that tasks are given as {API_KEY_PEPPER_VARIABLE} isn't {_PEPPER_BYTES} bytes in hexadecimal.")
        return pepper

    def _run(self, network: Any, task: KeyTask, order: CreateKey | RevokeKey | None = None) -> list[dict[str, Any]]:
        """Run a task, and return what it logged."""
        aws, names = self.deployed.aws, self.deployed.names
        command = ["python", "-m", MIGRATION_MODULE, task.value, *([] if order is None else [msgspec.json.encode(order).decode()])]
        family = names.migration_family
        done = run_one_off(aws, names, family, network, command=command, poll_seconds=self.poll_seconds)
        if done.exit_code != 0:
            raise UsageError(self._explain(done))
        return events(done.lines)

    def _explain(self, done: Finished) -> str:
        name, failures = self.deployed.names.environment, [event for event in events(done.lines) if event["event"] == "error"]
        if failures:
            return str(failures[-1].get("message") or f"The task failed: {failures[-1].get('kind')}. Its log says where.")
        if done.exit_code == _ARGUMENTS_REFUSED:
            return f"The code that is deployed doesn't know such a task, or such an order: tap release payment-api --environment {name}"
        return f"The task ended with exit status {done.exit_code}, and its log doesn't say why."


def _minute(timestamp: str) -> str:
    return f"{timestamp[:16].replace('T', ' ')} UTC"
