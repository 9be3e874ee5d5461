"""Stripe's v1 wire format: what the services share of the public API."""
