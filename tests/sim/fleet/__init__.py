"""A fleet in the simulated world: several daemons on one real PostgreSQL, in one virtual time."""
