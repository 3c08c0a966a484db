"""Values that are made by the million: frozen dataclasses that cost a third of what a frozen dataclass costs.

A frozen dataclass sets each of its fields through `object.__setattr__`. That alone was a fifth of what it cost to
judge a reading.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

Kind = TypeVar("Kind")


def quickly_made(kind: type[Kind]) -> type[Kind]:
    """Return the frozen slotted dataclass, made another way: as frozen as before, and the same in everything else.

    Its fields are set on an open twin of the same layout, which then becomes the frozen class. Not for subclasses, nor
    for fields that are keyword-only.
    """
    heads, body = [], ["    self = _twin()"]
    names = tuple(each.name for each in fields(kind))  # type: ignore[arg-type]  # a dataclass, as promised
    scope: dict[str, Any] = {"_twin": type(kind.__name__, (), {"__slots__": names}), "_absent": MISSING}
    for each in fields(kind):  # type: ignore[arg-type]
        name, said = each.name, each.name
        if each.default_factory is not MISSING:
            scope[f"_make_{name}"] = each.default_factory
            heads.append(f"{name}=_absent")
            said = f"_make_{name}() if {name} is _absent else {name}"
        elif each.default is not MISSING:
            scope[f"_default_{name}"] = each.default
            heads.append(f"{name}=_default_{name}")
        else:
            heads.append(name)
        body.append(f"    self.{name} = {said}")
    text = [f"def __new__(cls, {', '.join(heads)}):", *body, "    self.__class__ = cls", "    return self"]
    exec("\n".join(text), scope)  # noqa: S102 – the text is made of the names of our own fields, as dataclasses' own is

    def reduce(self: Kind) -> tuple[type[Kind], tuple[Any, ...]]:
        return kind, tuple(getattr(self, name) for name in names)

    for name, function in (("__new__", staticmethod(scope["__new__"])), ("__reduce__", reduce)):
        setattr(kind, name, function)
    del kind.__init__
    return kind
