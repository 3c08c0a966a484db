"""Each period's report is sent once: at its time, after downtime, and again only where it did not arrive."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import daemon.reports.charts
from alerts.model.instants import to_ms
from alerts.model.values import replace
from daemon.clock import SeededIds
from daemon.config.model import Config
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.reports.reporter import Reporter
from daemon.store import Store, reports
from daemon.store.outbox import Outbox
from daemon.work.smtp import SmtpMailer
from tests.helpers_statements import BERLIN, OCTOBER

CRON_TIME = datetime(2026, 11, 1, 8, tzinfo=BERLIN).astimezone(UTC)

THREE = 'finance@example.com", "gone@example.com", "late@example.com'
Make = Callable[..., Reporter]


@pytest.fixture
def charts() -> None:
    """Asked for by a test that wants charts drawn."""


@pytest.fixture(autouse=True)
def _no_charts(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Charts take a second each; the tests that want them say so."""
    if "charts" not in request.fixturenames:
        monkeypatch.setattr(daemon.reports.charts, "CHARTS_PER_REPORT", 0)


def keys(reporter: Reporter, now: datetime) -> list[str]:
    return [one.span.key for one in reporter.due(now)]


async def test_a_report_is_due_when_its_cron_time_has_passed_and_not_before(make_reporter: Make) -> None:
    reporter = make_reporter()
    assert keys(reporter, CRON_TIME - timedelta(seconds=1)) == ["2026-09"]
    assert keys(reporter, CRON_TIME) == ["2026-09", "2026-10"]


async def test_a_report_is_sent_once(make_reporter: Make, mailbox: MailboxStandin) -> None:
    reporter = make_reporter()
    await reporter.send_due(CRON_TIME)
    await reporter.send_due(CRON_TIME + timedelta(hours=1))
    assert [kept.message["Subject"].partition(":")[0] for kept in mailbox.kept] == [
        "Usage statement September 2026",
        "Usage statement October 2026",
    ]
    assert keys(make_reporter(), CRON_TIME + timedelta(days=1)) == [], "another process knows it too"


async def test_periods_before_the_first_reading_are_not_due(make_reporter: Make) -> None:
    assert "2026-08" not in keys(make_reporter(), CRON_TIME)


async def test_after_a_downtime_each_missed_period_is_sent_once(make_reporter: Make, mailbox: MailboxStandin) -> None:
    reporter = make_reporter(period="day", cron="0 8 * * *")
    await reporter.send_due(datetime(2026, 10, 9, 12, tzinfo=BERLIN).astimezone(UTC))
    subjects = [str(kept.message["Subject"]) for kept in mailbox.kept]
    assert len(subjects) == len(set(subjects)) == 9
    assert subjects[-1].startswith("Usage statement 8 October 2026")


async def test_periods_that_a_rare_cron_lets_wait_come_together_oldest_first(
    make_reporter: Make, mailbox: MailboxStandin
) -> None:
    def on(month: int, day: int) -> datetime:
        return datetime(2026, month, day, 8, tzinfo=BERLIN).astimezone(UTC)

    reporter = make_reporter(cron="0 8 31 * *")
    await reporter.send_due(on(10, 31))
    assert [str(kept.message["Subject"])[:30] for kept in mailbox.kept] == ["Usage statement September 2026"]
    assert await reporter.send_due(on(11, 1)) == on(12, 31), "the first fire after October has ended"
    assert await reporter.send_due(on(12, 31)) == datetime(2027, 1, 31, 8, tzinfo=BERLIN)
    assert [str(kept.message["Subject"]).partition(":")[0] for kept in mailbox.kept[1:]] == [
        "Usage statement October 2026",
        "Usage statement November 2026",
    ]


async def test_catching_up_has_a_limit(make_reporter: Make, mailbox: MailboxStandin) -> None:
    reporter = make_reporter(period="day", cron="0 8 * * *")
    assert len(reporter.due(datetime(2027, 3, 1, 12, tzinfo=UTC))) == 40


async def test_a_cron_time_at_the_very_end_of_the_period_counts(make_reporter: Make) -> None:
    assert "2026-10" in keys(make_reporter(cron="0 0 1 * *"), OCTOBER.end)


async def test_send_due_says_when_to_come_back(make_reporter: Make) -> None:
    reporter = make_reporter()
    assert await reporter.send_due(CRON_TIME) == datetime(2026, 12, 1, 8, tzinfo=BERLIN)


async def test_a_mail_server_that_is_down_is_tried_again_with_the_same_message_id(
    make_reporter: Make, mailbox: MailboxStandin, october: Store
) -> None:
    reporter = make_reporter()
    mailbox.reject_content = True
    again_at = await reporter.send_due(CRON_TIME)
    assert again_at == CRON_TIME + timedelta(minutes=1)
    assert reporter.failing() == ["finance 2026-09", "finance 2026-10"]
    assert keys(reporter, CRON_TIME + timedelta(seconds=30)) == []
    failed = reports.sendings(october.reader, "finance")["2026-10"]
    assert (failed.sent_at, failed.failures) == (None, 1)
    assert "554" in failed.last_error
    mailbox.reject_content = False
    assert again_at is not None
    await reporter.send_due(again_at)
    assert reporter.failing() == []
    assert len(mailbox.kept) == 2
    assert mailbox.kept[1].message["Message-ID"] == "<report.finance.2026-10.store_1@example.com>"


async def test_an_answer_that_was_lost_sends_the_same_message_again(
    make_reporter: Make, mailbox: MailboxStandin
) -> None:
    reporter = make_reporter()
    mailbox.lose_answer = 2
    again_at = await reporter.send_due(CRON_TIME)
    assert again_at is not None
    await reporter.send_due(again_at)
    ids = [kept.message["Message-ID"] for kept in mailbox.kept]
    assert len(ids) == 4
    assert len(set(ids)) == 2, "a mail program shows each once"


async def test_sending_by_hand_again_does_not_undo_what_was_sent(
    make_reporter: Make, mailbox: MailboxStandin, october: Store
) -> None:
    reporter = make_reporter()
    await reporter.send_due(CRON_TIME)
    mailbox.reject_content = True
    [report] = reporter._config.reports
    sent = await reporter.send(report, OCTOBER, CRON_TIME)
    assert "554" in sent.error
    assert reports.sendings(october.reader, "finance")["2026-10"].sent_at == CRON_TIME


async def test_a_template_of_the_operator_that_is_wrong_is_told_and_tried_again(
    make_reporter: Make, tmp_path: Path, configure: Callable[..., Config], october: Store
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "report.txt.j2").write_text("{{ no_such_thing }}")
    config = configure()
    reporter = Reporter(replace(config, templates=folder), store=october, mailer=make_reporter()._mailer, name="s")
    await reporter.send_due(CRON_TIME)
    assert "no_such_thing" in reports.sendings(october.reader, "finance")["2026-10"].last_error


async def test_a_report_that_cannot_be_made_is_an_event_and_a_plain_mail_with_what_is_known_once(
    configure: Callable[..., Config], october: Store, mailbox: MailboxStandin, tmp_path: Path
) -> None:
    (tmp_path / "report.html.j2").write_text("{{ it.title }}\n\n{{ it.title + 1 }}\n")
    config = replace(configure(mailbox.port), templates=tmp_path)
    assert config.smtp is not None
    outbox = Outbox("store_1", config.receivers, SeededIds(1))
    reporter = Reporter(config, store=october, mailer=SmtpMailer(config.smtp), name="s", outbox=outbox)
    for minutes in (0, 2, 10):
        await reporter.send_due(CRON_TIME + timedelta(minutes=minutes))
    subjects = [str(kept.message["Subject"]) for kept in mailbox.kept]
    assert subjects == [f"The report finance of {month} 2026 cannot be made" for month in ("September", "October")]
    said = mailbox.kept[1].part("plain")
    assert "the template report.html.j2, line 3: TypeError: can only concatenate str" in said
    assert "Spent            $31.00" in said
    rows = october.reader.execute("SELECT type, body FROM event").fetchall()
    assert [kind for kind, _ in rows] == ["report.failed"] * 2
    data = json.loads(rows[1][1])["data"]
    assert (data["report"], data["period"]) == ("finance", "2026-10")
    assert data["command"] == "brimful report finance --period 2026-10 --send"
    assert "line 3" in data["message"]
    (tmp_path / "report.html.j2").unlink()
    await reporter.send_due(CRON_TIME + timedelta(hours=2))
    assert [str(kept.message["Subject"])[:22] for kept in mailbox.kept[2:]] == [
        "Usage statement Septem",
        "Usage statement Octobe",
    ]


async def test_where_even_the_figures_are_lacking_the_mail_says_so(
    configure: Callable[..., Config], october: Store, mailbox: MailboxStandin
) -> None:
    config = configure(mailbox.port)
    assert config.smtp is not None
    outbox = Outbox("store_1", config.receivers, SeededIds(1))
    reporter = Reporter(config, store=october, mailer=SmtpMailer(config.smtp), name="s", outbox=outbox)
    with october.write(durable=True) as tx:
        tx.execute("INSERT INTO report_basis VALUES ('finance', '2026-10', ?, ?, 0, x'00')",
                   (to_ms(OCTOBER.start), to_ms(OCTOBER.end)))  # fmt: skip
    await reporter.send_due(CRON_TIME)
    assert "Nothing: the figures cannot be gathered." in mailbox.kept[-1].part("plain")


async def test_without_a_mail_server_nothing_is_due(configure: Callable[..., Config], october: Store) -> None:
    assert await Reporter(configure(), store=october, mailer=None, name="s").send_due(CRON_TIME) is None


async def test_a_store_without_readings_has_nothing_to_report(
    configure: Callable[..., Config], store: Store, mailbox: MailboxStandin
) -> None:
    reporter = Reporter(configure(), store=store, mailer=None, name="s")
    assert reporter.due(CRON_TIME) == []


@pytest.mark.usefixtures("charts")
async def test_the_mail_carries_text_html_chart_and_csv(make_reporter: Make, mailbox: MailboxStandin) -> None:
    await make_reporter().send_due(CRON_TIME)
    message = mailbox.kept[1].message
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "image/png",
        "text/csv",
        "text/csv",
        "text/csv",
    ]
    html = mailbox.kept[1].part("html")
    assert 'src="cid:clips-2026-10.png"' in html
    assert "Available of Video tracking, October 2026: from $49.75 to $18.75" in html
    assert "Spent over all accounts, October 2026: $31.00 by the end" in html
    assert "prefers-color-scheme: dark" in html
    assert message["Auto-Submitted"] == "auto-generated"
    assert "Spent            $31.00" in mailbox.kept[1].part("plain")


async def test_a_report_whose_charts_fail_is_sent_all_the_same(
    make_reporter: Make, mailbox: MailboxStandin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no display')")
    monkeypatch.setattr(daemon.reports.charts, "CHARTS_PER_REPORT", 9)
    monkeypatch.setattr(daemon.reports.charts, "_CHILD", broken)
    await make_reporter().send_due(CRON_TIME)
    assert "image/png" not in [part.get_content_type() for part in mailbox.kept[1].message.walk()]
    assert "Available at the start" in mailbox.kept[1].part("html")


async def test_an_address_that_is_refused_is_told_and_the_others_have_the_report_once(
    make_reporter: Make, mailbox: MailboxStandin, october: Store
) -> None:
    reporter = make_reporter(to='finance@example.com", "gone@example.com')
    mailbox.refuse.add("gone@example.com")
    await reporter.send_due(CRON_TIME)
    assert [kept.to for kept in mailbox.kept] == [("finance@example.com",), ("finance@example.com",)]
    assert reporter.failing() == ["finance 2026-09", "finance 2026-10"]
    assert reporter.due(CRON_TIME + timedelta(days=1)) == []
    assert "gone@example.com: 550" in reports.sendings(october.reader, "finance")["2026-10"].last_error


async def test_an_address_that_puts_the_report_off_gets_it_later_and_the_others_once(
    make_reporter: Make, mailbox: MailboxStandin, october: Store
) -> None:
    reporter = make_reporter(to=THREE)
    mailbox.refuse, mailbox.greylist = {"gone@example.com"}, {"late@example.com"}
    again_at = await reporter.send_due(CRON_TIME)
    assert again_at == CRON_TIME + timedelta(minutes=1)
    assert [kept.to for kept in mailbox.kept] == [("finance@example.com",)] * 2
    kept = reports.sendings(october.reader, "finance")["2026-10"]
    assert kept.sent_at == CRON_TIME
    assert kept.last_error == "gone@example.com: 550 5.1.1 no such mailbox"
    assert kept.waiting == {"late@example.com": "450 4.2.0 greylisted, try again later"}

    again_at = await reporter.send_due(again_at)
    assert again_at == CRON_TIME + timedelta(minutes=6)
    await mailbox.stop()
    again_at = await reporter.send_due(again_at)
    assert again_at == CRON_TIME + timedelta(minutes=36), "a server that is down meanwhile changes nothing"
    await mailbox.start()
    mailbox.greylist = set()
    await reporter.send_due(again_at)
    assert [kept.to for kept in mailbox.kept[2:]] == [("late@example.com",)] * 2
    assert len({kept.message["Message-ID"] for kept in mailbox.kept}) == 2
    assert reporter.due(CRON_TIME + timedelta(days=1)) == []
    kept = reports.sendings(october.reader, "finance")["2026-10"]
    assert (kept.waiting, kept.sent_at) == ({}, CRON_TIME)
    assert kept.last_error == "gone@example.com: 550 5.1.1 no such mailbox"


async def test_an_address_that_puts_the_report_off_for_days_is_given_up_and_named(
    make_reporter: Make, mailbox: MailboxStandin, october: Store
) -> None:
    reporter = make_reporter(to=THREE)
    mailbox.greylist = {"late@example.com"}
    at: datetime | None = CRON_TIME
    while at is not None and at < CRON_TIME + timedelta(days=7):
        last, at = at, await reporter.send_due(at)
    assert timedelta(days=2) < last - CRON_TIME < timedelta(days=5)
    kept = reports.sendings(october.reader, "finance")["2026-10"]
    assert (kept.waiting, kept.last_error) == ({}, "late@example.com: 450 4.2.0 greylisted, try again later")
    assert len(mailbox.kept) == 2


async def test_a_report_that_every_address_refuses_is_not_sent_and_is_tried_again(
    make_reporter: Make, mailbox: MailboxStandin, october: Store
) -> None:
    reporter = make_reporter()
    mailbox.greylist = {"finance@example.com"}
    again_at = await reporter.send_due(CRON_TIME)
    failed = reports.sendings(october.reader, "finance")["2026-10"]
    assert failed.sent_at is None
    assert "finance@example.com: 450" in failed.last_error
    assert again_at == CRON_TIME + timedelta(minutes=1)
    mailbox.greylist = set()
    await reporter.send_due(again_at)
    assert len(mailbox.kept) == 2


async def test_an_address_that_is_configured_no_more_is_waited_for_no_more(
    make_reporter: Make, mailbox: MailboxStandin
) -> None:
    mailbox.greylist = {"late@example.com"}
    again_at = await make_reporter(to=THREE).send_due(CRON_TIME)
    assert again_at is not None
    assert make_reporter().due(again_at) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"to": ("nobody",)}, "AddressError"),  # nothing that a configuration lets through
        ({"id": "a-broken"}, "report.txt.j2, line 2: ZeroDivisionError"),  # the operator's own template
    ],
)
async def test_a_report_that_cannot_be_made_holds_up_no_other(
    configure: Callable[..., Config],
    october: Store,
    mailbox: MailboxStandin,
    tmp_path: Path,
    fault: dict[str, object],
    said: str,
) -> None:
    (tmp_path / "report.txt.j2").write_text("\n{{ 1 / (0 if facts.report == 'a-broken' else 1) }}")
    config = configure(mailbox.port)
    assert config.smtp is not None
    (finance,) = config.reports
    broken = replace(finance, **{"id": "b-broken", **fault})
    both = replace(config, reports=(broken, finance), templates=tmp_path)
    reporter = Reporter(both, store=october, mailer=SmtpMailer(config.smtp), name="s")
    again_at = await reporter.send_due(CRON_TIME)
    assert [kept.message["Subject"].partition(":")[0] for kept in mailbox.kept] == [
        "Usage statement September 2026",
        "Usage statement October 2026",
    ]
    assert reporter.failing() == [f"{broken.id} 2026-09", f"{broken.id} 2026-10"]
    assert again_at == CRON_TIME + timedelta(minutes=1), "it is tried again, and not at every pass"
    assert said in reports.sendings(october.reader, broken.id)["2026-10"].last_error
