"""Every wait, retry, queue, body and page of the process has a maximum: here; in `alerts.model.limits` for delivery."""

STORE_BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process's transaction."""

CHECKED_WHOLE_BYTES = 64 * 1024 * 1024
"""A database up to this size is checked whole at the start, in a tenth of a second."""

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
SPREAD_TICK_S = 0.05
"""How finely the start of a spread sweep is cut."""
BATCH_READINGS = 96
"""Readings that one commit holds at the most."""
BATCH_WAIT_S = 0.1
"""How long a commit of `run` waits for more readings while requests are under way."""
BATCH_WAIT_OF_A_PASS_S = 0.005
"""The same where a pass is seen through: somebody waits for it."""
POLL_STUCK_AFTER_S = 120.0
"""An account that waits longer for its answer is told by the health page: two requests and a key's pause fit in."""
SCHEDULE_LATE_AFTER_S = 60.0
"""A schedule that should have started so long ago is late."""
TIME_BATCH_ACCOUNTS = 50
"""Accounts that are judged at once by time alone."""
TIME_PASS_DEADLINE_S = 60.0
"""What time alone changes, and old history, a batch each."""
MONEY_PASS_DEADLINE_S = 600.0
DELIVERY_PASS_DEADLINE_S = 600.0
REPORT_PASS_DEADLINE_S = 300.0

TOPUPS_AT_ONCE = 8
"""Accounts that are charged, or taken up at the start, at once."""
DRAIN_S = 8.0
"""After SIGTERM, how long work in flight may go on before it is cut."""
BEAT_S = 30.0
"""The longest sleep of the service: a stepped wall clock is noticed within it."""
SWITCH_THREADS_S = 0.0005
"""How long a thread beside the loop (a page, a reload) may keep it from going on."""
LOOK_FOR_COMMANDS_S = 1.0
"""How often a running daemon looks whether a command beside it wrote something."""
RECOVERY_HEAD_START_S = 0.3
"""How long the first polls of `run` wait for the open top-ups to be taken up."""
ONCE_WAITS_FOR_MONEY_S = 30.0
"""How long `once` waits for a charge whose outcome is unknown, before it leaves it open."""

DNS_LOOKUPS = 32
"""Names being resolved at once, each in a thread."""
CONNECTIONS = 256
"""Connections of the one HTTP client, over all hosts."""
CONNECTION_IDLE_S = 15.0
"""How long an idle connection is kept for the next request."""
RATE_LIMIT_WAIT_S = 65.0
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
REPORT_WAITING_TRIES = 72
"""So often, some three days long, is an address tried that puts a report off while others have it."""
FOLD_ROWS = 500
"""Rows of one account's old history that one transaction deletes."""
FOLD_FOR_S = 0.02
"""How long one transaction goes on deleting old history: so long nobody else can write."""
FOLD_PAUSE_S = 0.2
"""Between two such transactions."""

CONFIG_BYTES = 64 * 1024 * 1024
"""One configuration file."""
BURN_LINTED_ACCOUNTS = 200
"""Up to so many accounts the start holds thresholds against what they burn; beyond, only `check` does."""
INCLUDED_FILES = 20_000
"""Files that a configuration includes."""
SECRET_BYTES = 64 * 1024
"""A file that holds one secret."""
HEARTBEAT_EVERY_S = 60.0
"""Between two pings of the outside watcher."""
HEARTBEAT_DEADLINE_S = 5.0
FOLD_EVERY_S = 6 * 3600.0
"""How often readings older than `keep_readings` are looked for."""
POLL_OPEN_TOPUP_EVERY_S = 300.0
"""An account whose top-up waits for a reading is polled at least so often, whatever its schedule."""
WARNINGS_LOGGED = 20
"""As many warnings of a configuration are logged one by one."""

PAGE_CONNECTIONS = 64
"""Connections to the local page at once; for a further one the longest idle one is closed."""
PAGE_REQUESTS = 32
"""Requests being answered at once, `/healthz` apart; further ones are told to come back (503)."""
PAGE_HEAD_S = 10.0
"""How long a connection may take to send the head of its next request."""
PAGE_ANSWER_S = 60.0
"""From a request's head to the last byte of its answer that its reader has taken."""
PAGE_HEAD_BYTES = 16 * 1024
"""The head of a request to the page."""
PAGE_ACCOUNTS = 50
"""Accounts on one page."""
PAGE_QUERY_CHARACTERS = 100
"""A text that accounts are filtered by."""
PAGE_READS = 2
"""Pages being built at once, each in a thread with a connection of its own."""
PAGE_RETRIED_EVERY_S = 30.0
"""Where the page's port is taken."""
PAGE_CLOSES_WITHIN_S = 2
"""At the end, how long a page under way may take."""
PAGE_DAYS_MAX = 400
"""The longest history that the page draws."""
