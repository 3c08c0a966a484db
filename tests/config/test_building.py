"""What a configuration becomes: exact values, defaults, and the rules that nobody had to ask for."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.events import Severity
from alerts.model.specs import Budget, LowBalance, Measure, Period, Quota, Runway, Spike, Stale
from daemon.config.cron import gaps, parse_cron
from daemon.config.durations import format_duration, parse_duration
from daemon.config.load import ConfigError, Outline, load, outline
from daemon.config.model import Config, StripeMode, TopupMode
from tests.helpers_config import ACCOUNT, ENVIRON, GOOD, LOW, PAID, SMTP, STRIPE, TOPUP, TORNADO, WEBHOOK, changed, look

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def config(folder: Path, text: str, *, secrets: bool = True) -> Config:
    found = look(folder, text, secrets=secrets)
    assert found.config is not None, [str(problem) for problem in found.problems]
    return found.config


def rule(config: Config, id: str) -> object:
    return next(rule for rule in config.rules if rule.id == id)


def test_five_lines_are_a_configuration(tmp_path: Path) -> None:
    built = config(tmp_path, GOOD)
    account = built.accounts["clips"]
    assert account.url == "https://contentstats.io/api/v1/usage"
    assert account.poll == "*/5 * * * *"
    assert account.api_key.get_secret_value() == "cs_test_1"
    assert account.topup is None
    assert built.store.path == tmp_path / "brimful.db"
    assert built.store.keep_readings == timedelta(days=90)
    assert (built.web.host, built.web.port) == ("127.0.0.1", 9750)
    assert built.warnings == ()


def test_base_urls_and_paths_are_those_of_the_providers(tmp_path: Path) -> None:
    built = config(tmp_path, ACCOUNT + 'base_url = "http://127.0.0.1:8001/"' + TORNADO + LOW + WEBHOOK)
    assert built.accounts["clips"].url == "http://127.0.0.1:8001/api/v1/usage"
    assert built.accounts["downloads"].url == "https://api.tornadoapi.io/usage"
    assert built.accounts["downloads"].base_url == "https://api.tornadoapi.io"


def test_json_account_keeps_url_headers_and_expressions(tmp_path: Path) -> None:
    text = """
        [accounts.other]
        provider = "json"
        url = "https://api.example.com:8443/v2/usage?x=1"
        headers = { Authorization = "env:CS_KEY", Accept = "application/json" }
        [accounts.other.fields]
        balance_usd = "account.credit"
    """
    account = config(tmp_path, text + LOW + WEBHOOK).accounts["other"]
    assert account.provider.name == "json"
    assert account.url == "https://api.example.com:8443/v2/usage?x=1"
    assert account.base_url == "https://api.example.com:8443"
    assert account.json is not None
    assert account.json.answer.fields == {"balance_usd": "account.credit"}
    assert {name: value.get_secret_value() for name, value in account.json.headers.items()} == {
        "Authorization": "cs_test_1",
        "Accept": "application/json",
    }


@given(st.decimals(min_value=Decimal("0.000001"), max_value=Decimal("9999999"), places=6))
def test_money_is_exactly_what_was_written(tmp_path_factory: pytest.TempPathFactory, dollars: Decimal) -> None:
    folder = tmp_path_factory.mktemp("money", numbered=True)
    built = config(folder, changed(GOOD, "below_usd = 5", f"below_usd = {dollars:f}"))
    low = rule(built, "low")
    assert isinstance(low, LowBalance)
    assert low.below_microusd == int(dollars * 1_000_000)


def test_topup_takes_its_defaults(tmp_path: Path) -> None:
    topup = config(tmp_path, PAID).accounts["clips"].topup
    assert topup is not None
    assert topup.when_below_microusd == 10_000_000
    assert topup.amount_microusd == 50_000_000
    assert topup.min_charge_microusd == 10_000_000  # ContentStats sells no less
    assert topup.cooldown == timedelta(minutes=60)
    assert topup.mode is TopupMode.CHARGE
    assert topup.payment_method is None
    assert (topup.to_microusd, topup.cover_days) == (None, None)


def test_smallest_charge_elsewhere_is_stripes_own(tmp_path: Path) -> None:
    text = """
        [accounts.other]
        provider = "json"
        url = "https://api.example.com/usage"
        fields = { balance_usd = "b", total_charged_usd = "c" }
    """
    built = config(tmp_path, text + TOPUP.replace("clips", "other") + STRIPE + LOW + WEBHOOK)
    topup = built.accounts["other"].topup
    assert topup is not None
    assert topup.min_charge_microusd == 500_000
    assert built.stripe is not None
    assert built.stripe.mode is StripeMode.TEST


def test_clear_lines_lie_where_the_words_promise(tmp_path: Path) -> None:
    text = (
        GOOD
        + TORNADO
        + '[[rules]]\nid = "runway"\nkind = "runway"\nbelow_days = 3\n[[rules]]\nid = "quota"\nkind = "quota"'
    )
    built = config(tmp_path, text)
    low, runway, quota = rule(built, "low"), rule(built, "runway"), rule(built, "quota")
    assert isinstance(low, LowBalance)
    assert isinstance(runway, Runway)
    assert isinstance(quota, Quota)
    assert low.clear_above_microusd == 6_000_000
    assert low.measure is Measure.AVAILABLE
    assert runway.clear_above_days == Decimal("3.6")
    assert quota.at_percent == (Decimal(80), Decimal(90), Decimal(100))
    assert quota.clear_below_percent == Decimal(78)


def test_lowest_step_of_one_percent_can_still_be_cleared(tmp_path: Path) -> None:
    built = config(tmp_path, TORNADO + '[[rules]]\nid = "quota"\nkind = "quota"\nat_percent = [1]' + WEBHOOK)
    quota = rule(built, "quota")
    assert isinstance(quota, Quota)
    assert 0 < quota.clear_below_percent < 1


def test_spike_and_stale_are_on_without_being_asked_for(tmp_path: Path) -> None:
    built = config(tmp_path, GOOD)
    assert rule(built, "spike") == Spike(id="spike")
    assert rule(built, "stale") == Stale(id="stale")


def test_default_rule_is_replaced_by_one_of_its_id_and_turned_off_by_enabled(tmp_path: Path) -> None:
    text = GOOD + '[[rules]]\nid = "spike"\nfactor = 9\nseverity = "critical"\n[[rules]]\nid = "stale"\nenabled = false'
    built = config(tmp_path, text)
    assert [r.id for r in built.rules] == ["low", "spike"]
    assert rule(built, "spike") == Spike(id="spike", factor=Decimal(9), severity=Severity.CRITICAL)


def test_webhook_with_a_threshold_brings_a_rule_that_only_it_hears(tmp_path: Path) -> None:
    built = config(tmp_path, ACCOUNT + WEBHOOK + 'event = "balance.low"\nthreshold = 5.0\naccounts = ["clips"]')
    own = rule(built, "webhook:app")
    assert isinstance(own, LowBalance)
    assert own.below_microusd == 5_000_000
    assert own.clear_above_microusd == 6_000_000
    assert own.accounts == ("clips",)
    (receiver,) = built.receivers.all
    assert own.only_receiver == receiver.key == "webhook:app"
    assert receiver.events == ("balance.low",)


def test_list_of_secrets_keeps_its_order(tmp_path: Path) -> None:
    older = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
    text = changed(GOOD, '"env:WEBHOOK_SECRET"', f'["env:WEBHOOK_SECRET", "{older}"]')
    (receiver,) = config(tmp_path, text).receivers.all
    assert [s.get_secret_value() for s in receiver.secrets] == [ENVIRON["WEBHOOK_SECRET"], older]  # type: ignore[union-attr]  # a webhook


def test_budget_counts_money_or_volume(tmp_path: Path) -> None:
    text = (
        GOOD
        + TORNADO
        + '[[rules]]\nid = "b"\nkind = "budget"\nperiod = "billing"\nlimit_gb = 0.5\nremind_every = "never"'
    )
    budget = rule(config(tmp_path, text), "b")
    assert isinstance(budget, Budget)
    assert (budget.limit_microusd, budget.limit_microgb) == (None, 500_000)
    assert budget.period is Period.BILLING
    assert budget.remind_every is None
    assert budget.at_percent == (Decimal(50), Decimal(80), Decimal(100))


@pytest.mark.parametrize(("security", "port"), [("none", 25), ("starttls", 587), ("tls", 465)])
def test_mail_port_follows_the_security(tmp_path: Path, security: str, port: int) -> None:
    built = config(tmp_path, GOOD + SMTP + f'security = "{security}"')
    assert built.smtp is not None
    assert built.smtp.port == port


def test_password_that_nobody_logs_in_with_is_not_read(tmp_path: Path) -> None:
    built = config(tmp_path, GOOD + SMTP + 'password = "env:SMTP_PASSWORD"')
    assert built.warnings == ()


def test_empty_listen_turns_the_page_off_and_brackets_hold_an_ipv6_address(tmp_path: Path) -> None:
    assert config(tmp_path, GOOD + '[http]\nlisten = ""').web.host is None
    web = config(tmp_path, GOOD + '[http]\nlisten = "[::1]:80"').web
    assert (web.host, web.port) == ("::1", 80)


def test_misspelt_key_is_judged_as_the_one_it_resembles(tmp_path: Path) -> None:
    found = look(tmp_path, changed(PAID, "amount_usd = 50", "amout_usd = 9"))
    ids = [problem.id.value for problem in found.problems]
    assert ids == ["key-unknown", "topup-below-minimum", "topup-lands-below-threshold"]
    assert found.problems[0].hint == 'did you mean "amount_usd"?'


def test_hints_reach_into_arrays_and_inner_tables(tmp_path: Path) -> None:
    text = (
        PAID + LOW.replace('"low"', '"second"').replace("below_usd", "belov_usd") + '[accounts.x]\nprovidr = "tornado"'
    )
    keys = {p.key_path: (p.item, p.hint) for p in look(tmp_path, text).problems}
    assert keys["rules[1].belov_usd"] == ('rule "second"', 'did you mean "below_usd"?')
    assert keys["accounts.x.providr"] == ("", 'did you mean "provider"?')


def test_key_of_another_kind_of_rule_is_told_as_such(tmp_path: Path) -> None:
    (problem,) = look(tmp_path, GOOD.replace("below_usd", "at_percent = [1]\nbelow_usd")).problems
    assert problem.hint == 'it belongs to a rule of the kind "quota" or "budget"'


def test_unset_secret_is_an_error_where_it_is_needed_and_a_warning_elsewhere(tmp_path: Path) -> None:
    text = changed(GOOD, "env:CS_KEY", "env:CS_KEE")
    assert look(tmp_path, text).config is None
    lenient = look(tmp_path, text, secrets=False)
    assert lenient.config is not None
    assert lenient.config.accounts["clips"].api_key.get_secret_value() == ""
    (problem,) = lenient.problems
    assert "CS_KEE" in problem.message
    assert problem.hint == 'did you mean "CS_KEY"?'


def test_load_raises_every_error_in_words(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(changed(GOOD, "below_usd = 5", "below_usd = -1").replace("clips]", "clips]\nx = 1"))
    with pytest.raises(ConfigError) as caught:
        load(path, environ=ENVIRON)
    said = str(caught.value)
    assert "2 errors" in said
    assert "accounts.clips.x" in said
    assert "rules[0].below_usd" in said


def test_secrets_come_from_files_and_credentials_without_their_line_ends(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from_file\n")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "cs").write_text("from_credential\n")
    environ = {**ENVIRON, "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    for reference, value in (("file:key", "from_file"), ("credential:cs", "from_credential")):
        found = look(tmp_path, changed(GOOD, "env:CS_KEY", reference), environ)
        assert found.config is not None
        assert found.config.accounts["clips"].api_key.get_secret_value() == value


@pytest.mark.parametrize("name", ["../cs", "..", "a/b", ""])
def test_credential_names_do_not_leave_their_folder(tmp_path: Path, name: str) -> None:
    found = look(
        tmp_path, changed(GOOD, "env:CS_KEY", f"credential:{name}"), {**ENVIRON, "CREDENTIALS_DIRECTORY": "/etc"}
    )
    assert [p.id.value for p in found.problems] == ["secret-invalid"]


def test_secret_with_a_line_break_inside_is_refused(tmp_path: Path) -> None:
    found = look(tmp_path, GOOD, {**ENVIRON, "CS_KEY": "a\r\nX-Evil: 1"})
    assert [p.id.value for p in found.problems] == ["secret-invalid"]


def test_example_is_accepted_as_it_stands() -> None:
    from daemon.config.load import inspect

    found = inspect(EXAMPLE, secrets=False, environ={})
    assert found.config is not None
    assert {problem.id.value for problem in found.problems} == {"secret-unset"}


@given(st.integers(1, 5000), st.sampled_from("smhdw"))
def test_durations_read_back_as_they_were_written(number: int, unit: str) -> None:
    duration = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "5", "1.5h", "-1h", "1h30m", "1 h", "١h", "1y", "9999999999h", "999999999w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


def test_cron_weekdays_are_those_of_cron(tmp_path: Path) -> None:
    assert parse_cron("0  9 * *   1-5") == "0 9 * * 1-5"
    zone = config(tmp_path, GOOD).timezone
    assert gaps("0 9 * * 1-5", zone) == (timedelta(days=1), timedelta(days=3))
    with pytest.raises(ValueError, match="five fields"):
        parse_cron("@daily")
    with pytest.raises(ValueError, match="minute field"):
        parse_cron("60 * * * *")


def test_relative_database_lies_in_the_state_folder_else_here(tmp_path: Path) -> None:
    from daemon.config.build import store_at

    assert store_at("", {"STATE_DIRECTORY": "/var/lib/brimful:/var/lib/other"}) == Path("/var/lib/brimful/brimful.db")
    assert store_at("b.db", {}) == Path("b.db")
    assert store_at("/x/b.db", {"STATE_DIRECTORY": "/var/lib/brimful"}) == Path("/x/b.db")


def test_database_that_only_the_unit_finds_is_warned_of_where_the_unit_runs(tmp_path: Path) -> None:
    unit = {**ENVIRON, "INVOCATION_ID": "0123456789abcdef"}
    [problem] = look(tmp_path, GOOD, unit).problems
    assert (problem.id.value, problem.severity.value, problem.key_path) == ("store-folder", "warning", "store.path")
    assert problem.hint == f'write path = "{tmp_path}/brimful.db"'
    assert look(tmp_path, GOOD + f'[store]\npath = "{tmp_path}/brimful.db"', unit).problems == ()
    assert look(tmp_path, GOOD).problems == ()


def test_outline_tells_database_and_accounts_of_a_file_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(changed(PAID, "amount_usd", "amuont_usd") + '[store]\npath = "b.db"\nkeep = 1\n[[rules]]\nid = 5')
    found = outline(path, environ={"STATE_DIRECTORY": str(tmp_path)})
    assert found == Outline(tmp_path / "b.db", frozenset({"clips"}), frozenset({"clips"}))


@pytest.mark.parametrize("text", ["[store", "store = 5", "[store]\npath = 5", '[store]\npath = "\\u0000"', None])
def test_outline_guesses_no_database(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError):
        outline(tmp_path / "config.toml", environ={})
