"""The OpenAPI document is complete, and the real daemon does what it says: schemathesis finds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import Api, Standins, daemon

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
SECONDS = 30
CONFIG = """
[checks.negative_data_rejection]  # a precondition is judged before the body
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "415", "422", "428", "429", "5xx"]
"""


def test_every_operation_says_its_answers_its_refusals_and_what_it_is(api: Api) -> None:
    document = httpx.get(f"{api.base}/api/v1/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    names = []
    for path, of in document["paths"].items():
        for method, one in of.items():
            names.append(one["operationId"])
            assert one["description"], (method, path)
            answers = one["responses"]
            assert {"401", "403", "422", "429", "500", "503"} <= set(answers), (method, path)
            for status, answer in answers.items():
                if status == "204":
                    continue
                kind = "application/json" if status < "400" else "application/problem+json"
                assert list(answer["content"]) == [kind], (method, path, status)
                assert answer["content"][kind]["schema"], (method, path, status)
            if "requestBody" in one:
                assert {"413", "415", "408"} <= set(answers), (method, path)
    assert len(set(names)) == len(names)


def furnish(api: Api) -> None:
    """Make what the examples of the document name."""
    account = {"provider": "contentstats", "base_url": api.standins.usage_url, "api_key": "cs_test_acme"}
    topup = {"when_below_usd": 10, "amount_usd": 50, "customer": "cus_acme"}
    topup |= {f"max_{name}_usd": 100 for name in ("charge", "per_day", "per_month")}
    with api.client(api.admin) as client:
        assert client.put("/accounts/acme", json={**account, "owner": "acme"}).status_code == 201
        assert client.put("/accounts/acme/topup", json=topup).status_code == 201


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_schemathesis_finds_nothing(tmp_path: Path, beside: Standins) -> None:
    with daemon(tmp_path, beside) as api:
        furnish(api)
        (tmp_path / "schemathesis.toml").write_text(CONFIG)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.base}/api/v1/openapi.json"),
                *("--header", f"Authorization: Bearer {api.admin}"),
                *("--checks", ",".join(CHECKS), "--max-examples", "6", "--max-time", str(SECONDS)),
                *("--phases", "examples,coverage,fuzzing", "--seed", "1", "--no-color", "--continue-on-failure"),
            ],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
        assert "Traceback" not in api.log
        with api.client(api.admin) as client:
            assert client.get("/accounts").status_code == 200
