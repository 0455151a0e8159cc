"""The verb ``show-config``: the configuration that a replay would use."""

from __future__ import annotations

import typer

from discotrace.cli.options import Changes, MachineName


def show_config(
    machine: MachineName = "flash",
    changes: Changes = None,
) -> None:
    """Print the whole resolved configuration as TOML, which --machine reads back, with where each value comes from.

    Presets: flash (the Disco paper's machine), uma (its bus-based comparison), epyc7543 (a present-day two-socket
    server).
    """
    from discotrace.analysis.configuration import load, read_text
    from discotrace.analysis.text import toml_of
    from discotrace.analysis.value_sources import changed, sources_of, toml_with_sources

    text = toml_of(load(machine, changes or []).to_tables())
    typer.echo(toml_with_sources(text, changed(sources_of(read_text(machine)), changes or [])), nl=False)
