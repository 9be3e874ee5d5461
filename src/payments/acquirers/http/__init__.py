"""An acquirer over HTTP and JSON: a small protocol that a bank's integration team can serve in a day, docs/acquirer-protocol.json."""
