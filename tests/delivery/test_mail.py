"""What is promised about mail, against a real SMTP server on loopback."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr

from alerts.channels.email import EmailChannel
from alerts.delivery import Deliverer
from alerts.events.messages.context import MessageContext
from alerts.mail import Mailed, MailFailed, new_message
from alerts.model.events import EventType, JsonValue
from alerts.model.outbox import DeliveryState
from alerts.model.receivers import EmailReceiver
from alerts.templating import Templates
from daemon.config.model import SmtpConfig, SmtpSecurity
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.store.replays import attempts
from daemon.work.smtp import SmtpMailer
from tests.delivery.conftest import BERLIN, SENDER, START, World, WorldOf, mailer_of
from tests.helpers_tls import make_tls

OPS = EmailReceiver(id="ops", to=("ops@example.com",))


async def test_an_event_is_one_multipart_mail_that_no_machine_answers(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    event = world.tell()
    await world.deliver()

    (kept,) = mailbox.kept
    message = kept.message
    assert message["subject"] == "clips: balance low, $4.21 left"
    assert message["auto-submitted"] == "auto-generated"
    assert message["date"].datetime == START
    assert event.id in message["message-id"]
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert "$4.21 is available, below the threshold of $5.00." in kept.part("plain")
    assert "Mon 2 Nov 2026, 09:00 CET" in kept.part("plain")
    assert "Europe/Berlin" in kept.part("plain")
    assert 'style="' in kept.part("html"), "styles are inlined"
    assert "prefers-color-scheme: dark" in kept.part("html")
    assert max(len(line) for line in kept.raw.split(b"\r\n")) <= 998


async def test_a_storm_of_fifty_is_one_digest_with_the_gravest_first(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    for number in range(49):
        world.tell(account=f"a{number}", episode=f"ep{number}")
    world.tell(EventType.BALANCE_DEPLETED, account="last", episode="ep_last")
    await world.deliver()

    (kept,) = mailbox.kept
    assert kept.message["subject"] == "50 events: last: balance used up, $4.21 left, and 49 more"
    text = kept.part("plain")
    assert text.index("last: balance used up") < text.index("a0: balance low")
    assert all(f"a{number}: balance low" in text for number in range(49))
    assert all(state is DeliveryState.DELIVERED for state in world.states())


async def test_above_the_hourly_maximum_one_summary_comes_when_the_hour_is_over(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = world_of(EmailReceiver(id="ops", to=("ops@example.com",), max_per_hour=3), mailer=mailer_of(mailbox))
    for number in range(12):
        world.tell(account=f"a{number}", episode=None)
        await world.go_on(timedelta(minutes=2))
    assert len(mailbox.kept) == 3
    await world.go_on(timedelta(hours=1))
    assert len(mailbox.kept) == 4
    assert mailbox.kept[3].message["subject"].startswith("9 events")
    assert all(state is DeliveryState.DELIVERED for state in world.states())


async def test_a_mail_server_that_is_down_for_a_day_gets_digests_after_and_none_twice(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    await mailbox.stop()
    for hour in range(24):
        world.tell(account=f"a{hour}", episode=f"ep{hour}")
        await world.go_on(timedelta(hours=1))
    assert mailbox.kept == []
    await mailbox.start()
    await world.go_on(timedelta(days=2))

    text = "".join(kept.part("plain").partition("\n")[2] for kept in mailbox.kept) + str(
        mailbox.kept[0].message["subject"]
    )
    for hour in range(24):
        assert len(re.findall(rf"\ba{hour}: balance low", text)) == 1
    assert len(mailbox.kept) == 2, "the probe that found it up again, and all the rest"
    assert all(state is DeliveryState.DELIVERED for state in world.states())


async def test_a_lost_answer_sends_the_same_message_again_with_nothing_added(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    mailbox.lose_answer = 1
    first = [world.tell(account=f"a{number}") for number in range(2)]
    await world.deliver()
    world.tell(account="later")
    await world.go_on(timedelta(minutes=10))

    ids = [kept.message["message-id"] for kept in mailbox.kept]
    assert len(ids) == 3
    assert ids.count(ids[0]) == 2, "the same message, so that mail programs show it once"
    again = [kept for kept in mailbox.kept if kept.message["message-id"] == ids[0]]
    assert again[0].part("plain") == again[1].part("plain")
    assert first[0].id in ids[0]


async def test_an_episode_is_one_thread(world_of: WorldOf, mailbox: MailboxStandin) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    for type in (EventType.BALANCE_LOW, EventType.BALANCE_LOW, EventType.BALANCE_RECOVERED):
        world.tell(type, episode="ep_1")
        await world.go_on(timedelta(hours=24))
    world.tell(episode="ep_2")
    await world.deliver()

    first, second, third, other = (kept.message for kept in mailbox.kept)
    assert first["in-reply-to"] is None
    assert second["in-reply-to"] == third["in-reply-to"] == third["references"] == first["message-id"]
    assert other["in-reply-to"] is None


async def test_a_refused_address_is_told_apart_and_the_others_hear_once(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    team = EmailReceiver(id="team", to=("ann@example.com", "gone@example.com"), events=("balance.*",))
    world = world_of(team, OPS, mailer=mailer_of(mailbox))
    mailbox.refuse = {"gone@example.com"}
    world.tell()
    await world.go_on(timedelta(hours=1))

    to_team = [kept for kept in mailbox.kept if "balance low" in kept.message["subject"] and "ann" in str(kept.to)]
    assert [kept.to for kept in to_team] == [("ann@example.com",)]
    (row,) = world.log(receiver="email:team")
    assert row.state is DeliveryState.PENDING
    assert "gone@example.com: 550" in row.last_error
    told = [
        kept
        for kept in mailbox.kept
        if kept.message["subject"] == "Receiver email:team refuses an address, 1 event waits"
    ]
    assert [kept.to for kept in told] == [("ops@example.com",)]

    mailbox.refuse = set()
    await world.go_on(timedelta(days=1))
    assert [kept.to for kept in mailbox.kept if "gone@example.com" in kept.to] == [("gone@example.com",)]
    assert world.log(receiver="email:team")[0].state is DeliveryState.DELIVERED


async def test_a_greylisting_server_takes_the_mail_on_a_later_try(world_of: WorldOf, mailbox: MailboxStandin) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    mailbox.greylist = {"ops@example.com"}
    world.tell()
    await world.deliver()
    mailbox.greylist = set()
    await world.go_on(timedelta(minutes=1))
    assert len([kept for kept in mailbox.kept if "balance low" in kept.message["subject"]]) == 1


async def test_a_header_cannot_be_injected(world_of: WorldOf, mailbox: MailboxStandin) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    evil = "webhook:app\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>"
    data: dict[str, JsonValue] = {"receiver": evil, "last_error": evil, "failures": 4}
    world.tell(EventType.DELIVERY_FAILING, account=None, episode=None, data=data)
    await world.deliver()
    (kept,) = mailbox.kept
    assert kept.message["bcc"] is None
    assert kept.to == ("ops@example.com",)
    assert "<script>" not in kept.part("html")
    assert "Bcc: victim@example.com" in kept.message["subject"], "in one line, as text"


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_tls_is_verified_and_the_login_is_sent_over_it(tmp_path: Path, security: SmtpSecurity) -> None:
    server, client = make_tls(tmp_path)
    implicit = security is SmtpSecurity.TLS
    async with MailboxStandin(tls=server, implicit_tls=implicit, login=("brimful", "pass phrase")) as box:
        config = _config(box, security, password="pass phrase")
        assert isinstance(await SmtpMailer(config, tls=client).send(_message(), ["ops@example.com"]), Mailed)
        assert box.logins[0] in ("PLAIN", "LOGIN")

        distrusted = await SmtpMailer(config).send(_message(), ["ops@example.com"])
        assert isinstance(distrusted, MailFailed)
        assert "is not trusted: the certificate is self-signed" in distrusted.reason

        wrong = await SmtpMailer(_config(box, security, password="guess"), tls=client).send(
            _message(), ["o@example.com"]
        )
        assert isinstance(wrong, MailFailed)
        assert wrong.status == 535
        assert "refused the login" in wrong.reason
        assert "guess" not in wrong.reason
        assert len(box.kept) == 1


async def test_starttls_that_is_not_offered_is_a_failure_and_nothing_is_sent_in_the_clear(
    mailbox: MailboxStandin,
) -> None:
    result = await SmtpMailer(_config(mailbox, SmtpSecurity.STARTTLS)).send(_message(), ["ops@example.com"])
    assert isinstance(result, MailFailed)
    assert mailbox.kept == []
    assert "does not offer" in result.reason


async def test_each_failure_of_a_server_has_a_reason_and_says_whether_the_mail_may_have_arrived(
    mailbox: MailboxStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailer = mailer_of(mailbox)
    mailbox.reject_content = True
    rejected = await mailer.send(_message(), ["ops@example.com"])
    assert isinstance(rejected, MailFailed)
    assert (rejected.status, rejected.maybe_arrived) == (554, False)

    mailbox.reject_content = False
    monkeypatch.setattr("daemon.work.smtp.DELIVERY_DEADLINE_S", 0.3)
    mailbox.delay_s = 5
    slow = await mailer.send(_message(), ["ops@example.com"])
    assert isinstance(slow, MailFailed)
    assert slow.maybe_arrived
    assert "while taking the message" in slow.reason

    await mailbox.stop()
    down = await mailer.send(_message(), ["ops@example.com"])
    assert isinstance(down, MailFailed)
    assert not down.maybe_arrived
    assert "is down" in down.reason


async def test_the_check_of_a_mail_server_sends_nothing(mailbox: MailboxStandin) -> None:
    assert await mailer_of(mailbox).check_recipients(["ops@example.com"]) == (None, {})
    assert mailbox.kept == []
    await mailbox.stop()
    assert "is down" in str((await mailer_of(mailbox).check_recipients([]))[0])


async def test_a_broken_template_of_the_operator_does_not_keep_an_alert_back(
    world_of: WorldOf, mailbox: MailboxStandin, tmp_path: Path
) -> None:
    override = tmp_path / "own"
    override.mkdir()
    (override / "event.html.j2").write_text("{{ it.misspelt }}")
    world = world_of(OPS, mailer=mailer_of(mailbox))
    _use_templates(world, Templates(override))
    world.tell()
    await world.deliver()
    assert "$4.21 is available" in mailbox.kept[0].part("html")
    assert "your own is wrong (UndefinedError" in attempts(world.store.reader, 1)[0].answer

    (override / "event.html.j2").write_text("<p>Our own words: {{ it.title }}</p>")
    _use_templates(world, Templates(override))
    world.tell()
    await world.deliver()
    assert "Our own words: clips: balance low" in mailbox.kept[1].part("html")


def _use_templates(world: World, templates: Templates) -> None:
    assert world.mailer is not None
    channel = EmailChannel(OPS, world.mailer, templates, MessageContext(BERLIN), world.clock.now)
    world.deliverer = Deliverer(world.queue, [channel], world.clock, Random(1))


def _config(box: MailboxStandin, security: SmtpSecurity, password: str = "") -> SmtpConfig:
    return SmtpConfig(
        host="127.0.0.1",
        port=box.port,
        security=security,
        sender=SENDER,
        username="brimful" if password else "",
        password=SecretStr(password),
    )


def _message() -> Any:
    return new_message(
        sender=SENDER, to=["ops@example.com"], subject="Test", at=START, name="n", text="text\n", html="<p>text</p>"
    )


async def test_while_the_daemon_runs_a_storm_over_some_moments_is_a_few_digests(
    world_of: WorldOf, mailbox: MailboxStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.delivery.worker.GATHER_S", 0.1)
    monkeypatch.setattr("alerts.delivery.worker.GATHER_BUSY_S", 0.4)
    world = world_of(OPS, mailer=mailer_of(mailbox))
    for number in range(50):
        world.tell(account=f"a{number}", episode=None)
        await world.deliverer.start_due(world.clock.now())
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    await world.deliverer.start_due(world.clock.now())
    await world.deliverer.settle()
    assert 2 <= len(mailbox.kept) <= 4
    assert all(state is DeliveryState.DELIVERED for state in world.states())


async def test_a_stop_does_not_wait_for_a_gathering_mail(world_of: WorldOf, mailbox: MailboxStandin) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    world.tell()
    await world.deliverer.start_due(world.clock.now())
    await asyncio.sleep(0)
    async with asyncio.timeout(0.5):
        await world.deliverer.drain()
    assert world.states() == [DeliveryState.PENDING]


async def test_a_message_that_may_have_arrived_stays_whole_whatever_its_events_met_before(
    world_of: WorldOf, mailbox: MailboxStandin
) -> None:
    world = world_of(OPS, mailer=mailer_of(mailbox))
    mailbox.reject_content = True
    world.tell(account="old", episode=None)
    await world.go_on(timedelta(minutes=4))
    mailbox.reject_content, mailbox.lose_answer = False, 1
    world.clock.advance(120)
    world.tell(account="new", episode=None)
    await world.go_on(timedelta(hours=1))

    ids = [kept.message["message-id"] for kept in mailbox.kept]
    assert len(ids) == 2
    assert ids[0] == ids[1]
    for kept in mailbox.kept:
        assert "old: balance low" in kept.part("plain")
        assert "new: balance low" in kept.part("plain")
    assert world.states() == [DeliveryState.DELIVERED] * 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak SMTP"),
        (b"220 " + b"x" * 100_000 + b"\r\n", "does not speak SMTP"),
        (b"554 go away\r\n", "answered 554 go away"),
        (b"", "is down or broke off while connecting"),
    ],
)
async def test_what_is_no_mail_server_is_a_failure_with_a_reason(said: bytes, reason: str) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        config = SmtpConfig(
            host="127.0.0.1", port=server.sockets[0].getsockname()[1], security=SmtpSecurity.NONE, sender=SENDER
        )
        result = await SmtpMailer(config).send(_message(), ["ops@example.com"])
    assert isinstance(result, MailFailed)
    assert reason in result.reason
    assert not result.maybe_arrived
