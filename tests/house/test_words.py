"""The documents are tested: every command, key, event type, problem and file that there is occurs in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from alerts.model.events import EventType
from daemon.cli import app
from daemon.config.problems import ProblemId
from daemon.config.reading import keys_of
from daemon.config.schema import (
    RULE_TABLES,
    AccountTable,
    ApiTable,
    ChatTable,
    EmailTable,
    HeartbeatTable,
    HttpTable,
    ReportTable,
    Root,
    SmtpTable,
    StoreTable,
    StripeTable,
    Table,
    TopupTable,
    WebhookTable,
)
from daemon.sources.registry import PROVIDERS

ROOT = Path(__file__).parents[2]
JSON_FIELDS = tuple(PROVIDERS["json"].table)
DOCS = ROOT / "docs"
TABLES: tuple[type[Table], ...] = (
    Root, StoreTable, StripeTable, SmtpTable, HttpTable, ApiTable, HeartbeatTable, AccountTable, TopupTable,
    WebhookTable, EmailTable, ChatTable, ReportTable, *RULE_TABLES.values(),
)  # fmt: skip
KEYS = sorted({key for table in TABLES for key in keys_of(table)})


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_described_and_in_the_example(key: str) -> None:
    described = read("docs/configuration.md")
    assert re.search(rf"`{key}`|\[+{key}[\].]|\[accounts\.ID\.{key}\]", described), "docs/configuration.md"
    example = read("config.example.toml")
    assert re.search(
        rf"^(# )?({key} = |\[+{key}[\].]|\[accounts\.\w+\.{key}\])|# or:? {key}|or: {key} = |or {key}$", example, re.M
    ), "config.example.toml"


def test_described_keys_exist() -> None:
    known = {*KEYS, *JSON_FIELDS, *RULE_TABLES, *PROVIDERS}
    for line in read("docs/configuration.md").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:3]]
        for word in re.findall(r"`([a-z_]+)`", " ".join(cells[:1] if cells[:1] != [""] else cells)):
            assert word in known, word


@pytest.mark.parametrize("field", JSON_FIELDS)
def test_every_json_field_is_described(field: str) -> None:
    assert f"`{field}`" in read("docs/configuration.md")
    assert field in read("config.example.toml")


def test_problems_and_their_description_are_the_same_list() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning) \|", read("docs/checks.md"), re.M))
    assert rows == {id.value: id.level.value for id in ProblemId}


def commands() -> list[str]:
    """Every command as it is typed, groups' own commands included."""

    def walk(command: Any, name: str) -> list[str]:
        inner = getattr(command, "commands", {})
        deeper = [full for child, below in inner.items() for full in walk(below, f"{name} {child}".strip())]
        return ([name] if name else []) + deeper

    return walk(typer.main.get_command(app), "")


EXPECTED = """
    demo, run, once, check, status, history, afford, alerts, alerts mute, alerts unmute, topups, topups explain,
    topups ack, topups pause, topups resume, topups audit, deliveries, deliveries show, deliveries replay, report,
    backtest, providers, providers show, init, test, test webhook, test email, backup
"""
COMMANDS = [name.strip() for name in EXPECTED.split(",")]


@pytest.mark.parametrize("command", COMMANDS)
def test_promised_command_is_there(command: str) -> None:
    assert command in commands()


@pytest.mark.parametrize("command", sorted(set(COMMANDS) | set(commands())))
def test_every_command_occurs_in_the_documents(command: str) -> None:
    texts = [read("README.md"), *(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))]
    assert any(f"brimful {command}" in text for text in texts)


def test_every_option_is_named_among_the_commands() -> None:
    text = read("docs/commands.md")
    missing = []

    def walk(command: Any, name: str) -> None:
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option not in text and option != "--help":
                    missing.append(f"{name} {option}")
        for child, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {child}")

    walk(typer.main.get_command(app), "brimful")
    assert missing == []


def test_every_command_that_prints_takes_json() -> None:
    def walk(command: Any, name: str) -> list[str]:
        inner = getattr(command, "commands", {})
        missing = [full for child, below in inner.items() for full in walk(below, f"{name} {child}".strip())]
        prints = not inner or command.invoke_without_command
        lacks = prints and not any("--json" in parameter.opts for parameter in command.params)
        return [*missing, name] if lacks else missing

    texts = ["completion", "manual"]  # for a shell, and for man
    assert walk(typer.main.get_command(app), "") == ["run", *texts]


@pytest.mark.parametrize("kind", [kind.value for kind in EventType])
def test_every_event_type_is_described(kind: str) -> None:
    assert f"`{kind}`" in read("docs/webhooks.md")


@pytest.mark.parametrize("kind", RULE_TABLES)
def test_every_kind_of_rule_is_described(kind: str) -> None:
    assert f"`{kind}`" in read("docs/rules.md")


def test_documents_link_to_files_that_exist() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} → {target}")
    assert broken == []


def test_makefile_has_every_target_and_help_names_it() -> None:
    text = read("Makefile")
    for target in ("demo", "test", "lint", "bench", "run", "sim", "mutants", "crash", "generate"):
        assert re.search(rf"^{target}:.*\$\(READY\)|^{target}: lint", text, re.M), target
        assert f'@echo "make {target}' in text, target
