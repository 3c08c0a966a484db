"""The policy: what is charged, when, and what follows from each fact. Pure: no clock, no I/O, no randomness."""
