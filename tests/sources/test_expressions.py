"""Expressions reckon exactly as `Decimal` does, from the text of the answer to the result."""

from __future__ import annotations

import random
from decimal import Decimal, getcontext, localcontext
from typing import Any

import pytest

from daemon.sources.expressions import ExpressionError, UnknownFunctionError, compiled, function_names
from daemon.sources.payload import decode

ANSWER = decode(b"""{"a": 100.5, "b": 25.75, "text": "1000000", "tenths": [0.1, 0.2, 1], "zero": 0, "yes": true,
 "deep": {"n": -0.000001}, "many": [{"c": "USD", "v": "7.5"}, {"c": "CNY", "v": "1"}],
 "long": 123456789012345678.123456789}""")


def found(expression: str, answer: Any = ANSWER) -> Any:
    return compiled(expression).search(answer)


def random_number(draw: random.Random) -> Decimal:
    digits = draw.randint(1, 18)
    return Decimal(draw.randint(-(10**digits), 10**digits)).scaleb(-draw.randint(0, 12))


def random_expression(draw: random.Random, names: dict[str, Decimal], deep: int = 0) -> tuple[str, Decimal]:
    """Return an expression with what `Decimal` says that it is."""
    kind = draw.choice(["name", "text", "literal"] if deep > 3 else ["add", "sub", "mul", "div", "neg", "name", "sum"])
    if kind in ("name", "text"):
        name, number = f"n{len(names)}", random_number(draw)
        names[name] = number
        return (name if kind == "name" else f"to_string({name})"), number
    if kind == "literal":
        number = random_number(draw)
        return f"`{number:f}`", number
    left, first = random_expression(draw, names, deep + 1)
    if kind == "neg":
        return f"neg({left})", -first
    right, second = random_expression(draw, names, deep + 1)
    if kind == "sum":
        return f"sum([to_number({left}), to_number({right})])", first + second
    if kind == "div" and not second:
        kind = "mul"
    results = {"add": lambda: first + second, "sub": lambda: first - second, "mul": lambda: first * second}
    return f"{kind}({left}, {right})", results[kind]() if kind in results else first / second


@pytest.mark.parametrize("seed", range(100))
def test_a_random_expression_is_what_decimal_says(seed: int) -> None:
    draw, names = random.Random(seed), dict[str, Decimal]()
    with localcontext() as context:
        context.prec = 200
        expression, number = random_expression(draw, names)
    said = ", ".join(f'"{name}": {value:f}' for name, value in names.items())
    got = found(expression, decode(f"{{{said}}}".encode()))
    assert Decimal(got) == number, expression
    assert getcontext().prec == 28  # nobody else's arithmetic has changed


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("sub(a, b)", Decimal("74.75")),
        ("div(text, `10000`)", Decimal(100)),
        ("sum(tenths)", Decimal("1.3")),
        ("tenths[0] == `0.1`", True),
        ("a > `100.4`", True),
        ("add(long, deep.n)", Decimal("123456789012345678.123455789")),
        ("`0.12345678901234567890123`", Decimal("0.12345678901234567890123")),
        ("mul(`3`, '0.1')", Decimal("0.3")),
        ("neg(zero)", Decimal(0)),
        ("many[?c=='USD'].v | [0]", "7.5"),
        ("sum(many[*].to_number(v))", Decimal("8.5")),
        ("max(tenths)", 1),
        ("sort(tenths)[0]", Decimal("0.1")),
        ("avg(tenths[:2])", Decimal("0.15")),
        ("abs(deep.n)", Decimal("0.000001")),
        ("ceil(a)", 101),
        ("to_string(a)", "100.5"),
        ("to_string(many[0])", '{"c":"USD","v":"7.5"}'),
        ("to_number(text)", Decimal(1000000)),
        ("to_number('much')", None),
        ("to_number(yes)", None),
        ("to_number(many)", None),
        ("to_number(a)", Decimal("100.5")),
        ("type(a)", "number"),
        ("type(yes)", "boolean"),
        ("max_by(tenths[:2], &@)", Decimal("0.2")),
        ("many[?c==`USD`] | [0].v", "7.5"),
        ("!nothing", True),
        ("nothing.at.all", None),
        ("not_null(nothing, a)", Decimal("100.5")),
    ],
)
def test_it_finds(expression: str, result: Any) -> None:
    got = found(expression)
    assert got == result
    assert type(got) is not float


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("sub(a, nothing)", "sub() takes number or string, not null"),
        ("add(a, yes)", "add() takes number or string, not boolean"),
        ("mul(a, many)", "mul() takes number or string, not array"),
        ("mul(a, 'much')", "a text that is no number"),
        ("neg('1e9999')", "a text that is no number"),
        ("div(a, zero)", "div() by zero"),
        ("sum(many)", "sum() takes a list of number, not dict"),
        ("a < text", "cannot be evaluated"),
        ("tenths[::0]", "cannot be evaluated"),
    ],
)
def test_what_cannot_be_evaluated_says_why_without_a_value(expression: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words.replace("(", r"\(").replace(")", r"\)")) as raised:
        found(expression)
    assert "1000000" not in str(raised.value)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "it is empty"),
        ("a[", "bad syntax at character 3"),
        ("a b", 'bad syntax at character 3 ("b")'),
        ("a = b", "Unknown token '=', at character 3"),
        ("minus(a, b)", "there is no function minus()"),
        ("a[?foo(@)]", "there is no function foo()"),
        ("sub(a)", "sub() takes 2 arguments, not 1"),
        ("neg(a, b)", "neg() takes 1 argument, not 2"),
        ("not_null()", "not_null() takes at least 1 argument, not 0"),
        ("[" * 5000, "bad syntax"),
    ],
)
def test_a_wrong_expression_is_named_before_any_answer(expression: str, words: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        compiled(expression)
    assert words in str(raised.value)


def test_the_functions_are_those_of_the_language_and_five_more() -> None:
    assert {"add", "sub", "mul", "div", "neg", "sum", "not_null"} <= set(function_names())
    with pytest.raises(UnknownFunctionError) as raised:
        compiled("sup(a, b)")
    assert raised.value.name == "sup"
