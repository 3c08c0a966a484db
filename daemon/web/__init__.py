"""The local page: read only, from the database, beside the work and never in its way."""
