"""Limits on changes, in words of a user's: ``time>+2%``, ``remote_miss_ratio<-0.01``."""

import re
from dataclasses import dataclass

import polars as pl

from discotrace.analysis.answers.matching import AFTER
from discotrace.analysis.answers.names import number_named
from discotrace.tracegen.errors import ConfigError

_LIMIT = re.compile(r"\s*([\w.]+)\s*([<>])\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?)\s*")


@dataclass(frozen=True)
class Limit:
    """Broken by a change of ``figure`` above (``sign`` >) or below (<) ``amount``: in percent of A, or as it is."""

    text: str
    figure: str
    sign: str
    amount: float
    is_relative: bool

    def broken(self, both: pl.DataFrame) -> pl.DataFrame:
        """The matched points that break it, the worst first; and those at which B lacks a figure that A has."""
        change = relative_change(self.figure) if self.is_relative else absolute_change(self.figure)
        beyond = change > self.amount if self.sign == ">" else change < self.amount
        lacks = pl.col(self.figure + AFTER).is_null() & pl.col(self.figure).is_not_null()
        return both.filter(beyond.fill_null(value=False) | lacks).sort(
            change, descending=self.sign == ">", nulls_last=False, maintain_order=True
        )


def limit_of(text: str, schema: pl.Schema) -> Limit:
    """The limit that a text says. Raises ConfigError."""
    parts = _LIMIT.fullmatch(text)
    if parts is None:
        raise ConfigError(f"--fail-if {text!r}: expected a figure, > or <, and a change: 'time>+2%', 'slowdown>+0.1'")
    name, sign, amount, percent = parts.groups()
    return Limit(text.strip(), number_named(name, schema), sign, float(amount), bool(percent))


def relative_change(figure: str) -> pl.Expr:
    """From A to B, in percent of A; infinite from 0 to anything else."""
    before, after = pl.col(figure), pl.col(figure + AFTER)
    return pl.when(before == after).then(0.0).otherwise(100 * (after - before) / before.abs())


def absolute_change(figure: str) -> pl.Expr:
    """From A to B."""
    return pl.col(figure + AFTER) - pl.col(figure)
