"""Mail: what is written, and the server that takes it."""
