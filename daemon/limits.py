"""Limits of the process: every wait, retry, queue, body and page has a maximum. `alerts.model.limits`: of delivery."""

STORE_BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process's transaction."""

CHECKED_WHOLE_BYTES = 64 * 1024 * 1024
"""A database up to this size is checked completely at the start, in a tenth of a second."""

POLL_DEADLINE_S = 20.0
"""From connecting to the last byte of a usage API's answer."""
POLL_BODY_BYTES = 256 * 1024
POLLS_PER_HOST = 8
"""Requests in flight to one host and port."""
POLLS_IN_FLIGHT = 64
"""Requests in flight to all hosts."""
SPREAD_FROM_ACCOUNTS = 50
"""If more accounts than this share a host, the polls of a schedule are spread."""
SPREAD_MAX_S = 60.0
SPREAD_TICK_S = 0.05
"""Time step of a spread start."""
BATCH_READINGS = 96
"""Most readings in one commit."""
BATCH_WAIT_S = 0.1
"""How long a commit of `run` waits for more readings while requests are in flight."""
BATCH_WAIT_OF_A_FLEET_S = 0.5
"""The same for a daemon of a fleet: it has a part of the readings, and a transaction on a server is dearer."""
BATCH_WAIT_OF_A_PASS_S = 0.005
"""The same for `once`, where somebody waits for the pass."""
POLL_STUCK_AFTER_S = 120.0
"""The health page reports an account that waits longer for its answer; two requests and a rate limit fit in."""
FIRST_READING_WITHIN_S = 30.0
"""Some usage API answers within so long after the start, or the polls are not fresh: one deadline, and some more."""
SCHEDULE_LATE_AFTER_S = 60.0
"""A schedule that has not started so long after its time is late."""
AUTO_TICK_S = 0.25
"""What is due within so long is polled together, of the accounts that have due times of their own."""
AUTO_LOOKS = 200
"""Of so many of them a step works out anew when they are due."""
TIME_BATCH_ACCOUNTS = 50
"""Accounts evaluated by time alone in one batch."""
TIME_PASS_DEADLINE_S = 60.0
"""Deadline of one pass of the time and retention jobs."""
JOB_STUCK_AFTER_S = 45.0
"""A pass of which nothing has come on for so long hangs: an answer, one account, one report."""
SLOW_JOB_STUCK_AFTER_S = 120.0
"""The same for top-ups, where a reading may wait for its API key's next minute, and for a report with its charts."""
MONEY_PASS_DEADLINE_S = 600.0
DELIVERY_PASS_DEADLINE_S = 600.0
REPORT_PASS_DEADLINE_S = 300.0

TOPUPS_AT_ONCE = 8
"""Accounts that are charged, or resumed at the start, concurrently."""
START_AGAIN_S = 5.0
START_AGAIN_MAX_S = 300.0
"""Under a service manager, a start that failed is tried again after so long, doubling from the first to this."""
START_TAKES_S = 90.0
"""How long one try may take: the service manager is asked for so long."""
DRAIN_S = 8.0
"""After SIGTERM, how long work in flight may go on before it is cancelled."""
BEAT_S = 30.0
"""The longest sleep of the service: a changed system clock is noticed within it."""
SWITCH_THREADS_S = 0.0005
"""How long another thread (a page, a reload) may block the event loop."""
HEALTH_EVERY_S = 5.0
"""How often the running daemon judges whether every job is fresh."""
LOOK_FOR_COMMANDS_S = 1.0
"""How often a running daemon checks whether another process wrote to the database."""
RECOVERY_HEAD_START_S = 0.3
"""How long the first polls of `run` wait until the open top-ups are resumed."""
ONCE_WAITS_FOR_MONEY_S = 30.0
"""How long `once` waits for a charge with an unknown outcome, before it leaves it open."""

DNS_LOOKUPS = 32
"""Concurrent DNS lookups, each in a thread."""
CONNECTIONS = 256
"""Connections of the one HTTP client, over all hosts."""
CONNECTION_IDLE_S = 15.0
"""How long an idle connection is kept for the next request."""
RATE_LIMIT_WAIT_S = 65.0
"""Longest wait of a poll for its API key's rate limit to reset; the limits reset every minute."""
RETRY_AFTER_MAX_S = 3600.0
"""Longest Reset or Retry-After of a provider that is honoured."""
EXTRA_BYTES = 16 * 1024
"""Most bytes stored of a provider's unknown fields, as canonical JSON text."""

CHARTS_PER_REPORT = 6
"""Charts in one mail; further accounts get numbers only."""
CHARTS_DEADLINE_S = 60.0
CHARTS_BYTES = 8 * 1024 * 1024
"""All charts of one mail, as base64 text."""
REPORTS_CAUGHT_UP = 40
"""Missed periods of one report that are sent after a downtime; older ones are skipped, and logged."""
REPORT_RETRIES_S = (60, 300, 1800, 3600)
"""Waits after a report that could not be sent; the last one repeats."""
REPORT_WAITING_TRIES = 72
"""How often an address that defers a report is tried again, over some three days; the others have it."""
FOLD_ROWS = 500
"""Rows of one account's old history that one transaction deletes."""
FOLD_FOR_S = 0.02
"""How long one transaction deletes old history and so blocks other writers."""
FOLD_PAUSE_S = 0.2
"""Time between two such transactions."""

CONFIG_BYTES = 64 * 1024 * 1024
"""Largest configuration file."""
BURN_LINTED_ACCOUNTS = 200
"""Up to so many accounts the start compares thresholds with the observed burn; beyond, only `check` does."""
INCLUDED_FILES = 20_000
"""Most files that a configuration includes."""
SECRET_BYTES = 64 * 1024
"""Largest file with a secret."""
HEARTBEAT_EVERY_S = 60.0
"""Time between two heartbeats."""
HEARTBEAT_DEADLINE_S = 5.0
FOLD_EVERY_S = 6 * 3600.0
"""How often readings older than `keep_readings` are searched for."""
POLL_OPEN_TOPUP_EVERY_S = 300.0
"""An account that awaits a credit is polled at least this often, whatever its schedule."""
WARNINGS_LOGGED = 20
"""Most warnings of a configuration that are logged one by one."""

PAGE_CONNECTIONS = 64
"""Connections to the local page at once; for a further one the longest idle one is closed."""
PAGE_REQUESTS = 32
"""Requests being answered at once, `/healthz` apart; further ones get 503."""
PAGE_HEAD_S = 10.0
"""How long a connection may take to send the head of its next request."""
PAGE_ANSWER_S = 60.0
"""From a request's head to the last byte of its answer that its reader has taken."""
PAGE_HEAD_BYTES = 16 * 1024
"""Largest request line and headers of a request to the page."""
PAGE_ACCOUNTS = 50
"""Accounts on one page."""
PAGE_QUERY_CHARACTERS = 100
"""Longest text to filter accounts by."""
PAGE_READS = 2
"""Pages rendered concurrently, each in a thread with its own database connection."""
SCRAPE_FORECASTS_S = 0.2
"""CPU that one scrape spends on working out what days cost; the next one goes on with the rest."""
PAGE_RETRIED_EVERY_S = 30.0
"""How often a port of the page that is in use is tried again."""
PAGE_CLOSES_WITHIN_S = 2
"""On stop, how long an open request to the page may take."""
PAGE_DAYS_MAX = 400
"""Longest history in a chart of the page, in days."""

API_REQUESTS = 32
"""Requests to the API being answered at once; further ones get 503."""
API_READS = 2
"""Reads of the API at once, each in a thread with its own database connection."""
API_BODY_BYTES = 4 * 1024 * 1024
"""Largest body of a request: a batch of 500 accounts fits."""
API_BODY_S = 20.0
"""How long a body may take to arrive."""
API_BODY_DEPTH = 16
"""How deeply a body may be nested."""
API_DECODED_IN_LOOP_BYTES = 32 * 1024
"""A larger body is decoded in a thread."""
API_BATCH = 500
"""Accounts in one batch."""
API_PAGE = 100
API_PAGE_MAX = 500
"""Entries on a page of the API, where nobody says how many, and at most."""
API_PER_S = 100
API_BURST = 1000
"""Requests of one token a second, and at once after a rest."""
API_TOKENS_COUNTED = 10_000
"""Tokens whose requests are counted; beyond, all begin anew."""
