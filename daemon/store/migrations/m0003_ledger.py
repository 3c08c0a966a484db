"""The ledger of top-ups: what was planned, sent, answered, read back and credited. SQLite enforces what it can.

Money in integer micro-dollars, Stripe's amounts in integer cents, instants in milliseconds since the epoch. The states
and the steps between them stand here a second time, frozen as they were released; a test holds them equal to
`daemon.topups.states`.
"""

_STATES = (
    "'planned','creating','created','confirming','processing','retry_wait','action_required','needs_review',"
    "'paid','credited','abandoned','declined'"
)
_OPEN = "'planned','creating','created','confirming','processing','retry_wait','action_required','needs_review','paid'"
_WITHOUT_INTENT = "'planned','creating','needs_review','abandoned','declined'"

STEPS = {
    "planned": "creating abandoned",
    "creating": "created paid processing retry_wait action_required needs_review abandoned declined",
    "created": "confirming paid processing retry_wait action_required needs_review abandoned declined",
    "confirming": "paid processing retry_wait action_required needs_review abandoned declined",
    "processing": "paid retry_wait action_required needs_review abandoned declined",
    "retry_wait": "confirming paid processing action_required needs_review abandoned declined",
    "action_required": "paid processing needs_review abandoned declined",
    "needs_review": "paid processing abandoned declined",
    "paid": "credited",
    "abandoned": "created paid processing retry_wait action_required needs_review",
    "declined": "created paid processing retry_wait action_required needs_review",
}
"""From each state, the states that may follow, as the trigger below demands them."""

STATEMENTS: tuple[str, ...] = (
    f"""
    CREATE TABLE topups (
        id TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        customer TEXT NOT NULL,
        seq INTEGER NOT NULL CHECK (seq >= 1),
        own INTEGER NOT NULL CHECK (own IN (0, 1)),
        state TEXT NOT NULL CHECK (state IN ({_STATES})),
        reason TEXT NOT NULL DEFAULT '',
        amount_cents INTEGER NOT NULL CHECK (amount_cents >= 1),
        payment_method TEXT,
        fingerprint TEXT,
        probe INTEGER NOT NULL DEFAULT 0 CHECK (probe IN (0, 1)),
        create_key TEXT NOT NULL,
        create_params TEXT NOT NULL,
        payment_intent TEXT UNIQUE,
        available_microusd INTEGER,
        threshold_microusd INTEGER,
        funded_before_microusd INTEGER,
        balance_before_microusd INTEGER,
        low_balance_microusd INTEGER,
        reading_at INTEGER,
        gates TEXT NOT NULL DEFAULT '[]',
        seen TEXT NOT NULL DEFAULT '{{}}',
        planned_at INTEGER NOT NULL,
        state_at INTEGER NOT NULL,
        next_at INTEGER,
        reads INTEGER NOT NULL DEFAULT 0 CHECK (reads >= 0),
        declines INTEGER NOT NULL DEFAULT 0 CHECK (declines >= 0),
        declined_charge TEXT,
        untold INTEGER NOT NULL DEFAULT 0 CHECK (untold IN (0, 1)),
        cancel_as TEXT CHECK (cancel_as IN ('abandoned', 'declined')),
        watch_until INTEGER,
        stripe_created_at INTEGER,
        charged_at INTEGER,
        paid_at INTEGER,
        credited_at INTEGER,
        credited_microusd INTEGER,
        warned_at INTEGER,
        told_at INTEGER,
        CHECK (state IN ({_WITHOUT_INTENT}) OR payment_intent IS NOT NULL),
        CHECK (state NOT IN ('paid', 'credited') OR paid_at IS NOT NULL),
        CHECK (state <> 'credited' OR credited_at IS NOT NULL)
    ) STRICT
    """,
    f"CREATE UNIQUE INDEX topups_one_open_plan ON topups (account) WHERE own = 1 AND state IN ({_OPEN})",
    "CREATE INDEX topups_by_account ON topups (account, seq)",
    f"CREATE INDEX topups_open ON topups (next_at) WHERE state IN ({_OPEN}) OR watch_until IS NOT NULL",
    "CREATE TABLE topup_steps (before TEXT NOT NULL, after TEXT NOT NULL, PRIMARY KEY (before, after)) STRICT",
    *(
        f"INSERT INTO topup_steps (before, after) VALUES ('{before}', '{after}')"
        for before, following in STEPS.items()
        for after in following.split()
    ),
    """
    CREATE TRIGGER topups_step BEFORE UPDATE OF state ON topups
    WHEN NEW.state <> OLD.state
     AND NOT EXISTS (SELECT 1 FROM topup_steps WHERE before = OLD.state AND after = NEW.state)
    BEGIN
        SELECT RAISE(ABORT, 'a top-up cannot take this step');
    END
    """,
    "CREATE TRIGGER topups_stay BEFORE DELETE ON topups BEGIN SELECT RAISE(ABORT, 'the ledger forgets nothing'); END",
    """
    CREATE TABLE topup_sends (
        id INTEGER PRIMARY KEY,
        topup TEXT NOT NULL REFERENCES topups (id),
        kind TEXT NOT NULL CHECK (kind IN ('create', 'confirm', 'cancel')),
        n INTEGER NOT NULL CHECK (n >= 1),
        send INTEGER NOT NULL CHECK (send >= 1),
        key TEXT NOT NULL,
        params TEXT NOT NULL,
        fingerprint TEXT,
        gates TEXT NOT NULL DEFAULT '[]',
        sent_at INTEGER NOT NULL,
        answered_at INTEGER,
        answer TEXT,
        http_status INTEGER,
        request_id TEXT,
        message TEXT NOT NULL DEFAULT '',
        UNIQUE (topup, kind, n, send)
    ) STRICT
    """,
    "CREATE INDEX topup_sends_by_card ON topup_sends (fingerprint, sent_at) WHERE kind = 'confirm'",
    """
    CREATE TABLE topup_steps_taken (
        id INTEGER PRIMARY KEY,
        topup TEXT NOT NULL REFERENCES topups (id),
        at INTEGER NOT NULL,
        before TEXT,
        after TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX topup_steps_taken_by_topup ON topup_steps_taken (topup, id)",
    """
    CREATE TABLE topup_readbacks (
        id INTEGER PRIMARY KEY,
        topup TEXT NOT NULL REFERENCES topups (id),
        status TEXT NOT NULL,
        request_id TEXT,
        detail TEXT NOT NULL DEFAULT '',
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        count INTEGER NOT NULL DEFAULT 1
    ) STRICT
    """,
    "CREATE INDEX topup_readbacks_by_topup ON topup_readbacks (topup, id)",
    """
    CREATE TABLE topup_decisions (
        account TEXT NOT NULL,
        gate TEXT NOT NULL,
        count INTEGER NOT NULL CHECK (count >= 1),
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        detail TEXT NOT NULL,
        gates TEXT NOT NULL,
        PRIMARY KEY (account, gate)
    ) STRICT
    """,
    """
    CREATE TABLE topup_stops (
        scope TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('pause', 'suspension', 'breaker')),
        reason TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        topup TEXT,
        fingerprint TEXT,
        since_at INTEGER NOT NULL,
        probe_at INTEGER,
        PRIMARY KEY (scope, kind)
    ) STRICT
    """,
    """
    CREATE TABLE topup_cards (
        account TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        reason TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (account, fingerprint)
    ) STRICT
    """,
    """
    CREATE TABLE topup_told (
        account TEXT NOT NULL,
        what TEXT NOT NULL,
        window TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (account, what, window)
    ) STRICT
    """,
    """
    CREATE TABLE topup_shadows (
        id INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        count INTEGER NOT NULL DEFAULT 1,
        amount_cents INTEGER NOT NULL,
        gates TEXT NOT NULL,
        ended_at INTEGER
    ) STRICT
    """,
    "CREATE UNIQUE INDEX topup_shadows_one_open ON topup_shadows (account) WHERE ended_at IS NULL",
    """
    CREATE TABLE stripe_intents (
        payment_intent TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        customer TEXT NOT NULL,
        seq INTEGER,
        status TEXT NOT NULL,
        amount_cents INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX stripe_intents_by_account ON stripe_intents (account)",
    """
    CREATE TABLE stripe_looks (
        customer TEXT PRIMARY KEY,
        read_to_end_at INTEGER,
        looked_at INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE topup_customers (
        account TEXT NOT NULL,
        customer TEXT NOT NULL,
        first_at INTEGER NOT NULL,
        PRIMARY KEY (account, customer)
    ) STRICT
    """,
    "CREATE TABLE topup_marks (name TEXT PRIMARY KEY, at INTEGER NOT NULL, text TEXT NOT NULL DEFAULT '') STRICT",
)

POSTGRESQL = {
    "CREATE TRIGGER topups_step ": """
    CREATE FUNCTION topups_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.state <> OLD.state
           AND NOT EXISTS (SELECT 1 FROM topup_steps WHERE before = OLD.state AND after = NEW.state) THEN
            RAISE integrity_constraint_violation USING MESSAGE = 'a top-up cannot take this step';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER topups_step BEFORE UPDATE OF state ON topups FOR EACH ROW EXECUTE FUNCTION topups_step();
    """,
    "CREATE TRIGGER topups_stay ": """
    CREATE FUNCTION topups_stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE integrity_constraint_violation USING MESSAGE = 'the ledger forgets nothing';
    END $$;
    CREATE TRIGGER topups_stay BEFORE DELETE OR TRUNCATE ON topups EXECUTE FUNCTION topups_stay();
    """,
}
