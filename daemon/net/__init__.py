"""The edges of the network: HTTP, addresses, SMTP, channels, the heartbeat."""
