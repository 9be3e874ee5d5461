"""Tap's deployment to AWS, rehearsed on this machine: real containers and a real PostgreSQL, on an emulator of AWS."""
