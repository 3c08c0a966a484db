"""Writes the demo's mails: each as one HTML file with its pictures, and the report's CSV."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.standins.mailbox import StoredMail

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class WrittenMail:
    """One mail as a file: its recipients, its subject and its path."""

    to: str
    subject: str
    path: Path
    attachments: tuple[Path, ...]


def write_mails(kept: list[StoredMail], folder: Path) -> list[WrittenMail]:
    """Write each mail as `mails/03-subject.html` with its pictures inside, attachments beside the folder."""
    into = folder / "mails"
    into.mkdir(exist_ok=True)
    written = []
    for number, mail in enumerate(kept, 1):
        subject = str(mail.message["Subject"])
        path = into / f"{number:02}-{_NOT_IN_A_NAME.sub('-', subject.lower()).strip('-')[:60]}.html"
        path.write_text(_with_pictures(mail), encoding="utf-8")
        written.append(WrittenMail(", ".join(mail.to), subject, path, _write_attachments(mail, folder)))
    return written


def _with_pictures(mail: StoredMail) -> str:
    html = mail.part("html")
    for part in mail.message.walk():
        cid = part["Content-ID"]
        if cid is not None and part.get_content_maintype() == "image":
            data = base64.b64encode(part.get_payload(decode=True) or b"").decode()  # type: ignore[arg-type]  # bytes for a leaf
            html = html.replace(f"cid:{str(cid).strip('<>')}", f"data:{part.get_content_type()};base64,{data}")
    return html


def _write_attachments(mail: StoredMail, folder: Path) -> tuple[Path, ...]:
    paths = []
    for part in mail.message.iter_attachments():
        name = part.get_filename()
        payload = part.get_payload(decode=True)
        if name and isinstance(payload, bytes):
            path = folder / Path(name).name
            path.write_bytes(payload)
            paths.append(path)
    return tuple(paths)
