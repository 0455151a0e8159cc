"""The verb ``show-config``: the configuration that a replay would use."""

from __future__ import annotations

from typing import Annotated

import typer


def show_config(
    machine: Annotated[str, typer.Option("--machine", "-m", help="Preset name or TOML file.")] = "flash",
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key: table.key=value.")] = None,
) -> None:
    """Print the whole resolved configuration as TOML, which --machine reads back.

    Presets: flash (the Disco paper's machine), uma (its bus-based comparison), epyc7543 (a present-day two-socket
    server).
    """
    from discotrace.analysis.configuration import load
    from discotrace.analysis.text import toml_of

    typer.echo(toml_of(load(machine, changes or []).to_tables()), nl=False)
