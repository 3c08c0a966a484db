"""The process: time zone, folders, mail server, page and heartbeat."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from daemon.config.lint.facts import LintFacts
from daemon.config.model import SmtpSecurity
from daemon.config.problems import ProblemId, Problems, quoted, suggestion
from daemon.config.reading import Item
from daemon.config.schema import ApiTable, SmtpTable
from daemon.config.secret import Secrets
from daemon.config.urls import Plain, is_loopback
from daemon.places import ServerUrl, has_password, problem_of

KEEP_AT_LEAST = timedelta(days=1)


MASTER_KEY_BYTES = 32
TOKEN_CHARACTERS = 16
"""The shortest token of the page that is taken beyond this machine."""


def lint(facts: LintFacts) -> None:
    if facts.tables.smtp is not None:
        _lint_smtp(facts, facts.tables.smtp)
    _lint_page(facts)
    _lint_api(facts)
    keep = facts.tables.store.table.keep_readings
    if keep is not None and keep < KEEP_AT_LEAST:
        said = "a day of readings is the least that rules and reports look back on"
        facts.note(ProblemId.VALUE_RANGE, facts.tables.store, "keep_readings", said, 'the default is "90d"')
    url = facts.secret("heartbeat.url")
    if url:
        facts.note_url(facts.tables.heartbeat, "url", url, Plain.OWN)


def zone(name: str, problems: Problems) -> ZoneInfo:
    """Return the time zone; note an unknown one and return UTC."""
    known = available_timezones()
    if name in known:
        return ZoneInfo(name)
    hint = suggestion(name, known) or 'such as "Europe/Berlin"'
    said = f"there is no time zone {word}" if (word := quoted(name)) else "there is no such time zone"
    problems.add(ProblemId.TIMEZONE_UNKNOWN, "timezone", said, hint)
    return ZoneInfo("UTC")


def listen_at(text: str) -> tuple[str | None, int] | None:
    """Return host and port of `127.0.0.1:9750` or `[::1]:9750`, (None, 0) for the empty text; None if invalid."""
    if not text:
        return None, 0
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in host and bare == host):
        return None
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        return None
    return bare, int(port)


def store_folder(path: Path, problems: Problems) -> None:
    """Note a folder in which the database cannot be created."""
    folder = path.parent
    if not folder.is_dir():
        problems.add(ProblemId.STORE_FOLDER, "store.path", f"the folder {folder} does not exist", f"mkdir -p {folder}")
    elif not os.access(folder, os.W_OK):
        said = f"this user may not write to the folder {folder}"
        problems.add(ProblemId.STORE_FOLDER, "store.path", said, "check it as the user that the daemon runs as")


def server_of(written: str, path: str, secrets: Secrets, problems: Problems) -> ServerUrl:
    """Return the server of a store; note a URL that is none, and a password that stands in the configuration."""
    url = ServerUrl(secrets.resolve(written, "store.url", literal_is_ok=not has_password(written)).get_secret_value())
    if url.text and (said := problem_of(url.text)):
        hint = 'such as "env:DATABASE_URL", which holds postgresql://user:password@host/name'
        problems.add(ProblemId.URL_INVALID, "store.url", said, hint)
    if path:
        said = "a store is a file or on a server: path and url exclude each other"
        problems.add(ProblemId.VALUE_INVALID, "store.path", said, "take one of them out")
    return url


def store_of_unit(written: str, path: Path, environ: Mapping[str, str], problems: Problems) -> None:
    """Note a database whose folder only systemd's unit knows: a command in a shell finds another one, or none."""
    if "INVOCATION_ID" in environ and environ.get("STATE_DIRECTORY") and not Path(written).expanduser().is_absolute():
        said = "its folder is known to systemd's unit alone: `brimful topups pause` in a shell does not find it"
        problems.add(ProblemId.STORE_FOLDER, "store.path", said, f'write path = "{path}"')


def templates_folder(path: Path, problems: Problems) -> None:
    """Note a missing folder of templates, and files in it that replace no built-in one."""
    if not path.is_dir():
        problems.add(ProblemId.TEMPLATES_MISSING, "templates", f"the folder {path} does not exist")
        return
    built_in = _built_in_templates()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if built_in and file.is_file() and not name.startswith(".") and name not in built_in:
            said = f"no built-in template is called {name}: it replaces nothing"
            problems.add(ProblemId.TEMPLATES_UNKNOWN, "templates", said, suggestion(name, built_in))


def _built_in_templates() -> frozenset[str]:
    import alerts

    inside = Path(alerts.__file__).parent
    for folder in (inside / "_templates", inside.parent / "templates"):
        if folder.is_dir():
            return frozenset(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return frozenset()


def _lint_smtp(facts: LintFacts, item: Item[SmtpTable]) -> None:
    table = item.table
    if table.username and "password" not in table.given:
        facts.note(ProblemId.SMTP_LOGIN, item, "password", "a username without a password", 'write "env:NAME"')
    if table.security is not SmtpSecurity.NONE or table.host is None or is_loopback(table.host):
        return
    what = "the password crosses" if table.username else "mails cross"
    hint = 'write security = "starttls" or "tls"'
    facts.note(ProblemId.SMTP_PLAIN, item, "security", f"{what} the network unencrypted", hint)


def master_key_paths(item: Item[ApiTable]) -> tuple[str, ...]:
    """Return the key paths of the master keys, the current one first."""
    count, path = len(item.table.master_key or ()), item.at("master_key")
    return (path,) if count == 1 else tuple(f"{path}[{index}]" for index in range(count))


def _lint_api(facts: LintFacts) -> None:
    item = facts.tables.api
    if not item.table.enabled:
        return
    for path in master_key_paths(item):
        if (key := facts.secret(path)) and not is_master_key(key):
            hint = "make one by: openssl rand -base64 32"
            facts.problems.add(ProblemId.API_MASTER_KEY, path, "a master key is 32 bytes, in base64", hint)
    if not facts.tables.http.table.listen:
        said = "there is no [http] listen to serve the API at: the command line alone manages accounts"
        facts.note(ProblemId.API_UNSERVED, item, "enabled", said, 'write listen = "127.0.0.1:9750"')


def is_master_key(text: str) -> bool:
    """Whether a text is 32 bytes, in base64."""
    try:
        return len(b64decode(text, validate=True)) == MASTER_KEY_BYTES
    except ValueError:
        return False


def _lint_page(facts: LintFacts) -> None:
    item = facts.tables.http
    place = listen_at(item.table.listen)
    if place is None:
        hint = 'such as "127.0.0.1:9750"; "" turns the page off'
        facts.note(ProblemId.HTTP_LISTEN, item, "listen", "an address and a port are expected", hint)
        return
    host, _ = place
    if host is None or is_loopback(host):
        return
    if not item.table.token:
        said = "others than this machine can read the page, and there is no token"
        facts.note(ProblemId.HTTP_OPEN, item, "token", said, 'write token = "env:NAME", or listen on 127.0.0.1')
    elif 0 < len(facts.secret("http.token")) < TOKEN_CHARACTERS:
        said = f"others than this machine can guess a token of fewer than {TOKEN_CHARACTERS} characters"
        facts.note(ProblemId.HTTP_TOKEN_SHORT, item, "token", said, "draw one, as by `openssl rand -hex 32`")
