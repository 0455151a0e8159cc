"""Conditions in words of a user's, as Polars expressions: ``l2.size_kib >= 4 * l1d.size_kib and system == 'disco'``.

The grammar is Python's, of which arithmetic, comparisons, ``in``, ``and``, ``or``, ``not``, numbers, texts and names
are understood. A name is a word or two words with a dot; what it means is the caller's business. Nothing is executed.
"""

import ast
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, NoReturn

import polars as pl

from discotrace.tracegen.errors import ConfigError

EXAMPLE = "l2.size_kib >= 512 and system == 'disco'"
_LOGIC: dict[type[ast.boolop], Callable[[Any, Any], Any]] = {ast.And: operator.and_, ast.Or: operator.or_}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.Not: operator.invert, ast.USub: operator.neg}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def fulfilling(rows: pl.DataFrame, text: str, meaning: Callable[[str], pl.Expr]) -> pl.DataFrame:
    """The rows that fulfil a condition. Raises ConfigError, quoting the text, also where it compares unlike things."""
    wanted = condition(text, meaning)
    try:
        return rows.filter(wanted)
    except pl.exceptions.PolarsError as fault:
        reason = str(fault).splitlines()[0]
        raise ConfigError(f"{text!r} is no condition on these columns: {reason}") from fault


def condition(text: str, meaning: Callable[[str], pl.Expr]) -> pl.Expr:
    """What the text says, for each row. ``meaning`` gives what a name stands for, or raises ConfigError.

    Raises ConfigError, quoting the text, for what is no such condition.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as fault:
        reason = fault.msg if isinstance(fault, SyntaxError) else str(fault)
        raise ConfigError(
            f"{text!r} is no condition: {reason}; one is: l2.size_kib >= 512 and system == 'disco'"
        ) from fault
    return _Translation(text, meaning).of(tree)


class _Translation:
    """Of one text."""

    def __init__(self, text: str, meaning: Callable[[str], pl.Expr]) -> None:
        self._text = text
        self._meaning = meaning

    def of(self, node: ast.expr) -> pl.Expr:
        match node:
            case ast.BoolOp(op=how, values=parts):
                found = reduce(_LOGIC[type(how)], map(self.of, parts))
            case ast.UnaryOp(op=how, operand=part) if type(how) in _SIGNS:
                found = _SIGNS[type(how)](self.of(part))
            case ast.BinOp(left=left, op=how, right=right) if type(how) in _ARITHMETIC:
                found = self._combined(_ARITHMETIC[type(how)], left, right)
            case ast.Compare(left=first, ops=hows, comparators=others):
                pairs = zip([first, *others], hows, others, strict=False)
                found = reduce(operator.and_, (self._compared(*pair) for pair in pairs))
            case ast.Constant(value=bool() | int() | float() | str() as value):
                found = pl.lit(value)
            case ast.Name(id=name):
                found = self._meaning(name)
            case ast.Attribute(value=ast.Name(id=table), attr=key):
                found = self._meaning(f"{table}.{key}")
            case _:
                self._refuse(node)
        return found

    def _combined(self, how: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr) -> pl.Expr:
        combined: pl.Expr = how(self.of(left), self.of(right))
        return combined

    def _compared(self, left: ast.expr, how: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(how, ast.In | ast.NotIn) and isinstance(right, ast.List | ast.Tuple | ast.Set):
            among = reduce(operator.or_, (self.of(left) == self.of(one) for one in right.elts), pl.lit(False))
            return among if isinstance(how, ast.In) else ~among
        if type(how) not in _COMPARISONS:
            self._refuse(right)
        return self._combined(_COMPARISONS[type(how)], left, right)

    def _refuse(self, node: ast.expr) -> NoReturn:
        part = ast.get_source_segment(self._text.strip(), node) or self._text
        raise ConfigError(
            f"{self._text!r}: {part!r} is not understood in a condition; numbers, texts in quotes, names of keys, "
            "+ - * / // % **, comparisons, in, and, or, not are"
        )
