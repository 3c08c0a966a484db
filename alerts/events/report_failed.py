"""`report.failed`: a report that cannot be made."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from alerts.model.events import EventDraft, EventType, Severity
from alerts.model.instants import rfc3339
from alerts.model.spans import Span


def failed_report(report: str, span: Span, why: str, now: datetime) -> EventDraft:
    """Return the event. Its id derives from report, period and reason: told again, it is the same event."""
    digest = sha256(f"{report}:{span.key}:{why}".encode()).hexdigest()[:32]
    return EventDraft(
        type=EventType.REPORT_FAILED,
        at=now,
        data={
            "report": report,
            "period": span.key,
            "message": why,
            "action": "Put right what the message names. It is tried again by itself, or at once by the command.",
            "command": f"brimful report {report} --period {span.key} --send",
            "observed_at": rfc3339(now),
        },
        severity=Severity.WARNING,
        id=f"evt_{digest}",
    )
