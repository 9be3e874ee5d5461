"""Starts notification-service: `python -m payments.notification_service`."""

from payments.notification_service.main import main

main()
