"""`python -m tests.mails lint [FILE…]`, `… pictures FOLDER [FILE…]`, `… render FOLDER`: of files, or of samples."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.mails import pictures
from tests.mails.lint import problems
from tests.mails.samples import TO_CUSTOMER, TOGETHER, mails


def lint(paths: list[str]) -> int:
    """Print what is wrong with each mail; 1 where anything is."""
    found = [f"{name}: {problem}" for name, html in _given(paths) for problem in problems(html)]
    print("\n".join(found) or "mails: nothing wrong")
    return 1 if found else 0


def draw(folder: Path, paths: list[str]) -> int:
    """Write the pictures of each mail."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, html in _given(paths):
        if paths or name in {**TOGETHER, **TO_CUSTOMER}:
            for path in pictures.take(html, name, folder):
                print(f"{path} {path.stat().st_size:,} bytes")
    return 0


def render(folder: Path) -> int:
    """Write every sample as HTML and as plain text."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, mail in mails():
        (folder / f"{name}.html").write_text(mail.html, "utf-8")
        (folder / f"{name}.txt").write_text(f"Subject: {mail.subject}\n\n{mail.text}", "utf-8")
    return 0


def _given(paths: list[str]) -> list[tuple[str, str]]:
    if paths:
        return [(Path(path).stem, Path(path).read_text("utf-8")) for path in paths]
    return [(name, mail.html) for name, mail in mails()]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["lint", *paths]:
            sys.exit(lint(paths))
        case ["pictures", folder, *paths]:
            sys.exit(draw(Path(folder), paths))
        case ["render", folder]:
            sys.exit(render(Path(folder)))
        case _:
            sys.exit(__doc__)
