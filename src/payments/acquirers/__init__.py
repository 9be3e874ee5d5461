"""Acquirers: the merchant's banks and processors, behind one protocol."""
