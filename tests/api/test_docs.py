"""The curl lines of docs/api.md, typed as they stand but for the addresses, against the real daemon."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import httpx

from tests.api.conftest import Standins, brimful, daemon
from tests.commands.test_newcomer import ROOT


def test_every_curl_line_of_the_document_works(tmp_path: Path, beside: Standins) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)
    text = "\n".join(blocks)
    assert text.count("curl ") > 30
    beside.usage.prepaid("cs_live_acme", balance_usd="4.20")
    beside.usage.prepaid("cs_live_beta", balance_usd="42.00")
    with daemon(tmp_path, beside) as api:
        typed = text.replace("http://127.0.0.1:9750", api.base)
        typed = typed.replace("https://usage.acme.example", beside.usage_url)
        typed = typed.replace("https://acme.example/hooks/balance", beside.receiver.url)
        first, second = typed.split("# accounts: PUT makes", 1)
        asks = 'curl -sS -H "$CUSTOMER" $API/deliveries | grep -q \'"id"\''
        waits = f"for i in $(seq 100); do {asks} && break; sleep 0.2; done"
        script = f"set -e\n{first}\n{waits}\n# accounts: PUT makes{second}"
        token = brimful(tmp_path, "token", "new", "--role", "admin").splitlines()[-1]
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BRIMFUL_TOKEN": token}
        done = subprocess.run(
            ["bash", "-xc", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads((tmp_path / "subscription.json").read_text())["secret"].startswith("whsec_")
        export = json.loads((tmp_path / "export.json").read_text())
        assert "acme" in json.dumps(export)
        document = httpx.get(f"{api.base}/api/v1/openapi.json").json()
        assert json.loads((tmp_path / "openapi.json").read_text()) == document
