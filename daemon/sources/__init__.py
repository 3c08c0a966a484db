"""Sources: a module a provider, each turning one HTTP answer into one `Reading`."""
