"""Conditions in words."""

import polars as pl
import pytest

from discotrace.analysis.expression import fulfilling
from discotrace.tracegen.errors import ConfigError

ROWS = pl.DataFrame({"l2.size_kib": [256, 512, 1024], "system": ["native", "disco", "disco"], "time": [3.0, 2.0, 1.0]})


def meaning(name: str) -> pl.Expr:
    if name not in ROWS.columns:
        raise ConfigError(f"no {name} here")
    return pl.col(name)


def kept(text: str) -> list[int]:
    return fulfilling(ROWS.with_row_index("at"), text, meaning)["at"].to_list()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("l2.size_kib >= 512", [1, 2]),
        ("256 < l2.size_kib <= 1024", [1, 2]),
        ("l2.size_kib / 2 == 128", [0]),
        ("l2.size_kib // 3 == 85 or l2.size_kib % 1000 == 24", [0, 2]),
        ("2 ** 9 == l2.size_kib", [1]),
        ("-l2.size_kib + 1 > -512", [0, 1]),
        ("time * 100 - 50 > 150", [0]),
        ("system == 'disco' and not time < 2", [1]),
        ("system != 'disco'", [0]),
        ("l2.size_kib in (256, 1024)", [0, 2]),
        ("l2.size_kib not in [256, 1024]", [1]),
        ("system in ('splashos',)", []),
        ("l2.size_kib in ()", []),
    ],
)
def test_a_condition_keeps_the_rows_that_fulfil_it(text: str, rows: list[int]) -> None:
    assert kept(text) == rows


@pytest.mark.parametrize(
    "text",
    [
        "",
        "l2.size_kib >",
        "l2.size_kib = 512",
        "__import__('os').system('true')",
        "[1 for x in time]",
        "time if time else 1",
        "lambda: 1",
        "a.b.c == 1",
        "time is None",
        "time in system",
        "f'{time}' == 'x'",
        "time @ 2 == 1",
        "~time == 1",
        "None == time",
        "time\n== 1.0",
        "(" * 300 + "time" + ")" * 300,
        "time",
        "system == 3",
        "system * 2 == 4",
    ],
)
def test_what_is_no_condition_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        kept(text)
    assert "\n" not in str(refused.value)


def test_what_is_not_understood_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'max\(time, 2\)' is not understood"):
        kept("max(time, 2) > 1")


def test_a_name_without_a_meaning_is_the_callers_to_refuse() -> None:
    with pytest.raises(ConfigError, match="size here"):
        kept("l3.size == 1")
