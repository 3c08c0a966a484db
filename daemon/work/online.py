"""`check --online`: try everything that the configuration names, without sending or charging.

Usage APIs and Stripe are only read. The mail server gets a login and no message; webhook and heartbeat hosts get a
connection (with TLS) and no request.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from alerts.model.limits import DELIVERY_DEADLINE_S
from alerts.model.money import format_gb, format_usd, show_usd
from alerts.model.readings import Known, Metrics
from daemon.clock import Clock
from daemon.config.model import AccountConfig, Config, SmtpConfig, StripeConfig, TopupMode
from daemon.config.urls import host_and_port
from daemon.net.addresses import Resolver, refusal
from daemon.net.http import HttpClient, classify, trust
from daemon.sources.fetcher import Fetcher
from daemon.status.text import not_used
from daemon.work.smtp import SmtpMailer


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The outcome of one check. `burn_microusd_per_day`: the scheduled burn that a usage API reports."""

    target: str
    ok: bool
    detail: str
    account: str | None = None
    burn_microusd_per_day: int | None = None
    metrics: Metrics | None = None


async def ask_all(config: Config, clock: Clock, http: HttpClient) -> tuple[CheckOutcome, ...]:
    """Run all checks concurrently; return the outcomes in the order of the configuration."""
    fetcher = Fetcher(http, clock)
    questions: list[Awaitable[Iterable[CheckOutcome]]] = [
        _usage(fetcher, account) for account in config.accounts.values()
    ]
    if config.stripe is not None:
        questions.append(_stripe(config, config.stripe, clock, http))
    if config.smtp is not None:
        questions.append(_smtp(config.smtp))
    questions.extend(ask_host(name, url) for name, url in _hosts(config))
    found = await asyncio.gather(*questions)
    outcomes = tuple(outcome for outcomes in found for outcome in outcomes)
    return (*outcomes, *_shared_balances(config, outcomes))


def _shared_balances(config: Config, outcomes: Iterable[CheckOutcome]) -> Iterable[CheckOutcome]:
    """Yield top-ups of one customer whose accounts show the same totals: probably two keys of one provider account."""
    seen: dict[tuple[str, str, int, int], str] = {}
    for outcome in outcomes:
        account, metrics = config.accounts.get(outcome.account or ""), outcome.metrics
        if account is None or account.topup is None or metrics is None:
            continue
        funded, total = metrics.funded_microusd, metrics.total_charged_microusd
        if not funded or total is None:
            continue
        first = seen.setdefault((account.topup.customer, account.url, funded, total), account.id)
        if first != account.id:
            detail = (
                f"{first} and {account.id} show the same totals for one customer: they look like two keys of one "
                "provider account, and one need is charged once: keep the top-up of one of them"
            )
            yield CheckOutcome(f"top-up of {account.id}", False, detail, account.id)


async def _usage(fetcher: Fetcher, account: AccountConfig) -> tuple[CheckOutcome, ...]:
    reading = await fetcher.fetch(account)
    target = f"usage API of {account.id}"
    if not isinstance(reading, Known):
        detail = f"{reading.reason.value}: {reading.detail}" if reading.detail else reading.reason.value
        return (CheckOutcome(target, False, detail, account.id),)
    metrics = reading.metrics
    burn = metrics.scheduled_burn_microusd_per_day
    return (CheckOutcome(target, True, _read_out(metrics), account.id, burn, metrics),)


def _read_out(metrics: Metrics) -> str:
    said = []
    if (available := metrics.available_microusd) is not None:
        said.append(f"{show_usd(available)} available")
    if (burn := metrics.scheduled_burn_microusd_per_day) is not None:
        said.append(f"{format_usd(burn)} a day scheduled")
    if (effective := metrics.effective_microgb) is not None:
        limit = metrics.limit_microgb
        said.append(f"{format_gb(effective)}{f' of {format_gb(limit)}' if limit is not None else ''} used")
    unused = f"; not used: {not_used(metrics)}" if metrics.unusable else ""
    return f"{', '.join(said) or 'answered'}{unused}"


async def _stripe(config: Config, stripe: StripeConfig, clock: Clock, http: HttpClient) -> list[CheckOutcome]:
    """Read each customer and payment method that would be charged, and check them as a plan would."""
    from daemon.stripe.answers import Refused
    from daemon.stripe.gateway import StripeGateway
    from daemon.stripe.methods import unusable

    gateway = StripeGateway(stripe, http, clock)
    outcomes = []
    for id, account in config.accounts.items():
        topup = account.topup
        if topup is None or topup.mode is TopupMode.OFF:
            continue
        target = f"Stripe for {id}"
        default = await gateway.default_method(topup.customer)
        if isinstance(default, Refused):
            outcomes.append(CheckOutcome(target, False, f"customer {topup.customer}: {default.message}", id))
            continue
        wanted = topup.payment_method or default.value
        if wanted is None:
            detail = f"customer {topup.customer} has no default payment method, and none is configured"
            outcomes.append(CheckOutcome(target, False, detail, id))
            continue
        method = await gateway.method(wanted)
        if isinstance(method, Refused):
            outcomes.append(CheckOutcome(target, False, f"payment method {wanted}: {method.message}", id))
        elif problem := unusable(method.value, topup.customer):
            owner = method.value.customer
            whose = f": it belongs to another customer, {owner}" if owner not in (None, topup.customer) else ""
            outcomes.append(CheckOutcome(target, False, f"payment method {problem}{whose}", id))
        else:
            detail = f"{stripe.mode.value} mode, customer {topup.customer}, {method.value.type} {wanted}"
            outcomes.append(CheckOutcome(target, True, detail, id))
    return outcomes


async def _smtp(smtp: SmtpConfig) -> tuple[CheckOutcome, ...]:
    wrong = await SmtpMailer(smtp).check()
    login = f"logged in as {smtp.username}" if smtp.username else "connected"
    return (CheckOutcome(f"mail server {smtp.host}:{smtp.port}", wrong is None, wrong or login),)


def _hosts(config: Config) -> list[tuple[str, str]]:
    hosts = [
        (f"webhook {r.id}", url)
        for r in config.receivers.all
        if (url := getattr(r, "url", None)) and isinstance(url, str)
    ]
    if config.heartbeat_url is not None:
        hosts.append(("heartbeat", config.heartbeat_url.get_secret_value()))
    return hosts


async def ask_host(name: str, url: str) -> tuple[CheckOutcome, ...]:
    """Connect as a delivery would, and close the connection."""
    host, port = host_and_port(url)
    target = f"{name} at {host}:{port}"
    try:
        async with asyncio.timeout(DELIVERY_DEADLINE_S):
            return (CheckOutcome(target, True, await _connect(host, port, secure=url.startswith("https:"))),)
    except (OSError, ValueError) as error:
        return (CheckOutcome(target, False, classify(error)[1]),)


async def _connect(host: str, port: int, *, secure: bool) -> str:
    resolver = Resolver()
    try:
        addresses = await resolver.resolve(host, port)
    finally:
        await resolver.close()
    for found in addresses:
        if reason := refusal(ipaddress.ip_address(found["host"].partition("%")[0])):
            raise OSError(reason)
    context = trust() if secure else None
    _, writer = await asyncio.open_connection(
        addresses[0]["host"], port, ssl=context, server_hostname=host if secure else None
    )
    tls = writer.get_extra_info("ssl_object")
    writer.close()
    await _closed(writer.wait_closed)
    return f"connected, {tls.version()}" if tls is not None else "connected, without TLS"


async def _closed(wait: Callable[[], Awaitable[None]]) -> None:
    """Wait for the close; a peer that ends TLS without a close notify was reached all the same."""
    try:
        await wait()
    except OSError:
        return
