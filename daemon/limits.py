"""Every wait, retry, queue, body and page of the process has a maximum. They stand here; delivery's in `alerts.limits`."""

STORE_BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process's transaction."""

POLL_DEADLINE_S = 20.0
"""From connecting to the last byte of a usage API's answer."""
POLL_BODY_BYTES = 256 * 1024
POLLS_PER_HOST = 8
"""Requests under way at once to one host and port."""
POLLS_IN_FLIGHT = 64
"""Requests under way at once over all hosts."""

DRAIN_S = 8.0
"""After SIGTERM, how long work in flight may go on before it is cut."""
BEAT_S = 30.0
"""The longest sleep of the service: a stepped wall clock is noticed within it."""
