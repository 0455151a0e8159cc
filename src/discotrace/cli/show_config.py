"""The verb ``show-config``: the configuration that a replay would use."""

from __future__ import annotations

import typer

from discotrace.cli.options import Changes, MachineName


def show_config(
    machine: MachineName = "flash",
    changes: Changes = None,
) -> None:
    """Print the whole resolved configuration as TOML, which --machine reads back.

    Presets: flash (the Disco paper's machine), uma (its bus-based comparison), epyc7543 (a present-day two-socket
    server).
    """
    from discotrace.analysis.configuration import load
    from discotrace.analysis.text import toml_of

    typer.echo(toml_of(load(machine, changes or []).to_tables()), nl=False)
