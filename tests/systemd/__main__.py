"""Type docs/install.md in a booted Debian, then do what goes wrong, and print what held: `make systemd-test`."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.systemd.container import ROOT, Container, booted

SECRETS = {"CONTENTSTATS_API_KEY": "cs_test_clips", "STRIPE_API_KEY": "sk_test_123"}
NEW_SECRET = "whsec_" + "QUJD" * 8
SCORE_AT_MOST = 1.5
DATABASE_URL = "postgresql://brimful:pg_s3cret@127.0.0.1/brimful"
FILE = 'path = "/var/lib/brimful/brimful.db"'
WATCHDOG = "[Service]\nWatchdogSec=6\nRestartSec=1\n"
"""The unit's own watchdog waits two minutes: here it is asked to be quicker."""
CONFIG = """
[store]
path = "/var/lib/brimful/brimful.db"
[stripe]
api_key = "credential:STRIPE_API_KEY"
mode = "test"
api_base = "{stripe}"
[smtp]
host = "127.0.0.1"
port = {mail}
sender = "Brimful <brimful@example.com>"
[accounts.clips]
provider = "contentstats"
base_url = "{usage}"
api_key = "credential:CONTENTSTATS_API_KEY"
poll = "* * * * *"
[accounts.clips.topup]
when_below_usd = 10.00
amount_usd = 50.00
customer = "cus_123"
payment_method = "pm_123"
max_charge_usd = 200.00
max_per_day_usd = 100.00
max_per_month_usd = 500.00
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5.00
[[webhooks]]
id = "app"
url = "{hook}"
secret = "credential:WEBHOOK_SECRET"
allow_http = true
[[emails]]
id = "ops"
to = ["ops@example.com"]
"""


class Trial:
    """One run: the machine, and what it was seen to do."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.read = container.read
        self.until = container.until
        self.config = ""
        self.secret = NEW_SECRET

    # ── the page ────────────────────────────────────────────────────────────────────────────────────────────────

    def type_page(self) -> str:
        """Type every line of the page's shell blocks, in their order."""
        typed = 0
        exports = ""
        for line in page_lines():
            if line.startswith("apt-get "):
                self.read("command -v python3")  # the machine has no network: it was made with them
            elif line.startswith("editor "):
                if not self.config:
                    self.start_standins()
                self.write("/etc/brimful/config.toml", self.config)
            elif line.startswith("export "):
                exports = f"{line}; "
            else:
                self.read(exports + self.filled(line))
                if line == "brimful install-unit":
                    self.read("mkdir -p /etc/systemd/system/brimful.service.d")
                    self.write("/etc/systemd/system/brimful.service.d/test.conf", WATCHDOG)
            typed += 1
        return f"{typed} lines"

    def filled(self, line: str) -> str:
        """Return the line with real secrets where the page has dots."""
        for name, secret in SECRETS.items():
            if f"/{name} " in line:
                return re.sub(r"<<<'.*'", f"<<<'{secret}'", line)
        return re.sub(r"<<<'whsec_…'", f"<<<'{self.secret}'", line)

    def start_standins(self) -> None:
        """Start what the daemon will ask, from a copy of its environment, which an upgrade leaves alone."""
        self.read("cp -a /opt/brimful /opt/standins")
        self.read("systemd-run --unit standins /opt/standins/bin/python /root/standins/standins.py")
        self.until("cat /run/standins/where.json", "mail")
        self.config = CONFIG.format(**json.loads(self.read("cat /run/standins/where.json")))
        code = "from daemon.demo.standins.receiver import TEST_SECRET; print(TEST_SECRET)"
        self.secret = self.read(f"/opt/standins/bin/python -c '{code}'")
        self.read(f"install -m 0600 /dev/stdin /etc/brimful/secrets/WEBHOOK_SECRET <<<'{self.secret}'")

    # ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────

    def write(self, path: str, text: str) -> None:
        self.read(f"cat >{path} <<'END'\n{text}\nEND")

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read("cat /run/standins/state.json"))
        return found

    def tell(self, command: str) -> None:
        before = self.state()["done"]
        self.read(f"echo '{command}' >>/run/standins/commands")
        self.wait(lambda: self.state()["done"] > before, "the stand-ins do as they are told")

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 100.0) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends, f"not within {seconds:g} s: {what}\n{self.journal()}"
            time.sleep(0.5)

    def journal(self, more: str = "") -> str:
        return self.container.run(f"journalctl --no-pager -q -u brimful {more} | tail -n 40").stdout

    def show(self, name: str) -> str:
        return self.read(f"systemctl show brimful -P {name}")

    def pid(self) -> int:
        return int(self.show("MainPID"))

    def is_fresh(self) -> bool:
        return (
            '"fresh":true'
            in self.container.run(
                '/opt/brimful/bin/python -c "import urllib.request as u;'
                "print(u.urlopen('http://127.0.0.1:9750/healthz').read().decode())\""
            ).stdout
        )

    def is_well(self) -> bool:
        return self.show("ActiveState") == "active" and self.is_fresh()

    # ── the rows ────────────────────────────────────────────────────────────────────────────────────────────────

    def starts(self) -> str:
        self.wait(self.is_well, "active and fresh")
        assert self.show("User") == "brimful"
        return self.show("StatusText")

    def polls(self) -> str:
        before = self.state()["asked"]
        self.wait(lambda: self.state()["asked"] > before, "asked again")
        return f"asked {self.state()['asked']} times"

    def charges_once(self) -> str:
        self.wait(lambda: "topup.credited" in self.state()["events"], "the credit was seen", 250)
        state = self.state()
        assert (state["charges"], state["events"].count("topup.succeeded")) == (1, 1), state
        assert state["events"].count("balance.low") == 1, state
        return "1 charge, 1 balance.low, 1 topup.succeeded"

    def journal_has_fields(self) -> str:
        lines = self.read("journalctl -q -o json ACCOUNT=clips -p warning | head -n 1")
        found = json.loads(lines)
        assert (found["EVENT"], found["SYSLOG_IDENTIFIER"], found["_SYSTEMD_UNIT"]) == (
            "alert", "brimful", "brimful.service",
        )  # fmt: skip
        steps = self.read("journalctl -q -u brimful EVENT=charge -o json --output-fields=STEP")
        named = [json.loads(line)["STEP"] for line in steps.splitlines()]
        assert named[:5] == ["planned", "creating", "created", "confirming", "paid"], named
        assert self.read("journalctl -q -u brimful EVENT=stripe CALL=payment_intents.confirm | wc -l") == "1"
        assert self.read("journalctl -q -u brimful EVENT=delivery RECEIVER=webhook:app STATUS=200 | wc -l") != "0"
        text = self.read("journalctl -q --no-pager -o export")
        for secret in (*SECRETS.values(), self.secret.removeprefix("whsec_")):
            assert secret not in text, "a secret stands in the journal"
        return "ACCOUNT, EVENT, STEP, CALL, RECEIVER, STATUS; no secret"

    def hangs_and_comes_back(self) -> str:
        pid = self.pid()
        self.read(f"kill -STOP {pid}")
        self.wait(lambda: self.pid() not in (0, pid), "killed by the watchdog and started again")
        self.wait(self.is_well, "well again")
        assert "watchdog" in self.read("journalctl -q --no-pager | grep -i brimful.service").lower()
        return "Result=watchdog, a new process"

    def survives_a_kill(self) -> str:
        pid = self.pid()
        self.read(f"kill -KILL {pid}")
        self.wait(lambda: self.pid() not in (0, pid), "started again")
        self.wait(self.is_well, "well again")
        assert self.state()["charges"] == 1
        return "no second charge"

    def reloads(self) -> str:
        pid, good = self.pid(), self.config
        self.write("/etc/brimful/config.toml", good.replace('kind = "low_balance"', 'kind = "lwo_balance"'))
        done = self.container.run("systemctl reload brimful")
        assert done.returncode != 0, "a file that is wrong was said to be reloaded"
        assert 'there is no kind of rule "lwo_balance"' in self.journal()
        self.write("/etc/brimful/config.toml", good.replace("below_usd = 5.00", "below_usd = 6.00"))
        self.read("systemctl reload brimful")
        self.until("journalctl -q -u brimful EVENT=reload OUTCOME=taken -o json", "restart brimful")
        assert self.pid() == pid
        self.wait(self.is_well, "well")
        return "a wrong file fails the reload with its reason; a good one is taken"

    def rotates_a_credential(self) -> str:
        self.read(f"install -m 0600 /dev/stdin /etc/brimful/secrets/WEBHOOK_SECRET <<<'{NEW_SECRET}'")
        self.read("systemctl restart brimful")
        self.wait(self.is_well, "well")
        assert self.read(f"cat /proc/{self.pid()}/root/run/credentials/brimful.service/WEBHOOK_SECRET") == NEW_SECRET
        self.read(f"install -m 0600 /dev/stdin /etc/brimful/secrets/WEBHOOK_SECRET <<<'{self.secret}'")
        self.read("systemctl restart brimful")
        return "the restarted daemon has the new one"

    def outlives_a_full_disk(self) -> str:
        self.read("systemctl stop brimful && mkdir -p /root/kept && cp -a /var/lib/brimful/. /root/kept/")
        self.read("mount -t tmpfs -o size=8m,mode=0700 tmpfs /var/lib/brimful && cp -a /root/kept/. /var/lib/brimful/")
        self.read("chown brimful: /var/lib/brimful && systemctl start brimful")
        self.wait(self.is_well, "well on a small disk")
        pid = self.pid()
        self.read("dd if=/dev/zero of=/var/lib/brimful/filler bs=64k 2>/dev/null || true")
        self.tell("balance 30.00")
        self.wait(lambda: not self.is_fresh(), "not fresh while the disk is full", 150)
        assert self.pid() == pid
        self.read("rm /var/lib/brimful/filler")
        self.wait(self.is_well, "well again", 150)
        assert self.pid() == pid
        return "not fresh while full, the same process after"

    def waits_for_a_full_disk_at_start(self) -> str:
        self.read("systemctl stop brimful")
        self.read(
            "rm -f /var/lib/brimful/brimful.db*; dd if=/dev/zero of=/var/lib/brimful/filler bs=4k 2>/dev/null || true"
        )
        self.read("systemctl start --no-block brimful")
        self.until("systemctl show brimful -P StatusText", "cannot start yet")
        time.sleep(20)
        assert self.show("ActiveState") == "activating"
        self.read("rm /var/lib/brimful/filler")
        self.wait(self.is_well, "started by itself", 100)
        self.read("systemctl stop brimful && umount /var/lib/brimful && systemctl start brimful")
        self.wait(self.is_well, "well on its own disk")
        return "activating while full, active after"

    def says_whose_a_restored_copy_is(self) -> str:
        self.read("systemctl stop brimful && rm -f /var/lib/brimful/brimful.db-*")
        self.read(
            "install -m 0600 /root/brimful-backup.db /var/lib/brimful/brimful.db && systemctl start --no-block brimful"
        )
        said = self.until("systemctl show brimful -P StatusText", "belongs to root")
        self.read("chown brimful: /var/lib/brimful/brimful.db")
        self.wait(self.is_well, "well")
        return said.strip()[:110]

    def gives_up_only_where_a_person_is_needed(self) -> str:
        self.write(
            "/etc/systemd/system/brimful-failed.service", "[Service]\nType=oneshot\nExecStart=/bin/touch /run/told"
        )
        self.write("/etc/systemd/system/brimful.service.d/told.conf", "[Unit]\nOnFailure=brimful-failed.service")
        self.write("/etc/brimful/config.toml", "nonsense = 1")
        self.read("systemctl daemon-reload")
        self.container.run("systemctl restart brimful")
        self.until("ls /run/told", "/run/told\n")
        assert self.show("ActiveState") == "failed"
        self.write("/etc/brimful/config.toml", self.config)
        self.read("systemctl restart brimful")
        self.wait(self.is_well, "well")
        return "exit 2 is failed, OnFailure= was started"

    def is_sandboxed(self) -> str:
        said = self.read("systemd-analyze security --no-pager brimful | tail -n 1")
        score = float(re.search(r"([\d.]+) ", said.partition("brimful.service:")[2]).group(1))  # type: ignore[union-attr]
        assert score <= SCORE_AT_MOST, said
        return f"score {score}"

    def several_share_one_postgresql(self) -> str:
        """As docs/scaling.md says: two on this machine, one is killed and comes back, both stop cleanly."""
        self.read("systemctl disable --now brimful && systemctl start postgresql")
        for words in (
            "ROLE brimful LOGIN PASSWORD 'pg_s3cret'",
            "DATABASE brimful OWNER brimful TEMPLATE template0 ENCODING UTF8",
        ):
            self.read(f'runuser -u postgres -- psql -qc "CREATE {words}"')
        self.read(f"install -m 0600 /dev/stdin /etc/brimful/secrets/DATABASE_URL <<<'{DATABASE_URL}'")
        self.write("/etc/brimful/config.toml", self.config.replace(FILE, 'url = "credential:DATABASE_URL"'))
        self.read("cp /root/dist/brimful@.service /etc/systemd/system/ && systemctl daemon-reload")
        charges = self.state()["charges"]
        self.read("systemctl start brimful@1 brimful@2")
        self.wait(lambda: self.shares() == {"1": 128, "2": 128}, "two hold half each")
        pid = self.read("systemctl show brimful@1 -P MainPID")
        self.read(f"kill -KILL {pid}")
        killed = time.monotonic()
        self.wait(lambda: self.read("systemctl show brimful@1 -P MainPID") not in ("0", pid), "started again")
        self.wait(lambda: self.shares() == {"1": 128, "2": 128}, "the killed one has its half again")
        back_s = time.monotonic() - killed
        stopped = time.monotonic()
        self.read("systemctl stop brimful@1 brimful@2")
        took_s = time.monotonic() - stopped
        ends = self.read("systemctl show brimful@1 brimful@2 -P Result -P ExecMainStatus").split()
        assert (ends, self.shares()) == (["success", "0", "success", "0"], {}), ends
        found = self.container.run("journalctl -q --no-pager | grep pg_s3cret").stdout
        assert not found, f"a secret stands in the journal: {found}"
        assert self.state()["charges"] == charges, self.state()
        return f"kill -9: back with its half in {back_s:.0f} s; both stopped in {took_s:.1f} s"

    def shares(self) -> dict[str, int]:
        """The buckets of each daemon by its name, without the host's."""
        said = self.container.run("CREDENTIALS_DIRECTORY=/etc/brimful/secrets brimful status --json")
        daemons = json.loads(said.stdout)["daemons"] if said.returncode == 0 else []
        return {one["name"].rpartition("-")[2]: one["buckets"] for one in daemons}


def page_lines() -> Iterator[str]:
    """Yield the lines of the page's shell blocks."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S):
        yield from block.splitlines()


ROWS = (
    ("docs/install.md, line by line", Trial.type_page),
    ("starts", Trial.starts),
    ("polls", Trial.polls),
    ("charges once", Trial.charges_once),
    ("the journal's fields", Trial.journal_has_fields),
    ("hangs, is killed, comes back", Trial.hangs_and_comes_back),
    ("kill -9", Trial.survives_a_kill),
    ("reload, wrong and right", Trial.reloads),
    ("a credential rotated", Trial.rotates_a_credential),
    ("a disk full while running", Trial.outlives_a_full_disk),
    ("a disk full at the start", Trial.waits_for_a_full_disk_at_start),
    ("a copy restored by root", Trial.says_whose_a_restored_copy_is),
    ("gives up on a wrong file", Trial.gives_up_only_where_a_person_is_needed),
    ("systemd-analyze security", Trial.is_sandboxed),
    ("brimful@1, brimful@2", Trial.several_share_one_postgresql),
)


def main() -> int:
    """Run every row, or the first and those that are named, and print the table."""
    failed, rows = 0, [one for one in ROWS if one is ROWS[0] or not sys.argv[1:] or one[0] in sys.argv[1:]]
    with booted(sys.executable) as container:
        trial = Trial(container)
        for name, row in rows:
            started = time.monotonic()
            try:
                said, mark = row(trial), "ok"
            except Exception as error:  # noqa: BLE001 – a row that fails is a line of the table; the others are still tried
                said, mark = f"{error}\n{trial.journal()}", "FAILED"
                failed += 1
            print(f"{mark:<7} {name:<32} {time.monotonic() - started:6.1f} s  {said}", flush=True)
    print(f"{len(rows) - failed} of {len(rows)} rows hold" if not failed else f"{failed} rows failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
