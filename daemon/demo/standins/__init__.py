"""Stand-ins on loopback for the services at the edges: both usage APIs, Stripe, a mailbox and a webhook receiver."""
