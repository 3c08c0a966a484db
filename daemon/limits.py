"""Every wait, retry, queue, body and page of the process has a maximum: here, and in `alerts.limits` for delivery."""

STORE_BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process's transaction."""

POLL_DEADLINE_S = 20.0
"""From connecting to the last byte of a usage API's answer."""
POLL_BODY_BYTES = 256 * 1024
POLLS_PER_HOST = 8
"""Requests under way at once to one host and port."""
POLLS_IN_FLIGHT = 64
"""Requests under way at once over all hosts."""
SPREAD_FROM_ACCOUNTS = 50
"""Where more accounts than these share a host, a scheduled round is spread."""
SPREAD_MAX_S = 60.0
ROUND_BATCH_READINGS = 256
"""Readings that one commit holds at the most."""
ROUND_BATCH_WAIT_S = 0.005
"""How long a commit waits for more readings while many requests are under way."""
POLL_ROUND_DEADLINE_S = 600.0
"""A whole round of one schedule."""
MONEY_PASS_DEADLINE_S = 600.0
DELIVERY_PASS_DEADLINE_S = 600.0
REPORT_PASS_DEADLINE_S = 300.0

DRAIN_S = 8.0
"""After SIGTERM, how long work in flight may go on before it is cut."""
BEAT_S = 30.0
"""The longest sleep of the service: a stepped wall clock is noticed within it."""
LOOK_FOR_COMMANDS_S = 1.0
"""How often a running daemon looks whether a command beside it wrote something."""
ONCE_WAITS_FOR_MONEY_S = 30.0
"""How long `once` waits for a charge whose outcome is unknown, before it leaves it open."""

DNS_LOOKUPS = 32
"""Names being resolved at once, each in a thread."""
CONNECTIONS = 256
"""Connections of the one HTTP client, over all hosts."""
CONNECTION_IDLE_S = 15.0
"""How long an idle connection is kept for the next request."""
PREPARED_REQUESTS = 8192
"""Requests without a body that are built once and kept (one for each account)."""
PARSED_URLS = 1024
"""URLs of receivers and of Stripe that are kept parsed."""
PACE_WAIT_S = 65.0
"""The longest that a poll waits for its API key's rate limit to reset before it gives up; plans reset every minute."""
RETRY_AFTER_MAX_S = 3600.0
"""However far away a provider's Reset or Retry-After is, it is asked again after this."""
EXTRA_BYTES = 16 * 1024
"""As much of a provider's unknown fields is kept, as canonical JSON text."""

CHARTS_PER_REPORT = 24
"""Charts in one mail; further accounts are told in numbers."""
CHARTS_DEADLINE_S = 60.0
CHARTS_BYTES = 8 * 1024 * 1024
"""All charts of one mail, as base64 text."""
REPORTS_CAUGHT_UP = 40
"""Missed periods of one report that are sent after a downtime; older ones are left out, and logged."""
REPORT_RETRIES_S = (60, 300, 1800, 3600)
"""Waits after a report that could not be sent; the last one repeats."""
FOLD_ROWS = 5000
"""Rows of old history that one transaction deletes."""

CONFIG_BYTES = 1024 * 1024
"""A configuration file."""
SECRET_BYTES = 64 * 1024
"""A file that holds one secret."""
HEARTBEAT_EVERY_S = 60.0
"""Between two pings of the outside watcher."""
HEARTBEAT_DEADLINE_S = 5.0
TIDY_EVERY_S = 6 * 3600.0
"""How often readings older than `keep_readings` are looked for."""
POLL_OPEN_TOPUP_EVERY_S = 300.0
"""An account whose top-up waits for a reading is polled at least so often, whatever its schedule."""
WARNINGS_LOGGED = 20
"""As many warnings of a configuration are logged one by one."""

PAGE_CONNECTIONS = 64
"""Connections to the local page at once; further ones are told to come back (503)."""
PAGE_HEAD_BYTES = 16 * 1024
"""The head of a request to the page."""
PAGE_READS = 2
"""Pages being built at once, each in a thread with a connection of its own."""
PAGE_RETRIED_EVERY_S = 30.0
"""Where the page's port is taken."""
PAGE_CLOSES_WITHIN_S = 2
"""At the end, how long a page under way may take."""
PAGE_DAYS_MAX = 400
"""The longest history that the page draws."""
