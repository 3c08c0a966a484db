"""What is changed: every small change of a module, one at a time, in an order that stays the same."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
LARGE = 1000
"""A larger constant is doubled and halved: one more or less of the milliseconds of a day is no bug worth a test."""
LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module. `place`, `was` and `becomes` name it; they do not depend on line numbers."""

    file: str
    number: int
    """Which of the file's changes, in the order of `mutants`."""
    scope: str
    """The function or class it is in, with those around it; empty for the module itself."""
    was: str
    becomes: str
    line: int
    end_line: int
    """The lines of which one has to run for the change to matter."""
    at_import: bool
    """Whether it runs only when the module is imported: a constant, a default, a field of a class."""
    names: tuple[str, ...]
    """What it is called that changes at import."""

    @property
    def place(self) -> str:
        return f"{self.file}: {self.scope}" if self.scope else self.file


@dataclass(frozen=True, slots=True)
class _Change:
    node: ast.AST
    put: Callable[[ast.AST], None]
    replacement: ast.AST
    statement: ast.stmt
    scope: tuple[str, ...]
    in_function: bool


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """Yield every change of a module's source that makes another text of it."""
    for number, change in enumerate(_changes(ast.parse(source))):
        statement, before = change.statement, _head(change.statement)
        was, becomes = ast.unparse(change.node), ast.unparse(change.replacement)
        change.put(change.replacement)
        replacement = change.replacement
        after = _head(replacement if change.node is statement and isinstance(replacement, ast.stmt) else statement)
        change.put(change.node)
        first, last = _lines(statement)
        yield Mutant(
            file=file,
            number=number,
            scope=".".join(change.scope),
            was=was.splitlines()[0] if before == after else before,
            becomes=becomes.splitlines()[0] if before == after else after,
            line=first,
            end_line=last,
            at_import=not change.in_function,
            names=_names(statement),
        )


def mutated(source: str, number: int) -> str:
    """Return the text of the module with the change of that number made."""
    tree = ast.parse(source)
    for at, change in enumerate(_changes(tree)):
        if at == number:
            change.put(change.replacement)
            return ast.unparse(ast.fix_missing_locations(tree))
    raise LookupError(number)


def _changes(tree: ast.Module) -> Iterator[_Change]:
    for statement in tree.body:
        yield from _of(statement, tree, "body", statement, (), in_function=False)


def _of(
    node: ast.AST, parent: ast.AST, field: str, statement: ast.stmt, scope: tuple[str, ...], *, in_function: bool
) -> Iterator[_Change]:
    if isinstance(node, ast.stmt):
        statement = node
    if _is_left_alone(node):
        return
    for replacement in _replacements(node):
        yield _Change(node, _putter(parent, field, node), replacement, statement, scope, in_function)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "keywords") and not isinstance(node, ast.Call):
            continue
        inner = scope
        inside = in_function
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and name == "body":
            inner = (*scope, node.name)
            inside = in_function or isinstance(node, ast.FunctionDef)
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _of(child, node, name, statement, inner, in_function=inside)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__slots__" | "__all__")]) | ast.keyword(arg="strict"):
            return True
    return False


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in a node's place."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            for at, op in enumerate(ops):
                changed = [*ops[:at], COMPARISONS[type(op)](), *ops[at + 1 :]]
                yield ast.Compare(left, changed, others)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value * 2 if value > LARGE else value + 1)
            yield ast.Constant(value // 2 if value > LARGE else value - 1)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC and not _is_text(node):
            yield ast.BinOp(left, ARITHMETIC[type(op)](), right)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in NAMES:
            yield ast.Call(ast.Name(NAMES[name], ast.Load()), args, keywords)
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in ARITHMETIC:
            yield ast.AugAssign(target, ARITHMETIC[type(op)](), value)
            yield ast.Pass()
        case ast.If(body=body, orelse=[]) if isinstance(body[-1], LEAVES):
            yield ast.Pass()
        case ast.Expr(value=ast.Call()) | ast.Continue() | ast.Break() | ast.Raise():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def _is_text(node: ast.BinOp) -> bool:
    """Whether it joins or fills texts, or is a union of types."""
    sides = (node.left, node.right)
    if isinstance(node.op, ast.BitOr) and all(isinstance(one, ast.Name) and one.id[0].isupper() for one in sides):
        return True
    return any(isinstance(one, ast.JoinedStr) or isinstance(getattr(one, "value", None), str) for one in sides)


def _putter(parent: ast.AST, field: str, node: ast.AST) -> Callable[[ast.AST], None]:
    held = getattr(parent, field)
    if not isinstance(held, list):
        return lambda new: setattr(parent, field, new)
    at = next(at for at, one in enumerate(held) if one is node)

    def put(new: ast.AST) -> None:
        held[at] = new

    return put


def _head(statement: ast.stmt) -> str:
    """Return the statement in one line; of one that holds others, what stands before them."""
    return next(line for line in ast.unparse(statement).splitlines() if not line.startswith("@"))


def _lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    if isinstance(statement, ast.FunctionDef) or not body:
        return statement.lineno, statement.end_lineno or statement.lineno
    return statement.lineno, max(statement.lineno, body[0].lineno - 1)


def _names(statement: ast.stmt) -> tuple[str, ...]:
    match statement:
        case ast.Assign(targets=targets):
            return tuple(node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            return (name,)
        case ast.FunctionDef(name=name):
            return (name,)
    return ()
