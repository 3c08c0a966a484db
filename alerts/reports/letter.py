"""The report as a mail: text and HTML beside each other, charts inside by content-id, the CSV attached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage

from alerts.mail import new_message
from alerts.reports.report import Report


def compose(report: Report, *, sender: str, to: Sequence[str], name: str, at: datetime) -> EmailMessage:
    """Return the message. A report has the same `name` on every try, so that a mail program shows it once."""
    message = new_message(
        sender=sender, to=to, subject=report.subject, at=at, name=name, text=report.text, html=report.html
    )
    html = message.get_payload(1)
    assert isinstance(html, EmailMessage)
    for picture in report.pictures:
        cid = f"<{picture.cid}>"
        html.add_related(picture.png, "image", "png", cid=cid, filename=picture.cid, disposition="inline")
    if report.csv is not None:
        attached, charset = f"{report.stem}.csv", {"charset": "utf-8"}
        message.add_attachment(report.csv.encode(), maintype="text", subtype="csv", filename=attached, params=charset)
    return message
