"""Templates: the text of mails, built in and replaceable by a folder of the operator's own.

A misspelt variable is an error, never an empty place in a mail; HTML is escaped by file name (`.html`, `.html.j2`).
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import css_inline
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    select_autoescape,
)

WRONG_TEMPLATE = (TemplateError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What an operator's own template can raise: it may call and compute, and css-inline's errors are ValueErrors."""

NOT_INLINED = ' data-css-inline="ignore"'
"""Marks styles that stay where they are: inlined into a thousand rows they would make a mail too long."""
_inliner = css_inline.CSSInliner(keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False)


def built_in() -> Path:
    """Return the folder of the templates that ship with the program: in the wheel, else in the checkout."""
    packed = Path(str(files("alerts") / "_templates"))
    return packed if packed.is_dir() else Path(__file__).resolve().parent.parent / "templates"


@functools.cache
def _environment(override: Path | None) -> Environment:
    """Compiled once a process, however often the service is opened; a file that changes is read anew."""
    folders = [built_in()] if override is None else [override, built_in()]
    return Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html", "html.j2", "xml", "svg.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def where_wrong(error: BaseException) -> str:
    """Return the file and line of a template that an error comes from, empty where it comes from none."""
    if isinstance(error, TemplateSyntaxError):
        return f"{Path(error.filename or error.name or '?').name}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".j2")]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


class Templates:
    """Renders by file name. A file of the same name in `override` replaces a built-in one."""

    def __init__(self, override: Path | None = None) -> None:
        self._environment = _environment(override)

    def text(self, name: str, values: Mapping[str, Any]) -> str:
        """Return a rendered template; raises jinja2.TemplateError where a replaced one is wrong."""
        return self._environment.get_template(name).render(values)

    def mail_html(self, name: str, values: Mapping[str, Any]) -> str:
        """Return rendered HTML with its styles inlined, as mail programs want it; media queries are kept."""
        return _inliner.inline(self.text(name, values)).replace(NOT_INLINED, "")
