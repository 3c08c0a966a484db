"""Each thing that can be wrong is found, alone, at its key; and there is no id that nothing finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.config.load import Inspection
from daemon.config.problems import Level, ProblemId
from tests.helpers_config import (
    ACCOUNT,
    ENVIRON,
    GOOD,
    LOW,
    PAID,
    SECRET,
    SMTP,
    STRIPE,
    TOPUP,
    TORNADO,
    WEBHOOK,
    changed,
    look,
)

JSON = """
[accounts.other]
provider = "json"
url = "https://api.example.com/usage"
headers = { Authorization = "env:CS_KEY" }
fields = { balance_usd = "a.b", total_charged_usd = "c" }
"""
EUR = 'unit = "EUR"\n'
OTHER_TOPUP = TOPUP.replace("clips", "other")
EMAIL = SMTP + '[[emails]]\nid = "ops"\nto = ["ops@example.com"]\n'
REPORT = '[[reports]]\nid = "finance"\nperiod = "month"\ncron = "0 8 1 * *"\nto = ["ops@example.com"]\n'
API = "[api]\nenabled = true\n"
QUOTA = '[[rules]]\nid = "quota"\nkind = "quota"\n'
BUDGET = '[[rules]]\nid = "budget"\nkind = "budget"\nperiod = "month"\nlimit_usd = 100\n'

CASES: list[tuple[str, str, str | bytes]] = [
    ("file-too-large", "config.toml", "#" * (64 * 1024 * 1024 + 1)),
    ("toml-syntax", "line 1, column 5", "a = \n"),
    ("toml-syntax", "line 2", b"\nx = '\xff'"),
    ("key-unknown", "tz", "tz = 1\n" + GOOD),
    ("key-missing", "accounts.clips.api_key", changed(GOOD, 'api_key = "env:CS_KEY"', "")),
    ("key-missing", "rules[0].below_usd", changed(GOOD, "below_usd = 5", "")),
    ("key-missing", "accounts.clips.topup.max_per_day_usd", changed(PAID, "max_per_day_usd = 100", "")),
    ("key-missing", "webhooks[0].secret", changed(GOOD, 'secret = "env:WEBHOOK_SECRET"', "")),
    ("key-missing", "accounts.other.fields", changed(JSON, "balance_usd", "limit_gb") + WEBHOOK),
    ("value-type", "rules[0].below_usd", changed(GOOD, "below_usd = 5", 'below_usd = "5"')),
    ("value-type", "rules", ACCOUNT + WEBHOOK + "[rules]\nx = 1"),
    ("value-type", "accounts.clips", "accounts.clips = 5\n" + WEBHOOK + TORNADO),
    ("value-invalid", "rules[0].severity", GOOD.replace("below_usd", 'severity = "bad"\nbelow_usd')),
    ("value-range", "rules[0].below_usd", changed(GOOD, "below_usd = 5", "below_usd = 0")),
    ("value-range", "rules[0].below_usd", changed(GOOD, "below_usd = 5", "below_usd = inf")),
    ("value-range", "rules[0].accounts", GOOD.replace("below_usd", "accounts = []\nbelow_usd")),
    ("duration-invalid", "store.keep_readings", GOOD + '[store]\nkeep_readings = "1 day"'),
    ("cron-invalid", "accounts.clips.poll", ACCOUNT + 'poll = "* * * * * *"' + LOW + WEBHOOK),
    ("cron-invalid", "accounts.clips.poll", ACCOUNT + 'poll = "0 0 30 2 *"' + LOW + WEBHOOK),
    ("timezone-unknown", "timezone", 'timezone = "Europe/Berln"\n' + GOOD),
    ("money-invalid", "rules[0].below_usd", changed(GOOD, "below_usd = 5", "below_usd = 5.0000001")),
    ("money-cents", "accounts.clips.topup.amount_usd", changed(PAID, "amount_usd = 50", "amount_usd = 50.001")),
    ("mail-address", "emails[0].to[0]", changed(GOOD + EMAIL, "ops@example.com", "ops")),
    ("mail-address", "emails[0].to[0]", changed(GOOD + EMAIL, "ops@example.com", "a@b.example, c@d.example")),
    ("mail-address", "emails[0].to[0]", changed(GOOD + EMAIL, "ops@example.com", "ops@bücher.example")),
    ("value-invalid", "emails[0].to[0]", changed(GOOD + EMAIL, "ops@example.com", r"x\nBcc: y <ops@example.com>")),
    ("mail-address", "smtp.sender", changed(GOOD + EMAIL, "Brimful <brimful@", "Brimful, Inc. <brimful at ")),
    ("mail-address", "smtp.sender", changed(GOOD + EMAIL, "<brimful@", "<brimfül@")),
    (
        "mail-address",
        "accounts.clips.topup.receipt_email",
        PAID.replace("customer", 'receipt_email = "ü@x.de"\ncustomer'),
    ),
    ("mail-address-letters", "emails[0].to[0]", changed(GOOD + EMAIL, "ops@example.com", "jürgen@example.com")),
    ("mail-address-letters", "reports[0].to[0]", GOOD + SMTP + REPORT.replace("ops@", "jürgen@")),
    ("url-invalid", "webhooks[0].url", changed(GOOD, "https://example.com/hook", "example.com")),
    ("url-invalid", "webhooks[0].url", changed(GOOD, "https://", "https://a:b@")),
    ("url-invalid", "accounts.clips.base_url", ACCOUNT + 'base_url = "https://x.io/api/v1/usage"' + LOW + WEBHOOK),
    ("url-plain-http", "accounts.clips.base_url", ACCOUNT + 'base_url = "http://example.com"' + LOW + WEBHOOK),
    ("url-plain-http", "webhooks[0].url", changed(GOOD, "https:", "http:")),
    ("url-plain-http", "webhooks[0].url", changed(GOOD, "https://example.com", "http://127.0.0.1")),
    ("url-forbidden-address", "webhooks[0].url", changed(GOOD, "example.com", "169.254.169.254")),
    ("url-forbidden-address", "webhooks[0].url", changed(GOOD, "example.com", "[::ffff:169.254.1.1]")),
    ("id-invalid", "accounts.Clips", changed(GOOD, "accounts.clips", "accounts.Clips")),
    ("id-invalid", "rules[0].id", changed(GOOD, '"low"', '"webhook:app"')),
    ("id-duplicate", "rules[1].id", GOOD + LOW),
    ("secret-unset", "accounts.clips.api_key", changed(GOOD, "env:CS_KEY", "env:NOPE")),
    ("secret-unset", "accounts.clips.api_key", changed(GOOD, "env:CS_KEY", "credential:nope")),
    ("secret-unreadable", "accounts.clips.api_key", changed(GOOD, "env:CS_KEY", "file:nope")),
    ("secret-invalid", "accounts.clips.api_key", changed(GOOD, "env:CS_KEY", "$CS_KEY")),
    ("secret-invalid", "accounts.clips.api_key", changed(GOOD, "env:CS_KEY", "env:$CS_KEY")),
    ("secret-invalid", "accounts.clips.api_key", changed(GOOD, "env:CS_KEY", "file:umlaut")),
    ("value-range", "store.keep_readings", GOOD + '[store]\nkeep_readings = "23h"'),
    ("secret-literal", "accounts.clips.api_key", changed(GOOD, "env:CS_KEY", "cs_test_literal")),
    ("secret-literal", "accounts.other.headers.Authorization", changed(JSON, "env:CS_KEY", "Bearer x") + LOW + WEBHOOK),
    ("secret-open-file", "accounts.clips.api_key", changed(GOOD, "env:CS_KEY", "file:open")),
    ("accounts-none", "accounts", WEBHOOK),
    ("account-unknown", "rules[0].accounts", GOOD.replace("below_usd", 'accounts = ["clps"]\nbelow_usd')),
    ("account-unknown", "webhooks[0].accounts", GOOD + 'accounts = ["prod-*"]'),
    ("account-keys", "accounts.clips.poll_slowest", ACCOUNT + 'poll_slowest = "2h"' + LOW + WEBHOOK),
    ("value-range", "accounts.clips.poll_fastest", ACCOUNT + 'poll = "auto"\npoll_fastest = "9s"' + LOW + WEBHOOK),
    ("value-range", "accounts.clips.poll_slowest", ACCOUNT + 'poll = "auto"\npoll_slowest = "2d"' + LOW + WEBHOOK),
    (
        "value-range",
        "accounts.clips.poll_fastest",
        ACCOUNT + 'poll = "auto"\npoll_fastest = "2m"\npoll_slowest = "1m"' + LOW + WEBHOOK,
    ),
    ("cron-invalid", "accounts.clips.poll", ACCOUNT + 'poll = "automatic"' + LOW + WEBHOOK),
    ("account-keys", "accounts.clips.url", ACCOUNT + 'url = "https://x.io"' + LOW + WEBHOOK),
    (
        "account-keys",
        "accounts.other.base_url",
        JSON + 'base_url = "https://x.io"' + LOW + WEBHOOK,
    ),
    ("account-unit", "accounts.other.fields.balance_usd", JSON.replace(', total_charged_usd = "c"', "") + EUR),
    ("account-twice", "accounts.twin", GOOD + ACCOUNT.replace("clips", "twin")),
    ("field-unknown", "accounts.other.fields.limit_bg", JSON.replace('c"', 'c", limit_bg = "d"') + LOW + WEBHOOK),
    ("field-expression", "accounts.other.fields.balance_usd", changed(JSON, '"a.b"', '"a.["') + LOW + WEBHOOK),
    ("poll-rare", "accounts.clips.poll", changed(PAID, 'CS_KEY"', 'CS_KEY"\npoll = "0 9 * * 1-5"')),
    ("topup-size", "accounts.clips.topup", changed(PAID, "amount_usd = 50", "amount_usd = 50\ncover_days = 7")),
    ("topup-size", "accounts.clips.topup", changed(PAID, "amount_usd = 50", "")),
    ("topup-restore-below-threshold", "accounts.clips.topup.to_usd", changed(PAID, "amount_usd = 50", "to_usd = 10")),
    ("topup-below-minimum", "accounts.clips.topup.amount_usd", changed(PAID, "amount_usd = 50", "amount_usd = 9.99")),
    (
        "topup-below-minimum",
        "accounts.clips.topup.amount_usd",
        PAID.replace("customer", "min_charge_usd = 60\ncustomer"),
    ),
    (
        "topup-over-max-charge",
        "accounts.clips.topup.max_charge_usd",
        changed(PAID, "_charge_usd = 200", "_charge_usd = 49"),
    ),
    (
        "topup-over-stripe-maximum",
        "accounts.clips.topup.amount_usd",
        PAID.replace("amount_usd = 50", "amount_usd = 1000000.00")
        .replace("\nbelow_usd = 5", "\nbelow_usd = 99999")
        .replace("when_below_usd = 10", "when_below_usd = 999999")
        .replace("usd = 200", "usd = 2000000")
        .replace("day_usd = 100", "day_usd = 2000000")
        .replace("month_usd = 500", "month_usd = 2000000"),
    ),
    (
        "topup-restore-out-of-reach",
        "accounts.clips.topup.to_usd",
        changed(PAID, "amount_usd = 50", "to_usd = 210.01"),
    ),
    (
        "topup-cap-below-charge",
        "accounts.clips.topup.max_per_day_usd",
        changed(PAID, "day_usd = 100", "day_usd = 49.99"),
    ),
    ("topup-caps-order", "accounts.clips.topup.max_per_month_usd", changed(PAID, "month_usd = 500", "month_usd = 99")),
    (
        "topup-cooldown-over-runway",
        "accounts.clips.topup.cooldown",
        changed(PAID, "customer", 'cooldown = "3h"\ncustomer'),
    ),
    (
        "topup-threshold-below-poll",
        "accounts.clips.topup.when_below_usd",
        changed(PAID, 'CS_KEY"', 'CS_KEY"\npoll = "0 */6 * * *"'),
    ),
    (
        "topup-lands-below-threshold",
        "accounts.clips.topup.amount_usd",
        changed(PAID, "when_below_usd = 10", "when_below_usd = 60"),
    ),
    ("topup-no-balance", "accounts.downloads.topup", TORNADO + TOPUP.replace("clips", "downloads") + STRIPE + WEBHOOK),
    (
        "topup-weak-credit",
        "accounts.other.topup",
        JSON.replace(', total_charged_usd = "c"', "") + TOPUP.replace("clips", "other") + STRIPE + LOW + WEBHOOK,
    ),
    ("topup-unit", "accounts.other.topup", JSON.replace("_usd", "") + EUR + OTHER_TOPUP + STRIPE),
    ("topup-unsafe", "accounts.other.topup", JSON + "topup_safe = false" + OTHER_TOPUP + STRIPE + LOW + WEBHOOK),
    ("topup-no-stripe", "accounts.clips.topup", changed(PAID, STRIPE, "")),
    ("topup-shared-key", "accounts.twin.topup", PAID + (ACCOUNT + TOPUP).replace("clips", "twin")),
    ("topup-object-id", "accounts.clips.topup.customer", changed(PAID, "cus_123", "jane")),
    (
        "topup-descriptor",
        "accounts.clips.topup.statement_descriptor_suffix",
        PAID.replace("customer", 'statement_descriptor_suffix = "12*"\ncustomer'),
    ),
    (
        "topup-descriptor",
        "accounts.clips.topup.statement_descriptor_suffix",
        PAID.replace("customer", f'statement_descriptor_suffix = "{"A" * 19}"\ncustomer'),
    ),
    (
        "topup-descriptor-room",
        "accounts.clips.topup.statement_descriptor_suffix",
        PAID.replace("customer", f'statement_descriptor_suffix = "{"A" * 18}"\ncustomer'),
    ),
    ("topup-unalerted", "accounts.clips.topup", changed(PAID, LOW, "")),
    ("stripe-key", "stripe.api_key", changed(PAID, "env:STRIPE_KEY", "env:CS_KEY")),
    ("stripe-mode", "stripe.mode", changed(PAID, '"test"', '"live"')),
    (
        "stripe-base",
        "stripe.api_base",
        PAID.replace("STRIPE_KEY", "LIVE_KEY").replace(
            'mode = "test"', 'mode = "live"\napi_base = "http://127.0.0.1:9"'
        ),
    ),
    ("rule-kind", "rules[0].kind", changed(GOOD, "low_balance", "low_balanse")),
    ("rule-reads-nothing", "rules[0].accounts", TORNADO + LOW + WEBHOOK),
    ("rule-reads-nothing", "rules[0].accounts", ACCOUNT + QUOTA + WEBHOOK),
    (
        "rule-reads-nothing",
        "rules[0].accounts",
        GOOD.replace("below_usd", 'accounts = ["*", "downloads"]\nbelow_usd') + TORNADO,
    ),
    (
        "rule-clear-side",
        "rules[0].clear_above_usd",
        changed(GOOD, "below_usd = 5", "below_usd = 5\nclear_above_usd = 4"),
    ),
    ("rule-clear-side", "rules[0].clear_below_percent", TORNADO + QUOTA + "clear_below_percent = 81" + WEBHOOK),
    ("rule-steps", "rules[0].at_percent", TORNADO + QUOTA + "at_percent = [90, 80]" + WEBHOOK),
    ("rule-steps", "rules[0].at_percent", TORNADO + QUOTA + "at_percent = [90, 101]" + WEBHOOK),
    ("rule-limit", "rules[0]", ACCOUNT + changed(BUDGET, "limit_usd = 100", "limit_usd = 100\nlimit_gb = 1") + WEBHOOK),
    ("rule-limit", "rules[0]", ACCOUNT + changed(BUDGET, "limit_usd = 100", "") + WEBHOOK),
    ("rule-threshold-below-poll", "rules[0].below_usd", changed(PAID, 'CS_KEY"', 'CS_KEY"\npoll = "0 */2 * * *"')),
    ("rule-stale-below-poll", "rules[0].after", ACCOUNT + '[[rules]]\nid = "stale"\nafter = "5m"\n' + WEBHOOK),
    ("rule-period-unknown", "rules[0].period", ACCOUNT + changed(BUDGET, "month", "billing") + WEBHOOK),
    ("event-unknown", "webhooks[0].event", GOOD + 'event = "balance.lo"'),
    ("event-both", "webhooks[0].event", GOOD + 'event = "balance.low"\nevents = ["*"]'),
    ("webhook-secret", "webhooks[0].secret", changed(GOOD, "env:WEBHOOK_SECRET", "env:CS_KEY")),
    ("webhook-secret", "webhooks[0].secret", changed(GOOD, "env:WEBHOOK_SECRET", "env:SHORT")),
    (
        "webhook-secret",
        "webhooks[0].secret[1]",
        changed(GOOD, '"env:WEBHOOK_SECRET"', '["env:WEBHOOK_SECRET", "env:SHORT"]'),
    ),
    ("webhook-threshold-unheard", "webhooks[0].threshold", GOOD + 'event = "topup.*"\nthreshold = 5'),
    ("receivers-none", "webhooks", ACCOUNT + LOW),
    ("report-rare", "reports[0].cron", GOOD + SMTP + changed(REPORT, "0 8 1 * *", "0 8 31 * *")),
    ("smtp-missing", "emails[0]", GOOD + changed(EMAIL, SMTP, "")),
    ("smtp-login", "smtp.password", GOOD + EMAIL.replace("sender", 'username = "me"\nsender')),
    ("smtp-plain", "smtp.security", GOOD + changed(EMAIL, "127.0.0.1", "mail.example.com")),
    ("http-listen", "http.listen", GOOD + '[http]\nlisten = "9750"'),
    ("http-open", "http.token", GOOD + '[http]\nlisten = "0.0.0.0:9750"'),
    ("http-token-short", "http.token", GOOD + '[http]\nlisten = "0.0.0.0:9750"\ntoken = "ab"'),
    ("api-master-key", "api.master_key[1]", GOOD + API + 'master_key = ["env:MASTER_KEY", "env:SHORT"]'),
    ("api-unserved", "api.enabled", GOOD + API + '[http]\nlisten = ""'),
    ("templates-missing", "templates", 'templates = "nope"\n' + GOOD),
    ("templates-unknown", "templates", 'templates = "mine"\n' + GOOD),
    ("store-folder", "store.path", GOOD + '[store]\npath = "/nonexistent/b.db"'),
    ("url-invalid", "store.url", GOOD + '[store]\nurl = "mysql://host/brimful"'),
    ("value-invalid", "store.path", GOOD + '[store]\npath = "b.db"\nurl = "postgresql:///brimful"'),
    ("secret-literal", "store.url", GOOD + '[store]\nurl = "postgresql://me:pass@host/brimful"'),
    ("secret-unset", "store.url", GOOD + '[store]\nurl = "env:NO_SUCH_URL"'),
]
ELSEWHERE = {
    "file-unreadable",  # below
    "chat-extra-missing",  # below
    "store-unreadable",  # tests/config/test_past.py
    "api-object",  # tests/resources/test_loading.py
    "managed-twice",  # there
    "topup-open-changed",
}


def found_in(folder: Path, text: str | bytes) -> Inspection:
    (folder / "open").write_text("cs_test_from_file\n")
    (folder / "open").chmod(0o644)
    (folder / "umlaut").write_text("schlüssel\n")
    (folder / "umlaut").chmod(0o600)
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "nothing.html.j2").write_text("x")
    extra = {"MASTER_KEY": "A" * 43 + "=", "SHORT": "whsec_c2hvcnQ=", "LIVE_KEY": "sk_live_123"}
    return look(folder, text, {**ENVIRON, **extra})


@pytest.mark.parametrize(("id", "key", "text"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)])
def test_problem_is_found_at_its_key_and_nothing_else_is_wrong(
    tmp_path: Path, id: str, key: str, text: str | bytes
) -> None:
    found = found_in(tmp_path, text)
    companions = _COMPANIONS.get(id, set())
    others = [p for p in found.problems if p.id.value != id and p.id.value not in companions]
    assert [str(p) for p in others] == []
    (problem,) = (p for p in found.problems if p.id.value == id)
    assert problem.key_path.removeprefix(f"{tmp_path}/") == key
    assert problem.severity is ProblemId(id).level
    assert (found.config is None) is (problem.severity is Level.ERROR)


_COMPANIONS = {
    "topup-cooldown-over-runway": {"topup-threshold-below-poll"},
    "topup-threshold-below-poll": {"rule-threshold-below-poll"},
    "rule-threshold-below-poll": {"topup-threshold-below-poll"},
    "poll-rare": {"topup-threshold-below-poll", "rule-threshold-below-poll"},
    "topup-below-minimum": {"topup-lands-below-threshold"},
    "topup-no-balance": {"topup-unalerted"},
    "topup-unit": {"topup-unalerted", "receivers-none"},
    "account-unit": {"receivers-none"},
    "http-token-short": {"secret-literal"},
}
"""Problems that follow from the same numbers and are worth saying, too."""


def test_every_problem_has_a_case() -> None:
    assert {case[0] for case in CASES} | ELSEWHERE == {id.value for id in ProblemId}


def test_good_configurations_have_no_problem(tmp_path: Path) -> None:
    for text in (GOOD, PAID, GOOD + EMAIL, JSON + LOW + WEBHOOK, TORNADO + QUOTA + WEBHOOK, ACCOUNT + BUDGET + WEBHOOK):
        assert [str(p) for p in found_in(tmp_path, text).problems] == []


def test_missing_file_is_one_problem_with_a_way_out(tmp_path: Path) -> None:
    from daemon.config.load import inspect

    (problem,) = inspect(tmp_path / "nope.toml").problems
    assert problem.id is ProblemId.FILE_UNREADABLE
    assert "brimful init" in problem.hint


def test_chat_without_its_extra_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.config.lint.receivers.find_spec", lambda name: None)
    found = look(
        tmp_path, GOOD + '[[chat]]\nid = "team"\nurl = "env:CHAT_URL"', {**ENVIRON, "CHAT_URL": "slack://a/b/c"}
    )
    assert [p.id for p in found.problems] == [ProblemId.CHAT_EXTRA]


def test_problems_never_hold_a_secret(tmp_path: Path) -> None:
    secrets = ("cs_live_SECRETSECRET", "sk_live_SECRETSECRET", "Bearer SECRETSECRET", SECRET[6:])
    text = (
        f'[accounts.clips]\nprovider = "contentstat"\napi_key = "{secrets[0]}"\napi_kye = "{secrets[0]}"\n'
        f'[stripe]\napi_key = "{secrets[1]}"\nmode = "test"\n[smtp]\nhost = "{secrets[2]}"\npassword = 5\n'
        f'[[webhooks]]\nid = "a"\nurl = "https://u:SECRETSECRET@x.y/?SECRETSECRET"\n'
        f'secret = ["x{SECRET}", "{SECRET}\\n"]\n'
        f'[accounts.j]\nprovider = "json"\nurl = "ftp://SECRETSECRET"\nheaders = {{ "X Key" = "{secrets[2]}" }}\n'
    )
    found = look(tmp_path, text)
    said = "\n".join(map(str, found.problems)) + repr(found)
    assert len(found.problems) > 8
    assert "SECRETSECRET" not in said
    assert SECRET[6:] not in said


def test_check_names_three_mistakes_and_exits_2(tmp_path: Path) -> None:
    text = (
        changed(PAID, "amount_usd = 50", "to_usd = 5").replace("below_usd = 5\n", "belwo_usd = 5\n")
        + '[http]\nlisten="x"'
    )
    (tmp_path / "c.toml").write_text(text)
    command = [sys.executable, "-m", "daemon", "--config", str(tmp_path / "c.toml"), "check"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ENVIRON}, timeout=30)
    assert done.returncode == 2
    for words in (
        "topup-restore-below-threshold  accounts.clips.topup.to_usd",
        'rules[0].belwo_usd (rule "low")',
        "http-listen",
    ):
        assert words in done.stdout
    assert 'did you mean "below_usd"?' in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["run"], ["once"], ["check"]])
def test_live_key_in_test_mode_starts_nothing(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "c.toml").write_text(PAID + f'[store]\npath = "{tmp_path}/b.db"')
    environ = {**os.environ, **ENVIRON, "STRIPE_KEY": "sk_live_51abc"}
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "--config", str(tmp_path / "c.toml"), *command],
        capture_output=True, text=True, env=environ, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert "stripe-mode" in done.stdout + done.stderr
    assert "sk_live_51abc" not in done.stdout + done.stderr
    assert not (tmp_path / "b.db").exists()
