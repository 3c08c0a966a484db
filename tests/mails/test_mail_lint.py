"""The check of mails finds what is wrong, and nothing in those that are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mails.__main__ import lint
from tests.mails.lint import CLIPPED_AT, problems
from tests.mails.samples import TOGETHER, mails

MAILS = dict(mails())
GOOD = MAILS["charge"].html
PICTURES = Path(__file__).parents[2] / "docs" / "mails"


@pytest.mark.parametrize("name", MAILS)
def test_nothing_is_wrong_with_a_mail(name: str) -> None:
    assert problems(MAILS[name].html) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("</h1>", "</h2></div>", "unexpected-end-tag"),
        ('lang="en"', "", "html has no lang"),
        ("<h1", '<font color="red">', "<font> is not for mails"),
        ("<h1", '<h1 onclick="x()"', "has the attribute onclick"),
        ("<h1", "<script>1</script><h1", "<script> is not for mails"),
        ("<h1", '<img src="https://example.com/a.png" alt="a"><h1', "a picture from elsewhere"),
        ("<h1", '<img src="cid:a"><h1', "a picture without words"),
        ("<h1", '<a href="http://example.com">x</a><h1', "a link that is not https"),
        ("<h1", '<p id="a"></p><p id="a"></p><h1', "the id a is there 2 times"),
        ("<h1", "<table><tr><td>1</td></tr></table><h1", "a table without headings"),
        ("<h1", '<p style="width: 560px">x</p><h1', "560 px wide"),
        ("<h1", '<p style="display: flex">x</p><h1', "css-display-flex is not supported by outlook windows"),
        ("<h1", '<p style="display: grid">x</p><h1', "css-display-grid is not supported by"),
        ("<h1", '<p style="position: absolute">x</p><h1', "css-position is not supported by"),
        ("<h1", '<p style="box-shadow: 0 0 2px #000">x</p><h1', "css-box-shadow is not supported by gmail"),
        ("<h1", '<p style="width: calc(1px + 2px)">x</p><h1', "css-unit-calc is not supported by"),
        ("<h1", '<p style="color: var(--x)">x</p><h1', "css-variables is not supported by"),
        ("<h1", '<p style="font-feature-settings: x">x</p><h1', "css-font-feature-settings is not supported by any"),
        ("</style>", "@font-face { src: url(x) }</style>", "css-at-font-face is not supported by"),
        ("</style>", "p:has(b) { color: red }</style>", "css-pseudo-class-has is not supported by"),
        ("</style>", "p { background: linear-gradient(red, blue) }</style>", "css-linear-gradient is not supported"),
        ("<h1", "x" * CLIPPED_AT + "<h1", "Gmail clips a mail at 104,448"),
        ("<title>", "<title></title><style>", "no title"),
        ("display: none", "color: red", "no preheader"),
        ("h1", "p", "no heading"),
    ],
)
def test_what_is_wrong_is_found(before: str, after: str, said: str) -> None:
    assert before in GOOD
    assert any(said in problem for problem in problems(GOOD.replace(before, after))), said


def test_the_command_fails_for_a_bad_file_and_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = tmp_path / "bad.html", tmp_path / "good.html"
    good.write_text(GOOD, "utf-8")
    bad.write_text(GOOD.replace("<h1", '<blink style="float: left"'), "utf-8")
    assert lint([str(good)]) == 0
    assert lint([str(good), str(bad)]) == 1
    assert "bad: <blink> is not for mails" in capsys.readouterr().out


def test_of_each_mail_in_the_documentation_there_are_four_small_pictures() -> None:
    for name in TOGETHER:
        for of in ("600-light", "600-dark", "360-light", "360-dark"):
            assert 5_000 < (PICTURES / f"{name}-{of}.png").stat().st_size < 150_000
