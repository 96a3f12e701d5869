"""Changes as small as a slip of the pen: each replaces a piece of one line of source."""

import ast
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple


class Change(NamedTuple):
    """A piece of a line and what takes its place. line : from 1; start, end : in bytes of UTF-8, as `ast` counts"""

    line: int
    start: int
    end: int
    text: str


_SWAPS: dict[type[ast.AST], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
    ast.And: ("and", ("or",)),
    ast.Or: ("or", ("and",)),
    ast.Add: ("+", ("-",)),
    ast.Sub: ("-", ("+",)),
    ast.Mult: ("*", ("/",)),
    ast.Div: ("/", ("*",)),
    ast.FloorDiv: ("//", ("*",)),
    ast.Mod: ("%", ("*",)),
    ast.Pow: ("**", ("*",)),
    ast.LShift: ("<<", (">>",)),
    ast.RShift: (">>", ("<<",)),
    ast.BitAnd: ("&", ("|",)),
    ast.BitOr: ("|", ("&",)),
}
"""Operator -> how it is written, and what it becomes."""
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_SQL_WORDS = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE)\b")
_SQL = (
    (" > ", " >= "), (" >= ", " > "), (" < ", " <= "), (" <= ", " < "), (" AND ", " OR "), (" OR ", " AND "),
    (" NOT ", " "), (" DESC", " ASC"), (" + 1", " - 1"), (" - 1", " + 1"), ("greatest", "least"),
    (" ON CONFLICT DO NOTHING", ""),
)  # fmt: skip
_UNTOUCHED = ("annotation", "returns", "decorator_list", "type_params")
"""Parts of a definition that do nothing."""
_GUARDS = ("strict", "frozen", "slots", "kw_only")
"""Arguments that only make a slip of ours an error: no correct program does anything else without them."""
_LEFT_OUT = (ast.Raise, ast.AugAssign, ast.Delete, ast.Continue, ast.Break, ast.Expr)
_LOGS = re.compile(r"(self\._)?log\.")


def changes(source: str) -> Iterator[Change]:
    """Every change of the source, in no order; some may not compile, or change nothing."""
    lines = [line.encode() for line in source.splitlines()]
    for node in _nodes(ast.parse(source)):
        for operator in _OPERATORS:
            yield from operator(node, lines)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """A tree's nodes, but annotations, docstrings, what only logs, and what lies within texts with places."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in _UNTOUCHED or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _does_nothing(child):
                yield from _nodes(child)


def _does_nothing(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, ast.keyword) and node.arg in _GUARDS):
        return True
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if not isinstance(node, ast.Expr):
        return False
    return isinstance(node.value, ast.Constant) or bool(_LOGS.match(ast.unparse(node)))


def _between(left: ast.expr, right: ast.expr, word: str, lines: list[bytes]) -> tuple[int, int, int] | None:
    """Where an operator stands between its operands: line, start, end."""
    last, column = _end(left)
    for number in range(last, right.lineno + 1):
        text = lines[number - 1]
        begin = column if number == last else 0
        found = text.find(word.encode(), begin, right.col_offset if number == right.lineno else len(text))
        if found >= 0:
            return number, found, found + len(word)
    return None


def _end(node: ast.expr) -> tuple[int, int]:
    """The last line of a parsed expression, and where it ends there."""
    return node.end_lineno or node.lineno, node.end_col_offset or 0


def _swapped(op: ast.AST, left: ast.expr, right: ast.expr, lines: list[bytes], tail: str = "") -> Iterator[Change]:
    word, others = _SWAPS.get(type(op), ("", ()))
    place = _between(left, right, word + tail, lines) if word else None
    if place:
        yield from (Change(*place, other + tail) for other in others)


def _operators(node: ast.AST, lines: list[bytes]) -> Iterator[Change]:
    """Comparisons, arithmetic, and/or: `<` becomes `<=` or `>=`, `+` becomes `-`, `and` becomes `or`."""
    if isinstance(node, ast.Compare):
        for op, (left, right) in zip(node.ops, pairwise([node.left, *node.comparators]), strict=True):
            yield from _swapped(op, left, right, lines)
    elif isinstance(node, ast.BoolOp):
        for left, right in pairwise(node.values):
            yield from _swapped(node.op, left, right, lines)
    elif isinstance(node, ast.BinOp) and not (_is_text(node.left) or _is_text(node.right)):
        yield from _swapped(node.op, node.left, node.right, lines)
    elif isinstance(node, ast.AugAssign):
        yield from _swapped(node.op, node.target, node.value, lines, "=")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        width = 4 if isinstance(node.op, ast.Not) else 1
        yield Change(node.lineno, node.col_offset, node.col_offset + width, "")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _constants(node: ast.AST, lines: list[bytes]) -> Iterator[Change]:
    """True becomes False, n becomes n + 1 or n - 1, a fraction its half or one more."""
    if not isinstance(node, ast.Constant):
        return
    others: list[bool] | list[int] | list[float]
    match node.value:
        case bool(value):
            others = [not value]
        case int(value):
            others = [value + 1, value - 1]
        case float(value):
            others = [value + 1.0, value / 2.0]
        case _:
            return
    for other in others:
        yield Change(node.lineno, node.col_offset, _end(node)[1], repr(other))


def _calls(node: ast.AST, lines: list[bytes]) -> Iterator[Change]:
    """`min` becomes `max`, `any` becomes `all`; the ends of a range change places."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return
    name = node.func
    if name.id in _CALLED:
        yield Change(name.lineno, name.col_offset, name.col_offset + len(name.id), _CALLED[name.id])
    if name.id == "range" and len(node.args) >= 2 and node.lineno == node.end_lineno:
        first, second = node.args[:2]
        swapped = f"{ast.unparse(second)}, {ast.unparse(first)}"
        yield Change(node.lineno, first.col_offset, _end(second)[1], swapped)


def _conditions(node: ast.AST, lines: list[bytes]) -> Iterator[Change]:
    """A bare condition is turned around."""
    if isinstance(node, ast.If | ast.IfExp):
        tests = [node.test]
    else:
        tests = node.ifs if isinstance(node, ast.comprehension) else []
    for test in tests:
        if isinstance(test, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
            yield Change(test.lineno, test.col_offset, test.col_offset, "not ")


def _statements(node: ast.AST, lines: list[bytes]) -> Iterator[Change]:
    """A statement that has a line for itself is left out, or the function returns before it."""
    if not isinstance(node, ast.stmt) or node.lineno != node.end_lineno:
        return
    start, end = node.col_offset, len(lines[node.lineno - 1])
    if lines[node.lineno - 1][:start].strip():
        return
    if isinstance(node, ast.Assign):
        # A name that is never set is no slip that needs a test.
        names = (each for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name))
        left_out = not any(isinstance(name.ctx, ast.Store) for name in names)
    else:
        left_out = isinstance(node, _LEFT_OUT) or (isinstance(node, ast.Return) and node.value is None)
    if left_out:
        yield Change(node.lineno, start, end, "pass")
    if isinstance(node, ast.Expr):
        yield Change(node.lineno, start, end, "return")


def _sql(node: ast.AST, lines: list[bytes]) -> Iterator[Change]:
    """Comparisons, conditions and the order within an SQL text."""
    if not isinstance(node, ast.Constant | ast.JoinedStr) or not _SQL_WORDS.search(ast.unparse(node)):
        return
    for number in range(node.lineno, _end(node)[0] + 1):
        for word, other in _SQL:
            for found in re.finditer(re.escape(word.encode()), lines[number - 1]):
                yield Change(number, *found.span(), other)


_OPERATORS: tuple[Callable[[ast.AST, list[bytes]], Iterator[Change]], ...] = (
    _operators, _constants, _calls, _conditions, _statements, _sql
)  # fmt: skip
