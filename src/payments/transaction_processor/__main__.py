"""Starts transaction-processor: `python -m payments.transaction_processor`."""

from payments.transaction_processor.main import main

main()
