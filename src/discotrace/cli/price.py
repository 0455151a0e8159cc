"""The verb ``price``: other prices for counts that a replay left, without another replay."""

from __future__ import annotations

from typing import Annotated

import typer

from discotrace.cli.options import Json, Services
from discotrace.cli.replay import print_outcomes


def price(
    counts: Annotated[str, typer.Argument(help="Counts file that replay -o wrote.")],
    prices: Annotated[str | None, typer.Option("--prices", "-p", help="TOML file with prices to change.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a price: table.key=value.")] = None,
    services: Services = False,
    json_output: Json = False,
) -> None:
    """Price the counts of a replay again: latencies, clock, costs of the monitor; no replay is needed.

    Only prices can change here. What is structural (sizes, nodes, placement) needs: discotrace replay TRACE --set ...
    """
    from discotrace.analysis.configuration import repriced
    from discotrace.analysis.counts_file import CountsFile, read

    stored = read(counts)
    tables = repriced(stored.about["configuration"], prices, changes or [])
    print_outcomes(CountsFile(stored.table, stored.about | {"configuration": tables}), services, json_output)
