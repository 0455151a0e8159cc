"""Arguments and options that several verbs have."""

from typing import Annotated

import typer

Trace = Annotated[str, typer.Argument(help="Trace file: a path or a URL (s3://, gs://, file://).")]
MachineName = Annotated[str, typer.Option("--machine", "-m", help="Preset name or TOML file.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="Change a key: table.key=value.")]
Vms = Annotated[int | None, typer.Option("--vms", help="Virtual machines; short for --set vm.count=N.")]
Nfs = Annotated[bool, typer.Option("--nfs", help="The first serves all files to the others; --set vm.nfs=true.")]
Services = Annotated[bool, typer.Option("--services", help="Add a table of the OS services.")]
On = Annotated[str | None, typer.Option(help="Workers of Dask: dask://HOST:PORT, local, slurm, pbs, sge, lsf, ...")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no remarks.")]
