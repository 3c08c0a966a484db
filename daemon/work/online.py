"""`check --online`: try everything that the configuration names, without sending or charging.

Each check says what was asked, what came back and means, and what to do. Usage APIs and Stripe are only read. The
mail server is asked up to the recipients, which RSET takes back; webhook and heartbeat hosts get a connection (with
TLS) and no request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from alerts.model.accounts import AccountInfo
from alerts.model.limits import DELIVERY_DEADLINE_S
from alerts.model.money import format_amount, show_amount
from alerts.model.readings import Known, Metrics, Reason, Unavailable
from alerts.model.receivers import EmailReceiver
from daemon.clock import Clock
from daemon.config.model import AccountConfig, Config, SmtpConfig, StripeConfig
from daemon.config.urls import host_and_port
from daemon.logs import mask
from daemon.net.addresses import Resolver, refusal
from daemon.net.http import HttpClient, classify, trust
from daemon.sources.fetcher import Fetcher
from daemon.status.text import not_used
from daemon.work.smtp import SmtpMailer


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The outcome of one check. `detail` is what came back and means; the burn is what a usage API schedules."""

    target: str
    ok: bool
    detail: str
    account: str | None = None
    burn_microusd_per_day: int | None = None
    metrics: Metrics | None = None
    asked: str = ""
    """What was asked, in a few words."""
    fix: str = ""
    """What to do where it failed."""


async def ask_all(config: Config, clock: Clock, http: HttpClient) -> tuple[CheckOutcome, ...]:
    """Run all checks concurrently; return the outcomes in the order of the configuration."""
    fetcher = Fetcher(http, clock)
    questions: list[Awaitable[Iterable[CheckOutcome]]] = [
        _usage(fetcher, account) for account in config.accounts.values()
    ]
    if config.stripe is not None:
        questions.append(_stripe(config, config.stripe, clock, http))
    if config.smtp is not None:
        questions.append(_smtp(config, config.smtp))
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
    asked = f"{'GET' if account.json is None else account.json.method} {mask(account.url)}"
    if not isinstance(reading, Known):
        detail = f"{reading.reason.value}: {reading.detail}" if reading.detail else reading.reason.value
        fix = await _fix_of(reading, account)
        return (CheckOutcome(target, False, detail, account.id, asked=asked, fix=fix),)
    metrics = reading.metrics
    burn = metrics.scheduled_burn_microusd_per_day
    return (CheckOutcome(target, True, _read_out(account.info, metrics), account.id, burn, metrics, asked),)


_FIX = {
    Reason.UNAUTHORIZED: "the API does not know this key: copy it anew from the provider's list of keys into {path}",
    Reason.FORBIDDEN: "the key may not read the usage: give it that permission, or put another key into {path}",
    Reason.PAYMENT_REQUIRED: "the provider wants money before it answers: pay there, or mend the billing",
    Reason.NOT_FOUND: "nothing is at this URL: compare {base} with the provider's documentation",
    Reason.REDIRECTED: "the API has moved, and redirects are not followed: set {base} to where it points",
    Reason.RATE_LIMITED: "too many requests with this key: wait; if it lasts, poll less often or use a key of its own",
    Reason.SERVER_ERROR: "the API fails just now: try again later, then ask the provider",
    Reason.TIMEOUT: "nothing came back: see that this host can reach the API, and that a firewall lets it through",
    Reason.UNREACHABLE: "see that {base} is spelt right, and that this host resolves and reaches it",
    Reason.TOO_LARGE: "this is no usage answer: compare {base} with the provider's documentation",
    Reason.BAD_PAYLOAD: "this is no usage answer: compare provider and {base} with the provider's documentation",
    Reason.REFUSED: "the API answers, and says no: read its words, then look at the key and at {account}.ok",
    Reason.WRONG_CURRENCY: "set {account}.unit to the currency of the answer, or {account}.currency to where it stands",
}


async def _fix_of(reading: Unavailable, account: AccountConfig) -> str:
    """Return what to do about a failed reading; for a certificate also which names it is for."""
    path = f"accounts.{account.id}"
    fix = _FIX.get(reading.reason, "try again later").format(
        path=f"{path}.api_key", base=f"{path}.{'base_url' if account.json is None else 'url'}", account=path
    )
    if "certificate" in reading.detail:
        return await certificate_fix(*host_and_port(account.url))
    return fix


async def certificate_fix(host: str, port: int) -> str:
    """Return what to do about a certificate that is not trusted, with the names that it is for and its end."""
    try:
        async with asyncio.timeout(DELIVERY_DEADLINE_S):
            found = await asyncio.to_thread(_certificate, host, port)
    except (OSError, ValueError):
        found = ""
    return f"{found}use the name that the certificate is for, or let the server show another certificate"


def _certificate(host: str, port: int) -> str:
    """Read the certificate without trusting it: nothing but a handshake is exchanged."""
    from cryptography.x509 import (
        DNSName,
        ExtensionNotFound,
        IPAddress,
        SubjectAlternativeName,
        load_pem_x509_certificate,
    )

    shown = load_pem_x509_certificate(ssl.get_server_certificate((host, port), timeout=DELIVERY_DEADLINE_S).encode())
    try:
        said = shown.extensions.get_extension_for_class(SubjectAlternativeName).value
        names = [*said.get_values_for_type(DNSName), *map(str, said.get_values_for_type(IPAddress))]
    except ExtensionNotFound:
        names = []
    return f"it is for {', '.join(names[:5]) or 'no name'}, valid until {shown.not_valid_after_utc:%Y-%m-%d}: "


def _read_out(info: AccountInfo, metrics: Metrics) -> str:
    said = []
    if (available := metrics.available_microusd) is not None:
        said.append(f"{show_amount(available, info.unit)} available")
    if (burn := metrics.scheduled_burn_microusd_per_day) is not None:
        said.append(f"{format_amount(burn, info.unit)} a day scheduled")
    if (effective := metrics.effective_microgb) is not None:
        limit = metrics.limit_microgb
        of = "" if limit is None else f" of {format_amount(limit, info.quota_unit)}"
        said.append(f"{format_amount(effective, info.quota_unit)}{of} used")
    unused = f"; not used: {not_used(metrics)}" if metrics.unusable else ""
    return f"{', '.join(said) or 'answered'}{unused}"


async def _stripe(config: Config, stripe: StripeConfig, clock: Clock, http: HttpClient) -> list[CheckOutcome]:
    from daemon.work.online_stripe import ask_stripe  # the SDK is loaded only where it is used

    return await ask_stripe(config, stripe, clock, http)


async def _smtp(config: Config, smtp: SmtpConfig) -> tuple[CheckOutcome, ...]:
    """Ask the server whether it takes mail of this sender for everyone who is to get any; nothing is sent."""
    emails = [one for one in config.receivers.all if isinstance(one, EmailReceiver)]
    named = [*(email.to for email in emails), *(report.to for report in config.reports)]
    to = list(dict.fromkeys(one for addresses in named for one in addresses))
    target, asked = f"mail server {smtp.host}:{smtp.port}", "login, MAIL FROM, RCPT TO each recipient, RSET"
    wrong, refused = await SmtpMailer(smtp).check_recipients(to)
    if wrong is not None:
        fix = "compare host, port, security, username and password of [smtp] with what the mail provider says"
        return (CheckOutcome(target, False, wrong, asked=asked, fix=fix),)
    if refused:
        said = "; ".join(f"{address}: {words}" for address, words in refused.items())
        fix = "mend the address, or let the server take mail of smtp.sender for it"
        return (CheckOutcome(target, False, f"refused {said}", asked=asked, fix=fix),)
    login = f"logged in as {smtp.username}" if smtp.username else "connected"
    takes = f"takes mail for {len(to)} recipients" if len(to) != 1 else f"takes mail for {to[0]}"
    return (CheckOutcome(target, True, f"{login}, {takes}" if to else login, asked=asked),)


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
    target, secure = f"{name} at {host}:{port}", url.startswith("https:")
    asked = "connect with TLS, no request" if secure else "connect, no request"
    try:
        async with asyncio.timeout(DELIVERY_DEADLINE_S):
            return (CheckOutcome(target, True, await _connect(host, port, secure=secure), asked=asked),)
    except (OSError, ValueError) as error:
        detail = classify(error)[1]
        fix = f"see that {host} is spelt right and listens at {port}, and that a firewall lets this host through"
        if "certificate" in detail:
            fix = await certificate_fix(host, port)
        return (CheckOutcome(target, False, detail, asked=asked, fix=fix),)


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
