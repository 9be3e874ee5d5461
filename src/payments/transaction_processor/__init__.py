"""transaction-processor: takes attempts to acquirers, commits their outcomes, keeps the ledger, answers for balances."""
