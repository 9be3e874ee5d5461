"""transaction-processor: asks acquirers, records outcomes, keeps the books."""
