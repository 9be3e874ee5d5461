"""Pure payment rules: money, cards, payment states, events, errors, fees. No I/O, no SQL, no HTTP."""
