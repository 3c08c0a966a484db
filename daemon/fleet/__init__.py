"""Several daemons on one PostgreSQL: who holds what, and how it is handed over. See docs/scaling.md."""
