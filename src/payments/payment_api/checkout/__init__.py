"""Checkout: sessions, payment links, and the page on which buyers pay."""
