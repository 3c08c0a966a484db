"""Secrets in bodies: a literal is sealed before anything is kept; references are for the operator's tokens alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from alerts.model.receivers import ChatReceiver, WebhookReceiver
from daemon.config.load import LITERAL_IN_QUERY
from daemon.config.model import Config
from daemon.config.problems import Level, ProblemId, Problems
from daemon.config.secret import Composed, Secrets
from daemon.resources.bodies import HIDDEN, is_secret_header, is_secret_param
from daemon.resources.keyring import Keyring, SealError, is_sealed
from daemon.resources.model import BodyFault, Kind

REFERENCE_REFUSED = "reference-refused"
MASTER_KEY_MISSING = "master-key-missing"
KEY_NEEDED_AGAIN = "secret-needed-again"
_REFERENCE = re.compile(r"(?:env|file|credential):.|.*\$\{", re.DOTALL)
_INDEX = re.compile(r"\[\d+\]$")
_NOT_IN_A_SECRET = re.compile(r"[\x00-\x1f\x7f]")


class StoredSecrets(Secrets):
    """Reads the secrets of stored objects: sealed ones, and references but for those that are the file's own."""

    def __init__(
        self,
        environ: Mapping[str, str],
        config: Config,
        problems: Problems,
        *,
        required: bool,
        keyring: Keyring | None,
        protected: frozenset[str],
    ) -> None:
        super().__init__(environ, config.path.parent, problems, required=required)
        self._keyring = keyring
        self._protected = protected
        self._found = problems
        self._level = Level.ERROR if required else Level.WARNING

    def resolve(self, reference: str, path: str, item: str = "", *, literal_is_ok: bool = False) -> SecretStr:
        if is_sealed(reference):
            return SecretStr(self._opened(reference, path))
        value = super().resolve(reference, path, item, literal_is_ok=True)
        if value.get_secret_value() in self._protected and _REFERENCE.match(reference):
            said = "the file uses this secret for itself"
            self._found.add(ProblemId.SECRET_INVALID, path, said, "give the object a secret of its own", item=item)
            return SecretStr("")
        return value

    def compose(self, text: str, path: str, item: str = "", **options: Any) -> Composed:
        if not is_sealed(text):
            return super().compose(text, path, item, **options)
        whole = self.resolve(text, path, item)
        return Composed(whole, "", (whole,) if whole.get_secret_value() else ())

    def _opened(self, sealed: str, path: str) -> str:
        if self._keyring is None:  # a command that needs no secrets
            return ""
        try:
            return self._keyring.open(sealed, place_of(path))
        except SealError as error:
            self._found.add(ProblemId.SECRET_UNSET, path, str(error), level=self._level)
            return ""


def place_of(path: str) -> str:
    """Return the place that a secret is sealed for: its key path, for every item of a list the list's."""
    return _INDEX.sub("", path)


def protected(config: Config) -> frozenset[str]:
    """Return the secrets that the file uses for itself: no object made by API may send them anywhere."""
    own = [config.web.token]
    own += [config.stripe.api_key] if config.stripe is not None else []
    own += [config.smtp.password] if config.smtp is not None else []
    own += [config.heartbeat_url] if config.heartbeat_url is not None else []
    own += config.api.master_keys if config.api is not None else ()
    for receiver in config.receivers.all:
        own += receiver.secrets if isinstance(receiver, WebhookReceiver) else ()
        own += [receiver.url] if isinstance(receiver, ChatReceiver) else []
    return frozenset(secret.get_secret_value() for secret in own) - {""}


def texts_of(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the texts of a body that may hold a secret or a reference to one, by their path."""
    for key in ("api_key", "url", "body", "base_url"):
        if isinstance(value := body.get(key), str):
            yield key, value
    for key in ("headers", "params"):
        if isinstance(table := body.get(key), Mapping):
            yield from ((f"{key}.{name}", value) for name, value in table.items() if isinstance(value, str))


class Sealing:
    """Seals one body. `faults`: what of it is refused, by its path in the body."""

    def __init__(self, keyring: Keyring, *, references: bool, sealed: bool) -> None:
        self._keyring = keyring
        self._references = references
        """Whether references to the daemon's secrets are taken: from the operator's own tokens."""
        self._sealed = sealed
        """Whether what is sealed already is taken, as `export` wrote it."""
        self.faults: list[BodyFault] = []

    def account(
        self, id: str, body: dict[str, Any], old: Mapping[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return an account's body without a secret in clear; what is left out or hidden stays as it was.

        `given`: what the caller said, as far as it did.
        """
        kept: list[str] = []
        if isinstance(url := body.get("url"), str) and LITERAL_IN_QUERY.search(url):
            said, hint = "a secret would stand in the URL in clear", 'give it as api_key, with auth = "query:NAME"'
            self.faults.append(BodyFault(id=ProblemId.SECRET_LITERAL.value, path="url", said=said, hint=hint))
        if "api_key" not in body and "api_key" in old and not _keeps_none(body):
            body = {**body, "api_key": HIDDEN}
        for path, text in texts_of(body):
            was = _at(old, path)
            if was is not None and _at(given, path) in (None, HIDDEN):
                body = _put(body, path, was)
                kept += [path] if is_sealed(was) or _REFERENCE.match(str(was)) else []
            elif self._may(path, text, was) and _is_secret_place(path) and not _REFERENCE.match(text):
                body = _put(body, path, self._sealed_text(text, path, was, f"{Kind.ACCOUNT}/{id}.{path}"))
        if kept and _address(body) != _address(old):
            for path in kept:
                said = "it was given for another address, and is not sent to a new one by itself"
                self.faults.append(BodyFault(id=KEY_NEEDED_AGAIN, path=path, said=said, hint="give it again"))
        return body

    def _may(self, path: str, text: str, was: Any) -> bool:
        if text == was:
            return False  # as it was; nothing to seal
        if _REFERENCE.match(text) and not self._references:
            said = "a reference to the daemon's own secrets is not taken from this token"
            self.faults.append(BodyFault(id=REFERENCE_REFUSED, path=path, said=said, hint="give the secret itself"))
            return False
        return True

    def _sealed_text(self, text: str, path: str, was: Any, place: str) -> str:
        if is_sealed(text):
            try:
                if not self._sealed:
                    raise SealError("what is sealed already is taken from an export alone")
                self._keyring.open(text, place)
            except SealError as error:
                self.faults.append(BodyFault(id=ProblemId.SECRET_INVALID.value, path=path, said=str(error)))
            return text
        if not text.strip() or _NOT_IN_A_SECRET.search(text):
            said = "the secret is empty, or holds a line break or a control character"
            self.faults.append(BodyFault(id=ProblemId.SECRET_INVALID.value, path=path, said=said))
            return ""
        if not self._keyring.can_seal:
            said = "without [api] master_key no secret is kept"
            hint = "give a reference (env:, file:, credential:), or write a master_key"
            self.faults.append(BodyFault(id=MASTER_KEY_MISSING, path=path, said=said, hint=hint))
            return ""
        if is_sealed(was) and self._opens_to(was, place) == text:
            return str(was)
        return self._keyring.seal(text, place)

    def _opens_to(self, sealed: str, place: str) -> str | None:
        try:
            return self._keyring.open(sealed, place)
        except SealError:
            return None


def resealed(kind: Kind, id: str, body: Mapping[str, Any], keyring: Keyring) -> dict[str, Any]:
    """Return a body with every sealed secret sealed by the first key. Raises SealError where one does not open."""

    def again(text: Any, path: str) -> Any:
        if not is_sealed(text) or keyring.is_current(text):
            return text
        place = f"{kind}/{id}.{path}"
        return keyring.seal(keyring.open(text, place), place)

    found = dict(body)
    for path, text in texts_of(body):
        found = _put(found, path, again(text, path))
    if isinstance(secrets := found.get("secret"), list):
        found["secret"] = [again(text, "secret") for text in secrets]
    return found


def without_secrets(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stays of an archived object's body."""
    found = {key: value for key, value in body.items() if key not in ("api_key", "secret", "overlap_until")}
    for key in ("headers", "params"):
        if isinstance(table := found.get(key), Mapping):
            found[key] = {name: value for name, value in table.items() if not is_sealed(value)}
    return found


def _is_secret_place(path: str) -> bool:
    key, _, name = path.partition(".")
    is_named = (key == "headers" and is_secret_header(name)) or (key == "params" and is_secret_param(name))
    return key == "api_key" or is_named


def _keeps_none(body: Mapping[str, Any]) -> bool:
    return body.get("auth") == "none"


def _address(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return where an account's secrets are sent to, as far as its body says it."""
    found: list[Any] = [body.get("provider")]
    for key in ("base_url", "url"):
        said = body.get(key)
        try:
            split = urlsplit(said) if isinstance(said, str) else None
        except ValueError:
            split = None
        found += [said] if split is None else [split.scheme, split.netloc]
        if split is not None and any(letter in split.netloc for letter in "{$"):
            found.append(body.get("params"))
    return tuple(found)


def _at(body: Mapping[str, Any], path: str) -> Any:
    key, dot, name = path.partition(".")
    value = body.get(key)
    return value.get(name) if dot and isinstance(value, Mapping) else value


def _put(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    key, dot, name = path.partition(".")
    return {**body, key: {**body[key], name: value} if dot else value}
