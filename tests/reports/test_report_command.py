"""`brimful report` and `brimful backup`, as they are typed."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import daemon.reports.charts
from daemon.cli import app
from daemon.config.model import Config
from daemon.store import Store

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon.reports.charts, "CHARTS_PER_REPORT", 0)


@pytest.fixture
def config(configure: Callable[..., Config], october: Store, tmp_path: Path) -> str:
    configure()
    return str(tmp_path / "config.toml")


def test_a_report_is_written_as_html_text_and_csv(config: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(app, ["--config", config, "report", "finance", "--period", "2026-10", "--out", str(out)])
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "finance-2026-10-charges.csv",
        "finance-2026-10-daily.csv",
        "finance-2026-10-statement.csv",
        "finance-2026-10.html",
        "finance-2026-10.txt",
    ]
    assert str(out / "finance-2026-10.html") in result.output
    assert re.search(r"Spent +\$31\.00", (out / "finance-2026-10.txt").read_text())


def test_json_tells_the_files(config: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(app, ["--config", config, "report", "finance", "--period", "2026-10", "--out", str(out), "--json"])
    assert json.loads(result.output)["files"][0] == str(out / "finance-2026-10.html")


def test_a_preview_prints_the_text_names_the_html_and_stores_nothing(
    config: str, october: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = run(app, ["--config", config, "report", "finance", "--period", "2026-10", "--preview"])
    assert result.exit_code == 0
    assert "Usage statement, October 2026" in result.stdout
    html = Path(result.stderr.partition("to open: ")[2].strip())
    assert "A preview." in html.read_text()
    assert october.reader.execute("SELECT count(*) FROM report_basis").fetchone() == (0,)


def test_all_files_are_written_where_they_are_asked_for(
    configure: Callable[..., Config], october: Store, tmp_path: Path
) -> None:
    configure(more="xlsx = true\njournal = true\ncsv = false")
    out = tmp_path / "out"
    result = run(app, ["--config", str(tmp_path / "config.toml"), "report", "finance", "--out", str(out),
                       "--period", "2026-10"])  # fmt: skip
    assert result.exit_code == 0, result.output
    names = ["finance-2026-10.html", "finance-2026-10.journal", "finance-2026-10.txt", "finance-2026-10.xlsx"]
    assert sorted(path.name for path in out.iterdir()) == names


def test_a_template_that_is_wrong_is_named_with_its_line(
    configure: Callable[..., Config], october: Store, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.txt.j2").write_text("first\n{{ 1 + 'a' }}\n")
    configure(before=f'templates = "{tmp_path / "mine"}"')
    result = run(app, ["--config", str(tmp_path / "config.toml"), "report", "finance", "--period", "2026-10"])
    assert result.exit_code == 1
    assert "report.txt.j2, line 2: TypeError: unsupported operand" in result.stderr


def test_a_preview_as_json_is_the_statement(config: str) -> None:
    result = run(app, ["--config", config, "report", "finance", "--period", "2026-10", "--preview", "--json"])
    [statement] = json.loads(result.output)["statements"]
    money = statement["money"]
    assert (money["opening_available_usd"], money["spent_usd"], money["closing_available_usd"]) == (49.75, 31, 18.75)
    assert statement["partial"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["report", "nobody"], 2, "there is no report 'nobody': finance"),
        (["report", "finance", "--period", "soon"], 2, "is not a period"),
        (["report", "finance", "--period", "2099-01"], 1, "has not begun"),
        (["report", "finance", "--preview", "--send"], 2, "--preview only shows it"),
    ],
)
def test_a_wrong_wish_is_a_sentence(config: str, arguments: list[str], code: int, says: str) -> None:
    result = run(app, ["--config", config, *arguments])
    assert result.exit_code == code
    assert says in result.output


def test_a_mail_server_that_is_down_is_a_sentence_and_one(config: str) -> None:
    result = run(app, ["--config", config, "report", "finance", "--period", "2026-10", "--send"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "the report was not sent" in result.stderr


def test_a_backup_is_named_and_checked(config: str, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    result = run(app, ["--config", config, "backup", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["path"] == str(folder / "brimful.db")
    assert told["bytes"] == (folder / "brimful.db").stat().st_size
