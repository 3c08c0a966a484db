"""An HTTP server that answers as it is told and keeps what it was asked, and accounts that ask it over a socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from alerts.model.readings import Reading
from daemon.clock import ManualClock
from daemon.config.model import AccountConfig
from daemon.net.http import HttpClient
from daemon.sources.fetcher import Fetcher
from tests.helpers_config import look
from tests.helpers_sources import NOW


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    """By small name."""
    body: str


@dataclass(slots=True)
class Api:
    """What is answered next, and what was asked."""

    url: str = ""
    status: int = 200
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving_api() -> Iterator[Api]:
    """Serve on a port of its own."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.asked.append(Asked(self.command, self.path, headers, self.rfile.read(length).decode()))
            body = api.body.encode()
            self.send_response(api.status)
            for name, value in {"content-length": str(len(body)), **api.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 – the library's name

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        yield api
        server.shutdown()
        thread.join()


def configured(folder: Path, text: str, environ: Mapping[str, str]) -> AccountConfig:
    """Return the one account of a configuration that `check` accepts."""
    found = look(folder, text, environ)
    assert found.config is not None, [str(problem) for problem in found.problems]
    (account,) = found.config.accounts.values()
    return account


async def ask(account: AccountConfig) -> Reading:
    """Ask once, over a socket."""
    http = HttpClient()
    try:
        return await Fetcher(http, ManualClock(NOW)).fetch(account)
    finally:
        await http.aclose()
