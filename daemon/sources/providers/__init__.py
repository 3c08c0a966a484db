"""One module a provider, each with its `PROVIDER`: a new file here is a new provider, and nothing else names it."""
