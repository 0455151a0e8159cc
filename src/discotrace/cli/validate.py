"""The verb ``validate``: checks a trace against every rule of the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discotrace.cli.console import out, print_json, progress
from discotrace.cli.options import Json, Trace
from discotrace.tracegen.errors import CheckFailedError

if TYPE_CHECKING:
    from discotrace.tracegen.reader import TraceReader
    from discotrace.tracegen.rules import Violation


def validate(
    trace: Trace,
    json_output: Json = False,
) -> None:
    """Check a trace against every rule of the format.

    Prints OK, or for each broken rule the first row that breaks it. Exit code 1: a rule is broken. Exit code 2: the
    file cannot be read, or its columns or metadata are not those of a trace.
    """
    from discotrace.tracegen.reader import TraceReader

    with TraceReader(trace) as reader:
        violations = _violations(reader)
        if json_output:
            print_json(_as_tree(reader, violations))
        else:
            _print_text(reader, violations)
    if violations:
        rules = "rule is" if len(violations) == 1 else "rules are"
        raise CheckFailedError(f"{trace}: {len(violations)} {rules} broken; docs/trace-format.md explains them")


def _violations(reader: TraceReader) -> list[Violation]:
    from discotrace.tracegen.rules import CHECK_ROWS, FormatChecker

    checker = FormatChecker(reader.meta)
    violations: list[Violation] = []
    with progress(reader.rows, "checking", "rows") as advance:
        for rows in reader.batches(CHECK_ROWS):
            violations += checker.check(rows)
            advance(len(rows.kind))
    return sorted(violations + checker.finish(), key=lambda violation: violation.row)


def _record(reader: TraceReader, row: int) -> dict[str, int | str]:
    """The columns of a row as a person reads them."""
    from discotrace.tracegen.schema import COLUMN_DTYPES, Kind

    record: dict[str, int | str] = dict(zip(COLUMN_DTYPES, reader.record(row), strict=True))
    record["vaddr"] = f"{record['vaddr']:#x}"
    names: dict[int | str, str] = {kind.value: kind.name for kind in Kind}
    record["kind"] = names.get(record["kind"], record["kind"])
    return record


def _print_text(reader: TraceReader, violations: list[Violation]) -> None:
    console = out()
    if not violations:
        console.print(f"OK: {reader.source}: {reader.rows:,} rows keep every rule", markup=False, soft_wrap=True)
    for violation in violations:
        columns = " ".join(f"{name}={value}" for name, value in _record(reader, violation.row).items())
        console.print(
            f"rule {violation.rule}: {reader.locate(violation.row)}: {violation.message}\n    {columns}",
            markup=False,
            soft_wrap=True,
        )


def _as_tree(reader: TraceReader, violations: list[Violation]) -> dict[str, object]:
    return {
        "schema": 1,
        "trace": reader.source,
        "rows": reader.rows,
        "valid": not violations,
        "violations": [
            {
                "rule": violation.rule,
                "row": violation.row,
                "row_group": reader.position(violation.row)[0],
                "row_in_group": reader.position(violation.row)[1],
                "message": violation.message,
                "record": _record(reader, violation.row),
            }
            for violation in violations
        ],
    }
