"""Request parameters: the form is decoded, then held to the SDK's own `stripe.params` types, made strict.

Unknown keys are refused at every depth, and a number or a boolean must be written as Stripe's form encoding writes it.
A parameter's type is built when it is first seen: a PaymentIntent has hundreds that nobody here sends.
"""

from __future__ import annotations

import collections.abc
import importlib
import itertools
import sys
import types
import typing
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import parse_qsl

import typing_extensions
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from daemon.demo.standins.stripe.errors import ApiError, invalid

Tree = dict[str, Any]
_DEPTH = 8
_WITHDRAWN = {
    "payment_method_types": "Use `automatic_payment_methods[enabled]=true` with `[allow_redirects]=never`, or "
    "`allowed_payment_method_types`, instead."
}
"""Parameters that the API took until 2026-09-30.endive, with what takes their place."""


@lru_cache(maxsize=256)
def decode(text: str) -> Tree:
    """Return the form `a[b][0]=c&d=e` as nested dicts, lists and strings. Raises ApiError on a shape that clashes.

    To be read only: a poll asks the same over and over, and is given the same tree.
    """
    tree: Tree = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        path = name.replace("]", "").split("[")
        if len(path) > _DEPTH:
            raise invalid(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        node = tree
        for key, below in itertools.pairwise(path):
            key = key or str(len(node))
            child = node.setdefault(key, {})
            if not isinstance(child, dict):
                raise invalid(f"Invalid parameter: {name} under {below}", param=name)
            node = child
        node[path[-1] or str(len(node))] = value
    return {key: _lists(value) for key, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(item) for key, item in value.items()}
    if inner and all(key == str(index) for index, key in enumerate(inner)):
        return list(inner.values())
    return inner


def check(params_type: str, tree: Tree) -> Tree:
    """Return the parameters with their numbers and booleans read, or raise the 400 that Stripe would answer.

    `params_type` names a class of `stripe.params`, such as `PaymentIntentCreateParams`.
    """
    fields = _fields(params_type)
    for name, (_, required) in fields.items():
        if required and name not in tree:
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    checked: Tree = {}
    for name, value in tree.items():
        if name in _WITHDRAWN and name not in fields:
            raise invalid(
                f"`{name}` is no longer supported. {_WITHDRAWN[name]}", code=f"{name}_no_longer_supported", param=name
            )
        if name not in fields:
            raise invalid(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        try:
            checked[name] = _adapter(params_type, name).validate_python(value)
        except ValidationError as error:
            raise _refusal(name, error.errors()) from error
    return checked


def _refusal(name: str, errors: list[ErrorDetails]) -> ApiError:
    deepest = max(errors, key=lambda error: (error["type"] == "extra_forbidden", len(error["loc"])))
    parts = [str(part) for part in deepest["loc"] if not str(part).startswith(("Wire", "Literal", "literal", "list["))]
    keys = [part for part in parts if "Params" not in part and (part.isidentifier() or part.isdigit())]
    param = name + "".join(f"[{part}]" for part in keys if part not in ("str", "int", "bool", "dict", "constrained"))
    given = deepest.get("input")
    match deepest["type"]:
        case "extra_forbidden":
            return invalid(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
        case "missing":
            return invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)
        case "value_error" if "integer" in deepest["msg"]:
            return invalid(f"Invalid integer: {given}", code="parameter_invalid_integer", param=param)
        case "value_error" if "boolean" in deepest["msg"]:
            return invalid(f"Invalid boolean: {given}", param=param)
        case _:
            return invalid(f"Invalid {param}: {deepest['msg']}", param=param)


def _integer(value: object) -> object:
    if isinstance(value, str) and value.removeprefix("-").isascii() and value.removeprefix("-").isdigit():
        return int(value)
    raise ValueError("not an integer")


def _boolean(value: object) -> object:
    if value in ("true", "false"):
        return value == "true"
    raise ValueError("not a boolean")


_WIRE: dict[object, Any] = {
    int: Annotated[int, BeforeValidator(_integer)],
    bool: Annotated[bool, BeforeValidator(_boolean)],
    float: Annotated[str, "a decimal, kept as text"],
    Any: Any,
}


@cache
def _fields(params_type: str) -> dict[str, tuple[Any, bool]]:
    """Each parameter's type and whether it must be there; what belongs to the SDK's request options is left out."""
    params = importlib.import_module("stripe.params")
    options = importlib.import_module("stripe._request_options").RequestOptions.__annotations__
    cls = getattr(params, params_type)
    required: frozenset[str] = cls.__required_keys__
    hints = _hints(cls)
    return {
        name: (hint, name in required and not _optional(hint)) for name, hint in hints.items() if name not in options
    }


@cache
def _adapter(params_type: str, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_wire(_fields(params_type)[name][0]))


def _optional(hint: Any) -> bool:
    return get_origin(hint) is typing_extensions.NotRequired


def _hints(cls: type) -> dict[str, Any]:
    """The annotations with their forward references resolved, including names that are imported for checking alone."""
    names: dict[str, Any] = {"Mapping": collections.abc.Mapping, "UntypedStripeObject": dict, "StripeContext": str}
    for base in reversed(cls.__mro__):
        names.update(vars(sys.modules[base.__module__]))
    names.update(vars(sys.modules[cls.__module__]), UntypedStripeObject=_Untyped)
    return typing_extensions.get_type_hints(cls, names, names, include_extras=True)


class _Untyped:
    """Stands for the SDK's own object, which never comes over the wire: a plain mapping."""

    def __class_getitem__(cls, item: Any) -> Any:
        return dict[str, item]


def _wire(hint: Any) -> Any:
    """Return the type as it comes over the wire: TypedDicts closed, numbers and booleans in their written form."""
    if typing_extensions.is_typeddict(hint):
        return _closed(hint)
    origin = get_origin(hint)
    if origin is None:
        return _WIRE.get(hint, hint) if isinstance(hint, collections.abc.Hashable) else hint
    if origin is Literal:
        return hint
    args = tuple(_wire(arg) for arg in get_args(hint))
    if origin in (typing_extensions.NotRequired, typing_extensions.Required, Annotated):
        return args[0]
    if origin in (Union, types.UnionType):
        if any(get_origin(arg) is Literal and any(get_args(arg)) for arg in args):
            args = tuple(arg for arg in args if arg is not str)  # the SDK leaves its enumerations open; Stripe does not
        return Union[args]  # noqa: UP007  (built from a tuple)
    if origin in (dict, collections.abc.Mapping):
        return dict[args[0], args[1]]  # type: ignore[valid-type]  # a type made at run time
    return origin[args]


@cache
def _closed(cls: Any) -> Any:
    """A copy of the TypedDict that refuses unknown keys; the SDK's own class is left as it is."""
    fields: dict[str, Any] = {}
    for name, hint in _hints(cls).items():
        wire = _wire(hint)
        fields[name] = wire if name in cls.__required_keys__ and not _optional(hint) else typing.NotRequired[wire]
    made: Any = typing_extensions.TypedDict(cls.__name__, fields)  # type: ignore[misc]  # made at run time
    made.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]  # where pydantic looks
    return made
