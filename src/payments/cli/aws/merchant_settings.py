"""`tap settings` on AWS, by a one-off task."""

import time
from collections.abc import Callable

import msgspec
from rich.console import Console

from payments.cli.aws.storage_tasks import StorageTasks
from payments.cli.data_directory import UsageError
from payments.cli.merchant_settings import show_settings
from payments.domain.account import Account
from payments.storage.merchant_tasks import SETTINGS, SettingsOrder
from payments.wire.auth import REMEMBERED_SECONDS


def run_settings(console: Console, tasks: StorageTasks, order: SettingsOrder, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Set what is given, wait until every task knows it, and print what is set now; raises `UsageError`."""
    done = next((event for event in tasks.run(SETTINGS, order) if event["event"] == SETTINGS), None)
    if order.sets:
        sleep(REMEMBERED_SECONDS)
    if done is None:
        raise UsageError("It is done, but the task's line hasn't arrived in its log yet. Run this again without anything to set.")
    show_settings(console, done["merchant_id"], msgspec.convert(done["account"], Account))
