"""An account at Stripe as an acquirer: Tap is the ledger, the vault and the router in front of it."""
