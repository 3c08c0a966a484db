"""The HTTP API: what is managed as data, over HTTP. All logic of changes is the registry's."""
