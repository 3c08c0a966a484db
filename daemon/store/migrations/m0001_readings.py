"""Readings: the current run of every account, the runs and outages that ended, and summaries by hour and day.

Money in micro-dollars, volume in micro-gigabytes, instants in milliseconds since the epoch. NULL is "not said".
"""

_METRICS = """
    balance_microusd INTEGER,
    uncharged_microusd INTEGER,
    total_charged_microusd INTEGER,
    total_snapshots INTEGER,
    active_videos INTEGER,
    cost_per_snapshot_microusd INTEGER,
    estimated_snapshots_remaining INTEGER,
    client_name TEXT,
    usage_count INTEGER,
    used_microgb INTEGER,
    reserved_microgb INTEGER,
    effective_said_microgb INTEGER,
    limit_microgb INTEGER,
    limit_bytes INTEGER,
    remaining_microgb INTEGER,
    period_used_microgb INTEGER,
    billing_error TEXT,
    max_resolution TEXT,
    max_duration_s INTEGER,
    max_filesize_bytes INTEGER,
    max_filesize_microunits_mb INTEGER,
    period_start_ms INTEGER,
    period_end_ms INTEGER
"""

_SUMMARY = """
    samples INTEGER {null},
    seen_first_ms INTEGER {null},
    seen_last_ms INTEGER {null},
    balance_first INTEGER,
    balance_last INTEGER,
    uncharged_first INTEGER,
    uncharged_last INTEGER,
    charged_first INTEGER,
    charged_last INTEGER,
    available_min INTEGER,
    available_max INTEGER,
    spent INTEGER,
    credited INTEGER,
    used_first INTEGER,
    used_last INTEGER,
    used_grown INTEGER,
    effective_max INTEGER
"""

STATEMENTS: tuple[str, ...] = (
    # One row an account: the run that goes on, the outage that goes on, and the hour that goes on.
    f"""CREATE TABLE latest (
    account TEXT PRIMARY KEY,
    since_ms INTEGER,
    number INTEGER NOT NULL DEFAULT 0,
    first_ms INTEGER,
    last_ms INTEGER,
    count INTEGER CHECK (count > 0),
    {_METRICS.strip()},
    extra TEXT NOT NULL DEFAULT '{{}}',
    outage_first_ms INTEGER,
    outage_last_ms INTEGER,
    outage_count INTEGER,
    outage_reason TEXT,
    outage_status INTEGER,
    outage_detail TEXT,
    hour_ms INTEGER,
    {_SUMMARY.format(null="").strip()}
    ) STRICT, WITHOUT ROWID""",
    # Runs that ended. `number` grows by one an account, so that two runs of one instant are two rows.
    f"""CREATE TABLE runs (
    account TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    {_METRICS.strip()},
    PRIMARY KEY (account, first_ms, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE outages (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    reason TEXT NOT NULL,
    status INTEGER,
    detail TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX outages_by_account ON outages (account, first_ms)",
    # Unknown fields, a row whenever they change.
    """CREATE TABLE extras (
    account TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    extra TEXT NOT NULL,
    PRIMARY KEY (account, at_ms)
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE summaries (
    account TEXT NOT NULL,
    span TEXT NOT NULL CHECK (span IN ('hour', 'day')),
    start_ms INTEGER NOT NULL,
    {_SUMMARY.format(null="NOT NULL").strip()},
    PRIMARY KEY (account, span, start_ms)
    ) STRICT, WITHOUT ROWID""",
)
