"""The process: what runs the daemon under an init system, and tells it how it fares."""
