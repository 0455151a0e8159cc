"""Names of columns as people say them."""

import polars as pl
import pytest

from discotrace.analysis.answers.names import column_named, columns_named, number_named
from discotrace.tracegen.errors import ConfigError

COLUMNS = [
    "trace",
    "system",
    "tlb.entries",
    "l2.size_kib",
    "memory.remote_ns",
    "time_ms",
    "kernel_percent",
    "kernel_ms",
    "idle_ms",
    "idle_loop_ms",
    "remote_miss_ratio",
    "stall_remote_ms",
    "tlb_misses_per_kilo_instruction",
    "replications_per_second",
]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("time_ms", "time_ms"),
        ("time", "time_ms"),
        ("l2.size_kib", "l2.size_kib"),
        ("l2.size", "l2.size_kib"),
        ("entries", "tlb.entries"),
        ("memory", "memory.remote_ns"),
        ("idle", "idle_ms"),
        ("remote_miss", "remote_miss_ratio"),
        ("tlb_misses", "tlb_misses_per_kilo_instruction"),
        ("replications", "replications_per_second"),
        ("system", "system"),
    ],
)
def test_a_name_without_its_unit_or_a_part_that_one_has_will_do(text: str, column: str) -> None:
    assert column_named(text, COLUMNS) == column


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernel", "^kernel may be kernel_percent or kernel_ms: give the whole name$"),
        ("remote", "^remote may be memory.remote_ns, remote_miss_ratio or stall_remote_ms: give the whole name$"),
        ("tmie", "^there is no column tmie; did you mean time"),
        ("l2.sizes", "did you mean l2.size"),
        ("xyz", "^there is no column xyz; columns are trace, system, keys that vary, and figures"),
        ("", "there is no column"),
        ("emot", "there is no column emot"),
    ],
)
def test_what_is_ambiguous_or_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        column_named(text, COLUMNS)


def test_several_are_separated_by_commas() -> None:
    assert columns_named("system, time,time_ms", COLUMNS) == ["system", "time_ms"]
    assert columns_named("", COLUMNS) == []


def test_what_must_be_a_number_is_one() -> None:
    schema = pl.Schema({"system": pl.String(), "time_ms": pl.Float64()})
    assert number_named("time", schema) == "time_ms"
    with pytest.raises(ConfigError, match="system is no number"):
        number_named("system", schema)
