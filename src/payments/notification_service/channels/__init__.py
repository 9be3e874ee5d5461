"""How events are brought to endpoints: a file for each kind."""
