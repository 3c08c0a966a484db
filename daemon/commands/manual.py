"""`manual` and `completion`: the man page and the shell's completion, made from the commands' own help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from daemon.commands.common import USAGE, fail

COMPLETE_VAR = "_BRIMFUL_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
_FILES = (
    ("/etc/brimful/config.toml", "The configuration."),
    ("/etc/brimful/secrets/", "A file a secret: credential:NAME in the configuration."),
    ("/var/lib/brimful/brimful.db", "The database of the packaged unit."),
)


def register(app: typer.Typer) -> None:
    """Add `manual` and `completion`."""
    app.command()(manual)
    app.command()(completion)


def manual(context: typer.Context) -> None:
    """Print the man page: `brimful manual | man -l -`. install-unit puts it where man finds it."""
    typer.echo(man_page(context.find_root().command), nl=False)


def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the completion of a shell, such as for bash: eval "$(brimful completion bash)"."""
    if shell not in SHELLS:
        fail(f"there is no completion for {shell!r}: {', '.join(SHELLS)}", USAGE)
    typer.echo(completion_script(shell))


def completion_script(shell: str) -> str:
    """Return what a shell reads at its start to complete `brimful`."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="brimful", complete_var=COMPLETE_VAR, shell=shell)


def man_page(root: Any) -> str:
    """Return brimful(1) as roff."""
    return "\n".join(_lines(root)) + "\n"


def _lines(root: Any) -> Iterator[str]:
    yield '.TH BRIMFUL 1 "" "Brimful" "User Commands"'
    yield from (".SH NAME", f"brimful \\- {_escape(root.help)}")
    yield from (".SH SYNOPSIS", ".B brimful", "[\\fB\\-\\-config\\fR \\fIPATH\\fR] \\fICOMMAND\\fR …")
    yield ".SH OPTIONS"
    yield from _options(root)
    yield ".SH COMMANDS"
    for name, command in root.commands.items():
        yield from _command(name, command)
    yield ".SH EXIT STATUS"
    for code, says in (
        (0, "Fine."),
        (1, "The answer is no, or something failed."),
        (2, "Wrong usage or configuration."),
    ):
        yield from (".TP", f".B {code}", says)
    yield ".SH FILES"
    for path, says in _FILES:
        yield from (".TP", f".I {_escape(path)}", says)


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = "".join(f" \\fI{_escape(one.metavar or one.name.upper())}\\fR" for one in _params(command, "argument"))
    yield from (f".SS brimful {_escape(name)}{arguments}", _escape(command.help or ""))
    yield from _options(command)
    for inner, found in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {inner}", found)


def _options(command: Any) -> Iterator[str]:
    for option in _params(command, "option"):
        names = ", ".join(f"\\fB{_escape(name)}\\fR" for name in (*option.opts, *option.secondary_opts))
        yield from (".TP", names, _escape(option.help or ""))


def _params(command: Any, kind: str) -> list[Any]:
    return [one for one in command.params if one.param_type_name == kind and not getattr(one, "hidden", False)]


def _escape(text: str) -> str:
    """Return the text as one roff line: no escape, no hyphen that breaks, no control at its start."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line
