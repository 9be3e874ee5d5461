"""Double entry, pure: the chart of accounts, transfers, and which transfers each step of a payment posts."""
