"""The process: configuration, schedule, sources, store, top-ups, web page and commands."""
