"""JMESPath on exact numbers: JSON's numbers are `Decimal` and int from end to end, and so is what is made of them.

Beside the language's own functions there are `add sub mul div neg`, on numbers and on texts that hold one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import Any

from jmespath import functions
from jmespath.exceptions import (
    ArityError,
    EmptyExpressionError,
    JMESPathError,
    JMESPathTypeError,
    LexerError,
    ParseError,
)
from jmespath.lexer import Lexer
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter

_EXACT = Context(prec=200)
"""More digits than two numbers of an answer have together: only a quotient is ever rounded."""
_NUMBER = re.compile(r"\s*[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d{1,3})?\s*", re.ASCII)
_NUMBER_CHARACTERS = 64
_COMPILED = 1024
_SHOWN_CHARACTERS = 120
_NUMERIC = {"types": ["number", "string"]}


class ExpressionError(ValueError):
    """An expression that is wrong, or that cannot be evaluated on an answer; never repeats a value of the answer."""


class Expression:
    """A compiled expression."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tree = tree

    def search(self, document: object) -> Any:
        """Return what the expression finds, None for nothing. Raises ExpressionError."""
        try:
            with localcontext(_EXACT):
                return _INTERPRETER.visit(self._tree, document)
        except JMESPathTypeError as error:
            wanted = " or ".join(kind.replace("array-", "a list of ") for kind in error.expected_types)
            raise ExpressionError(f"{error.function_name}() takes {wanted}, not {error.actual_type}") from error
        except ExpressionError:
            raise
        except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ExpressionError("it cannot be evaluated on this answer") from error


@lru_cache(maxsize=_COMPILED)
def compiled(text: str) -> Expression:
    """Return the expression. Raises ExpressionError: bad syntax, an unknown function, a wrong number of arguments."""
    try:
        tree: dict[str, Any] = _Parser().parse(text).parsed
    except EmptyExpressionError as error:
        raise ExpressionError("it is empty") from error
    except LexerError as error:
        raise ExpressionError(f"{error.message}, at character {error.lex_position + 1}") from error
    except ArityError as error:
        raise ExpressionError(str(error)) from error
    except ParseError as error:
        token = f' ("{error.token_value}")' if error.token_value else ""
        raise ExpressionError(f"bad syntax at character {error.lex_position + 1}{token}"[:_SHOWN_CHARACTERS]) from error
    except (JMESPathError, RecursionError) as error:
        raise ExpressionError("bad syntax") from error
    _check_functions(tree)
    return Expression(tree)


def function_names() -> tuple[str, ...]:
    """Return the names of all functions."""
    return tuple(sorted(_Functions.FUNCTION_TABLE))


def _check_functions(node: object) -> None:
    """JMESPath itself finds an unknown function when an answer is there, which is too late."""
    if not isinstance(node, dict):
        return
    if node.get("type") == "function_expression":
        name, given = node["value"], len(node["children"])
        known = _Functions.FUNCTION_TABLE.get(name)
        if known is None:
            raise UnknownFunctionError(name)
        wanted = known["signature"]
        more = bool(wanted) and wanted[-1].get("variadic", False)
        if given < len(wanted) or (given > len(wanted) and not more):
            count = f"{'at least ' if more else ''}{len(wanted)} argument{'' if len(wanted) == 1 else 's'}"
            raise ExpressionError(f"{name}() takes {count}, not {given}")
    for child in node.get("children", ()):
        _check_functions(child)


class UnknownFunctionError(ExpressionError):
    """There is no such function; `name` is what was written."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no function {name}()")
        self.name = name


class _Lexer(Lexer):  # type: ignore[misc]  # the library has no types
    def _consume_literal(self) -> dict[str, Any]:
        """As the library does it, with exact numbers: `0.1` is a tenth. What is no JSON is a text."""
        start = self._position
        lexeme = self._consume_until("`").replace("\\`", "`")
        try:
            value = json.loads(lexeme, parse_float=Decimal)
        except ValueError:
            value = lexeme.lstrip()
        return {"type": "literal", "value": value, "start": start, "end": self._position - start}


class _Parser(Parser):  # type: ignore[misc]
    def _parse(self, expression: str) -> Any:
        self._tokens = list(_Lexer().tokenize(expression))
        self._index = 0
        parsed = self._expression(binding_power=0)
        if self._current_token() != "eof":
            token = self._lookahead_token(0)
            raise ParseError(token["start"], token["value"], token["type"])
        return _Parsed(parsed)

    parse = _parse  # without the library's cache, which its own, inexact literals would come out of


class _Parsed:
    def __init__(self, tree: dict[str, Any]) -> None:
        self.parsed = tree


def _number(value: object) -> Decimal:
    if isinstance(value, str):
        if len(value) > _NUMBER_CHARACTERS or _NUMBER.fullmatch(value) is None:
            raise ExpressionError("a text that is no number cannot be calculated with")
        return Decimal(value.strip())
    assert isinstance(value, int | Decimal)
    return Decimal(value)


def _two(compute: Callable[[Decimal, Decimal], Decimal]) -> Any:
    def function(_: object, left: object, right: object) -> Decimal:
        return compute(_number(left), _number(right))

    return functions.signature(_NUMERIC, _NUMERIC)(function)


def _quotient(left: Decimal, right: Decimal) -> Decimal:
    if not right:
        raise ExpressionError("div() by zero")
    return left / right


class _Functions(functions.Functions):  # type: ignore[misc]
    _func_add = _two(lambda left, right: left + right)
    _func_sub = _two(lambda left, right: left - right)
    _func_mul = _two(lambda left, right: left * right)
    _func_div = _two(_quotient)

    @functions.signature(_NUMERIC)  # type: ignore[untyped-decorator]
    def _func_neg(self, value: object) -> Decimal:
        return -_number(value)

    @functions.signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_number(self, value: object) -> int | Decimal | None:
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            return None
        try:
            return value if not isinstance(value, str) else _number(value)
        except ExpressionError:
            return None

    @functions.signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_string(self, value: object) -> str:
        return str(value) if isinstance(value, Decimal) else str(super()._func_to_string(value))

    @functions.signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_type(self, value: object) -> str:
        return "number" if isinstance(value, Decimal) else str(super()._func_type(value))

    def _get_allowed_pytypes(self, types: list[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        allowed, of_items = super()._get_allowed_pytypes(types)
        return _with_decimal(allowed), [tuple(_with_decimal(list(names))) for names in of_items]

    def _convert_to_jmespath_type(self, name: str) -> str:
        return "number" if name == "Decimal" else str(super()._convert_to_jmespath_type(name))


def _with_decimal(names: list[str]) -> list[str]:
    return [*names, "Decimal"] if "float" in names else names


_INTERPRETER = TreeInterpreter(Options(custom_functions=_Functions()))
