"""Tap: card payments that a company runs itself."""
