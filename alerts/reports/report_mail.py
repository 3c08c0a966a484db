"""The report as a mail: text and HTML beside each other, charts inside by content-id, its files attached.

Also the plain mail that goes out where a report cannot be made: that it failed, where, and what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from html import escape

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
    for one in report.attachments:
        main, _, sub = one.kind.partition("/")
        if main == "text":  # as it is read, not a third longer
            text = one.content.decode()
            message.add_attachment(text, subtype=sub, filename=one.name, charset="utf-8", cte="quoted-printable")
        else:
            message.add_attachment(one.content, maintype=main, subtype=sub, filename=one.name)
    return message


def compose_failure(
    title: str, lines: Sequence[str], *, sender: str, to: Sequence[str], name: str, at: datetime
) -> EmailMessage:
    """Return the plain mail in place of a report that cannot be made."""
    text = "\n".join([title, "", *lines, ""])
    html = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
    html += f"<body><pre>{escape(text)}</pre></body></html>"
    return new_message(sender=sender, to=to, subject=title, at=at, name=name, text=text, html=html)
