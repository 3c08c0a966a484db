"""The catalogue of events: of every type what it holds and means, its schema, and its words."""
