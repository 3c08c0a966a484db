"""Top-ups: consistent sizes, minimums, caps and times, and a Stripe key that matches the mode."""

from __future__ import annotations

import re
from datetime import timedelta

from alerts.model.money import format_usd
from alerts.model.units import USD
from daemon.config.cron import gap_when_near
from daemon.config.durations import format_duration
from daemon.config.lint.accounts import identity
from daemon.config.lint.facts import LintFacts
from daemon.config.model import StripeMode, TopupMode
from daemon.config.problems import ProblemId
from daemon.config.reading import Item
from daemon.config.schema import LowBalanceTable, StripeTable, TopupTable
from daemon.config.urls import Plain, host_and_port, is_loopback
from daemon.sources.provider import Has

STRIPE_MINIMUM_MICROUSD = 500_000
"""Stripe's smallest charge: 0.50 dollars."""
STRIPE_MAXIMUM_MICROUSD = 999_999_990_000
"""Stripe's largest charge: 999,999.99 dollars. Source: docs.stripe.com/currencies, "Minimum and maximum"."""
DEFAULT_COOLDOWN = timedelta(minutes=60)

_SIZES = ("amount_usd", "to_usd", "cover_days")
_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+", re.ASCII)
_DESCRIPTOR = re.compile(r"[^<>\\'\"*]{1,18}")
_DESCRIPTOR_SURE, _DESCRIPTOR_WHOLE = 10, 22
"""Stripe writes prefix, "* ", suffix in 22 characters; its prefix has 2 to 10.
Source: docs.stripe.com/get-started/account/statement-descriptors."""
_DAY_S, _FOR_EVER_S = 86_400, 10**10
_STRIPE_HOST = "api.stripe.com"


def lint(facts: LintFacts) -> None:
    alerted = _alerted(facts)
    for id, topup in facts.tables.topups.items():
        _lint_size(facts, id, topup)
        _lint_caps(facts, id, topup)
        _lint_times(facts, id, topup)
        _lint_provider(facts, id, topup)
        _lint_words(facts, topup)
        _lint_alerted(facts, topup, alerted=id in alerted)
    _lint_shared_keys(facts)
    if facts.tables.stripe is not None:
        _lint_stripe(facts, facts.tables.stripe)


def least_charge(facts: LintFacts, id: str) -> int:
    """Return the smallest charge that the account's provider and Stripe accept, in micro-dollars."""
    provider = facts.tables.accounts[id].table.provider
    return max(STRIPE_MINIMUM_MICROUSD, provider.min_charge_microusd if provider is not None else 0)


def _lint_size(facts: LintFacts, id: str, item: Item[TopupTable]) -> None:
    table = item.table
    given = table.given
    sizes = [key for key in _SIZES if key in given]
    if len(sizes) != 1:
        said = f"{' and '.join(sizes)} exclude each other" if sizes else "the size of a top-up is not said"
        facts.note(ProblemId.TOPUP_SIZE, item, "", said, "write one of amount_usd, to_usd and cover_days")
    below, to, amount = table.when_below_usd, table.to_usd, table.amount_usd
    if to is not None and below is not None and to <= below:
        said = f"restoring to {format_usd(to)} never gets above the threshold of {format_usd(below)}"
        facts.note(ProblemId.TOPUP_RESTORE, item, "to_usd", said, "make to_usd larger than when_below_usd")
    if amount is not None and below is not None and amount < below:
        said = f"one charge of {format_usd(amount)} may land below the threshold of {format_usd(below)}"
        facts.note(ProblemId.TOPUP_SMALL, item, "amount_usd", said, "several amounts are then charged at once")
    least = least_charge(facts, id)
    for key, value in (("min_charge_usd", table.min_charge_usd), ("amount_usd", amount)):
        if value is not None and value < least:
            said = f"the least that can be charged is {format_usd(least)}"
            provider = facts.tables.accounts[id].table.provider
            who = provider.title if provider is not None and provider.min_charge_microusd == least else "Stripe"
            facts.note(ProblemId.TOPUP_MINIMUM, item, key, said, f"{who} takes no less")
        if value is not None and value > STRIPE_MAXIMUM_MICROUSD:
            said = f"the most that Stripe charges at once is {format_usd(STRIPE_MAXIMUM_MICROUSD)}"
            facts.note(ProblemId.TOPUP_OVER_STRIPE, item, key, said)
    minimum = table.min_charge_usd
    if amount is not None and minimum is not None and least <= amount < minimum:
        said = f"an amount of {format_usd(amount)} is below min_charge_usd, {format_usd(minimum)}"
        facts.note(ProblemId.TOPUP_MINIMUM, item, "amount_usd", said)


def _lint_caps(facts: LintFacts, id: str, item: Item[TopupTable]) -> None:
    table = item.table
    amount, most = table.amount_usd, table.max_charge_usd
    charge = amount or table.min_charge_usd or least_charge(facts, id)
    if most is not None and charge > most:
        said = f"a charge of {format_usd(charge)} is over max_charge_usd, {format_usd(most)}"
        facts.note(ProblemId.TOPUP_OVER_MAXIMUM, item, "max_charge_usd", said, "nothing would ever be charged")
    below, to = table.when_below_usd, table.to_usd
    if to is not None and below is not None and most is not None and to > below and to - below > most:
        said = f"from {format_usd(below)} one charge of at most {format_usd(most)} never restores to {format_usd(to)}"
        facts.note(ProblemId.TOPUP_UNREACHABLE, item, "to_usd", said, "raise max_charge_usd, or lower to_usd")
    for key, cap in (("max_per_day_usd", table.max_per_day_usd), ("max_per_month_usd", table.max_per_month_usd)):
        if cap is not None and cap < charge:
            said = f"a cap of {format_usd(cap)} is below one charge of {format_usd(charge)}"
            facts.note(ProblemId.TOPUP_CAP, item, key, said, "nothing would ever be charged")
    day, month = table.max_per_day_usd, table.max_per_month_usd
    if day is not None and month is not None and month < day:
        said = f"the month's cap of {format_usd(month)} is below the day's, {format_usd(day)}"
        facts.note(ProblemId.TOPUP_CAPS_ORDER, item, "max_per_month_usd", said)


def _lint_times(facts: LintFacts, id: str, item: Item[TopupTable]) -> None:
    """Compare times with the fastest burn that the caps allow. `lint_burn` compares them with the observed burn."""
    table = item.table
    below, day = table.when_below_usd, table.max_per_day_usd
    if below is None or day is None:
        return
    burn_times(facts, id, item, day, "burn as fast as max_per_day_usd allows")


def burn_times(facts: LintFacts, id: str, item: Item[TopupTable], burn_microusd_per_day: int, when: str) -> None:
    """Note a threshold that is burnt within one poll interval, and a cooldown longer than the threshold lasts."""
    below = item.table.when_below_usd
    if below is None or burn_microusd_per_day <= 0:
        return
    runway = timedelta(seconds=min(_DAY_S * below // burn_microusd_per_day, _FOR_EVER_S))
    interval = gap_when_near(facts.tables.accounts[id].table.schedule, facts.zone)
    if runway < interval:
        said = (
            f"{when}, {format_usd(below)} last {_rough(runway)}, and the account is polled every {_rough(interval)}: "
            "it can run dry between two polls"
        )
        facts.note(ProblemId.TOPUP_THRESHOLD, item, "when_below_usd", said, "raise it, or poll more often")
    cooldown = item.table.cooldown or DEFAULT_COOLDOWN
    if cooldown > runway:
        said = (
            f"{when}, {format_usd(below)} last {_rough(runway)}, less than the cooldown of {format_duration(cooldown)}"
        )
        facts.note(ProblemId.TOPUP_COOLDOWN, item, "cooldown", said, "shorten it, or raise when_below_usd")


def _rough(duration: timedelta) -> str:
    minutes = round(duration.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{round(minutes / 60)} h" if minutes < 2880 else f"{round(minutes / 1440)} days"


def _lint_provider(facts: LintFacts, id: str, item: Item[TopupTable]) -> None:
    has = facts.has(facts.tables.accounts[id])
    account = facts.tables.accounts[id].table
    if (unit := account.effective("unit")) != USD:
        said = f"a charge is made in USD, and the account is in {unit}"
        facts.note(ProblemId.TOPUP_UNIT, item, "", said, "without the topup table it is watched all the same")
    if not account.topup_safe or (account.preset is not None and not account.preset.topup_safe):
        who = f'the balance of "{account.preset.name}"' if account.preset is not None else "this balance"
        said = f"{who} is late or partial (topup_safe = false): nothing is charged on it"
        facts.note(ProblemId.TOPUP_UNSAFE, item, "", said, "without the topup table it is watched all the same")
    if Has.BALANCE not in has:
        facts.note(ProblemId.TOPUP_NO_BALANCE, item, "", "the account's provider reports no balance to top up")
    elif Has.TOTAL not in has:
        said = "without a running total a credit is seen by a rise of the balance, which is weaker"
        facts.note(ProblemId.TOPUP_WEAK_CREDIT, item, "", said, "map total_charged_usd where the API has one")
    if facts.tables.stripe is None and item.table.mode is not TopupMode.OFF:
        facts.note(ProblemId.TOPUP_NO_STRIPE, item, "", "there is no [stripe] to charge with", "write [stripe]")


def _lint_words(facts: LintFacts, item: Item[TopupTable]) -> None:
    table = item.table
    if table.customer is not None and not table.customer.startswith("cus_"):
        facts.note(ProblemId.TOPUP_OBJECT_ID, item, "customer", "Stripe's customers are named cus_…")
    if table.payment_method and not table.payment_method.startswith(("pm_", "card_", "src_")):
        facts.note(ProblemId.TOPUP_OBJECT_ID, item, "payment_method", "Stripe's payment methods are named pm_…")
    suffix = table.statement_descriptor_suffix
    if suffix and not (_DESCRIPTOR.fullmatch(suffix) and suffix.isascii() and any(map(str.isalpha, suffix))):
        said = "Stripe leaves room for 1 to 18 Latin characters, one of them a letter, without < > \\ ' \" *"
        facts.note(ProblemId.TOPUP_DESCRIPTOR, item, "statement_descriptor_suffix", said)
    elif len(suffix) > _DESCRIPTOR_SURE:
        said = f"Stripe takes it only beside a prefix of at most {_DESCRIPTOR_WHOLE - 2 - len(suffix)} characters"
        hint = f"see the shortened descriptor in Stripe's settings; {_DESCRIPTOR_SURE} characters always fit"
        facts.note(ProblemId.TOPUP_DESCRIPTOR_ROOM, item, "statement_descriptor_suffix", said, hint)


def _alerted(facts: LintFacts) -> set[str]:
    """Return the accounts whose low balance is notified by a rule or a receiver's own threshold."""
    alerted: set[str] = set()
    for rule in facts.tables.rules:
        if isinstance(rule.table, LowBalanceTable) and rule.table.enabled:
            alerted.update(facts.covered(rule.table.accounts))
    for webhook in facts.tables.webhooks:
        if "threshold" in webhook.table.given:
            alerted.update(facts.covered(webhook.table.accounts))
    return alerted


def _lint_alerted(facts: LintFacts, item: Item[TopupTable], *, alerted: bool) -> None:
    """Warn of a top-up without an alert for a low balance: a failed charge is notified, a falling balance is not."""
    if item.table.mode is not TopupMode.OFF and not alerted:
        said = "no low_balance rule covers this account: nobody is notified if its balance falls all the same"
        facts.note(ProblemId.TOPUP_UNALERTED, item, "", said, 'add a rule of the kind "low_balance"')


def _lint_shared_keys(facts: LintFacts) -> None:
    """Note two top-ups of one balance: each would charge for the same need."""
    seen: dict[tuple[str, str], str] = {}
    for id, item in facts.tables.topups.items():
        same = identity(facts, facts.tables.accounts[id])
        first = seen.setdefault(same, id) if same is not None else id
        if first != id:
            said = f'the account "{first}" tops up the same balance: same base URL, same key'
            facts.note(ProblemId.TOPUP_SHARED_KEY, item, "", said, "one need would be charged twice: keep one of them")


def _lint_stripe(facts: LintFacts, item: Item[StripeTable]) -> None:
    key, mode = facts.secret(item.at("api_key")), item.table.mode
    form = _KEY.fullmatch(key)
    if key and form is None:
        said = "this is no secret or restricted key: they begin with sk_test_, sk_live_, rk_test_ or rk_live_"
        facts.note(ProblemId.STRIPE_KEY, item, "api_key", said)
    if form is not None and mode is not None and form[2] != mode.value:
        said = f'a {form[2]} key with mode = "{mode.value}"'
        hint = f'nothing is charged until the two agree: use a {mode.value} key, or write mode = "{form[2]}"'
        facts.note(ProblemId.STRIPE_MODE, item, "mode", said, hint)
    base = item.table.api_base
    facts.note_url(item, "api_base", base, Plain.OWN)
    if base.endswith("/") or base.count("/") > 2:
        facts.note(ProblemId.URL_INVALID, item, "api_base", "it ends after the host and port", "leave the rest out")
        return
    try:
        host, _ = host_and_port(base)
    except (ValueError, KeyError):
        return
    if mode is StripeMode.LIVE and host != _STRIPE_HOST:
        said = f"a live key is sent to {'this machine' if is_loopback(host) else host}, not to Stripe"
        facts.note(ProblemId.STRIPE_BASE, item, "api_base", said, f"https://{_STRIPE_HOST} is the default")
