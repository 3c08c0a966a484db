"""Sources: usage APIs. `providers/` has one file a provider, `registry` finds them, `fetcher` asks them."""
