"""A webhook receiver for Brimful in Python, with the standard library alone: verify, answer at once, credit once.

    WEBHOOK_SECRET=whsec_… python receiver.py 8000

For FastAPI, Flask or Django, take `verify` and `handle` as they are; give `verify` the raw body, not the parsed one.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 5 * 60


def verify(secrets: list[str], headers: dict[str, str], body: bytes) -> dict:
    """Return the event, or raise ValueError. Several secrets: while one replaces another, either is good."""
    message_id, sent_at = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(sent_at)) > TOLERANCE_S:
        raise ValueError("too old, or from the future: a replay, or a clock that is wrong")
    signed = f"{message_id}.{sent_at}.".encode() + body
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        for signature in headers["webhook-signature"].split(" "):
            version, _, value = signature.partition(",")
            if version == "v1" and hmac.compare_digest(value.encode(), expected):
                return json.loads(body)
    raise ValueError("no signature fits: not from Brimful, or changed on the way")


class Events:
    """What has been seen. The same id may come again (at least once): the second time changes nothing."""

    def __init__(self, path: str) -> None:
        self.path = path
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")
            db.execute("CREATE TABLE IF NOT EXISTS credit (payment_intent TEXT PRIMARY KEY, account TEXT, usd REAL)")

    def handle(self, message_id: str, event: dict) -> bool:
        """Take the event; returns whether it was new. The note and its effect are one transaction."""
        with sqlite3.connect(self.path) as db:
            if db.execute("INSERT OR IGNORE INTO seen (id) VALUES (?)", (message_id,)).rowcount == 0:
                return False
            data = event["data"]
            if event["type"] == "topup.succeeded":  # credit once per payment_intent, whatever comes how often
                db.execute(
                    "INSERT OR IGNORE INTO credit VALUES (?, ?, ?)",
                    (data["payment_intent"], data["account"], data["amount_usd"]),
                )
            elif event["type"] == "balance.low":
                print(f"{data['account']}: {data['available_usd']} dollars left", flush=True)
            return True


class Handler(BaseHTTPRequestHandler):
    secrets: list[str]
    events: Events

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = verify(self.secrets, headers, body)
        except (KeyError, ValueError) as error:
            self.answer(400, str(error))
        else:
            new = self.events.handle(headers["webhook-id"], event)
            self.answer(200, "taken" if new else "known already")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    Handler.secrets = os.environ["WEBHOOK_SECRET"].split()
    Handler.events = Events(os.environ.get("EVENTS_DB", "events.db"))
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
