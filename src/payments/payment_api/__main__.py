"""Starts payment-api: `python -m payments.payment_api`."""

from payments.payment_api.main import main

main()
