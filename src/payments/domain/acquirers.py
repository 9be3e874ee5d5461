"""Which acquirer a payment is with, by the name that its accounts in the ledger carry."""

from typing import Final

SANDBOX: Final = "simulator"
"""The sandbox. What was recorded before there were others names none, and means this one."""
NOBODY: Final = "none"
"""Whom a payment is with that was sent to nobody and won't be: it is declined."""
