"""Secrets by reference: `env:NAME`, `file:PATH`, `credential:NAME` (systemd). No message contains a value."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from daemon.config.problems import Level, ProblemId, Problems, suggestion
from daemon.limits import SECRET_BYTES

_SCHEMES = ("env", "file", "credential")
_INSIDE = re.compile(r"\$\{([^{}]*)\}")
_BARE = re.compile(r"(?<![A-Za-z0-9_.-])(?:env|credential):(?=[A-Za-z_])", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,255}", re.ASCII)
IN_A_SHELL = "CREDENTIALS_DIRECTORY=/etc/brimful/secrets"
"""The setting that gives a command in a shell the credentials of the packaged unit."""
_MISTAKEN = re.compile(r"\$\{?[A-Za-z_]|(?:ENV|Env|FILE|File|CREDENTIAL|Credential):|\{\{|<[a-z]")


@dataclass(frozen=True, slots=True)
class Composed:
    """A text with its secrets put in, the same as it may be shown, and the secrets as they stand in it."""

    text: SecretStr
    shown: str = field(repr=False)
    secrets: tuple[SecretStr, ...] = ()


def percent_encoded(value: str) -> str:
    """Return a secret as it stands in a URL."""
    return quote(value, safe="")


def in_json(value: str) -> str:
    """Return a secret as it stands within the quotes of a JSON text."""
    return json.dumps(value)[1:-1]


class Secrets:
    """Reads references. `required`: whether an unset secret is an error (`run`) or a warning (`check`)."""

    def __init__(self, environ: Mapping[str, str], folder: Path, problems: Problems, *, required: bool) -> None:
        self._environ = environ
        self._folder = folder
        self._problems = problems
        self._unset = Level.ERROR if required else Level.WARNING

    def resolve(self, reference: str, path: str, item: str = "", *, literal_is_ok: bool = False) -> SecretStr:
        """Return the secret; note a missing or invalid one at `path`, and return an empty one."""
        scheme, separator, name = reference.partition(":")
        value: str | None
        if separator and scheme == "env":
            value = self._from_environment(name, path, item)
        elif separator and scheme == "file":
            value = self._from_file(self._folder / Path(name).expanduser(), path, item)
        elif separator and scheme == "credential":
            value = self._from_credentials(name, path, item)
        else:
            value = self._literal(reference, path, item, literal_is_ok)
        if value is None:
            return SecretStr("")
        if _CONTROL.search(value):
            self._problems.add(
                ProblemId.SECRET_INVALID, path, "the secret holds a line break or a control character", item=item
            )
            return SecretStr("")
        return SecretStr(value)

    def compose(
        self,
        text: str,
        path: str,
        item: str = "",
        *,
        encode: Callable[[str], str] = str,
        literal_is_ok: bool = True,
    ) -> Composed:
        """Return a text with the secrets in it: one that is a reference is whole, `${env:NAME}` stands inside others.

        `encode` fits a value into the text around it; a secret that is whole is taken as it is.
        """
        if text.partition(":")[0] in _SCHEMES and ":" in text:
            whole = self.resolve(text, path, item)
            return Composed(whole, "", (whole,) if whole.get_secret_value() else ())
        found: list[SecretStr] = []

        def put(place: re.Match[str]) -> str:
            if place[1].partition(":")[0] not in _SCHEMES:
                said = f"${{{place[1][:64]}}} names no secret"
                self._problems.add(ProblemId.SECRET_INVALID, path, said, 'such as "${env:NAME}"', item=item)
                return ""
            value = self.resolve(place[1], path, item).get_secret_value()
            found.extend(SecretStr(form) for form in {value, encode(value)} - {""})
            return encode(value)

        if bare := _BARE.search(_INSIDE.sub("", text)):
            said = f'"{bare[0]}" inside a longer text would be sent as it stands'
            self._problems.add(ProblemId.SECRET_INVALID, path, said, f'write "${{{bare[0]}NAME}}"', item=item)
            return Composed(SecretStr(""), "")
        if _INSIDE.search(text) is None and not literal_is_ok:
            return Composed(self.resolve(text, path, item), text)
        return Composed(SecretStr(_INSIDE.sub(put, text)), _INSIDE.sub("…", text), tuple(found))

    def _from_environment(self, name: str, path: str, item: str) -> str | None:
        if not _ENV_NAME.fullmatch(name):
            hint = 'write "env:NAME" with the name alone, without "$"'
            self._problems.add(ProblemId.SECRET_INVALID, path, "this names no environment variable", hint, item=item)
            return None
        value = self._environ.get(name, "").strip()
        if not value:
            said = f"the environment variable {name} is {'empty' if name in self._environ else 'not set'}"
            near = suggestion(name, (other for other in self._environ if other != name)) if "_" in name else ""
            self._unavailable(path, item, said, near or "set it where the daemon starts")
        return value or None

    def _from_file(self, file: Path, path: str, item: str) -> str | None:
        try:
            status = file.stat()
            with file.open("rb") as opened:
                raw = opened.read(SECRET_BYTES + 1)
        except OSError as error:
            said = f"the file {file} cannot be read: {(error.strerror or 'no such file').lower()}"
            self._problems.add(ProblemId.SECRET_UNREADABLE, path, said, item=item, level=self._unset)
            return None
        if stat.S_IMODE(status.st_mode) & 0o004:
            hint = f"chmod o-r {file}"
            self._problems.add(ProblemId.SECRET_OPEN_FILE, path, f"everybody can read the file {file}", hint, item=item)
        return self._decoded(raw, file, path, item)

    def _from_credentials(self, name: str, path: str, item: str) -> str | None:
        if not _CREDENTIAL_NAME.fullmatch(name) or name in (".", ".."):
            self._problems.add(ProblemId.SECRET_INVALID, path, "this names no credential", item=item)
            return None
        folder = self._environ.get("CREDENTIALS_DIRECTORY")
        file = Path(folder) / name if folder else None
        try:
            raw = file.read_bytes()[: SECRET_BYTES + 1] if file else b""
        except OSError:
            raw = b""
        if file is None or not raw.strip():
            said = f"there is no credential {name}"
            hint = f"systemd gives it by LoadCredential={name}:/a/file in the unit"
            if folder is None:
                hint += f"; in a shell, as root: {IN_A_SHELL} brimful … (the folder of that file)"
            self._unavailable(path, item, said, hint)
            return None
        return self._decoded(raw, file, path, item)

    def _decoded(self, raw: bytes, file: Path, path: str, item: str) -> str | None:
        try:
            value = raw.decode().strip()
        except UnicodeDecodeError:
            value = ""
        if not value or len(raw) > SECRET_BYTES:
            said = f"the file {file} holds no secret: it is empty, over {SECRET_BYTES} bytes or not text"
            self._problems.add(ProblemId.SECRET_UNREADABLE, path, said, item=item)
            return None
        return value

    def _literal(self, text: str, path: str, item: str, is_ok: bool) -> str | None:
        hint = 'write "env:NAME", "file:PATH" or "credential:NAME"'
        if not text.strip():
            self._unavailable(path, item, "the secret is empty", hint)
            return None
        if _MISTAKEN.match(text):
            self._problems.add(ProblemId.SECRET_INVALID, path, "this is no reference and no secret", hint, item=item)
            return None
        if not is_ok:
            self._problems.add(
                ProblemId.SECRET_LITERAL, path, "a secret is in the configuration itself", hint, item=item
            )
        return text

    def _unavailable(self, path: str, item: str, said: str, hint: str) -> None:
        self._problems.add(ProblemId.SECRET_UNSET, path, said, hint, item=item, level=self._unset)


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
