"""The report as a mail: text and HTML beside each other, charts inside by content-id, the CSV attached."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from alerts.reports import Report


def compose(report: Report, *, sender: str, to: tuple[str, ...], message_id: str, at: datetime) -> EmailMessage:
    """Return the message. A report has the same `message_id` on every try, so that a mail program shows it once."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = report.subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(report.text)
    message.add_alternative(report.html, subtype="html")
    html = message.get_payload(1)
    assert isinstance(html, EmailMessage)
    for picture in report.pictures:
        html.add_related(
            picture.png, "image", "png", cid=f"<{picture.cid}>", filename=picture.cid, disposition="inline"
        )
    if report.csv is not None:
        message.add_attachment(
            report.csv.encode(),
            maintype="text",
            subtype="csv",
            filename=f"{report.stem}.csv",
            params={"charset": "utf-8"},
        )
    return message
