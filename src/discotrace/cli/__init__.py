"""The command line. One verb is one file; the help text is its docstring.

Exit codes: 0 done, 1 a check failed, 2 bad input or usage, 130 interrupted. Results go to standard output, all else to
standard error.
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, ParamSpec, cast

import typer

from discotrace.cli.best import best
from discotrace.cli.calibrate import calibrate
from discotrace.cli.capture import capture
from discotrace.cli.curve import curve
from discotrace.cli.diff import diff
from discotrace.cli.effects import effects
from discotrace.cli.explain import explain
from discotrace.cli.generate import generate
from discotrace.cli.info import info
from discotrace.cli.memory import memory
from discotrace.cli.paper import paper
from discotrace.cli.price import price
from discotrace.cli.replay import replay
from discotrace.cli.show_config import show_config
from discotrace.cli.sweep import sweep
from discotrace.cli.validate import validate
from discotrace.tracegen.errors import DiscotraceError
from discotrace.version import VERSION

INTERRUPTED = 130
USAGE_ERROR = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])  # Typer has no public name for it

Arguments = ParamSpec("Arguments")


def _with_exit_code(verb: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """The same verb, ending as the exit codes say: a user's mistake is one line, never a traceback.

    It stands around each verb, not around the application, because Typer has ideas of its own about Ctrl-C and
    broken pipes.
    """

    @wraps(verb)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            verb(*args, **kwargs)
            sys.stdout.flush()
        except DiscotraceError as error:
            _end(f"error: {error}", error.exit_code)
        except MemoryError:
            _end("error: this computer has not enough memory for the modelled machine", DiscotraceError.exit_code)
        except KeyboardInterrupt:
            _end("interrupted", INTERRUPTED)
        except BrokenPipeError:  # the reader of our output has left; nothing more can be written, not even at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return run


def _end(message: str, exit_code: int) -> None:
    _tell(message)
    raise typer.Exit(exit_code)


def _tell(message: str) -> None:
    typer.echo("discotrace: " + message.replace("\n", " "), err=True)


app = typer.Typer(
    name="discotrace",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (replay, price, sweep, best, effects, diff, curve, memory, explain, info, validate, show_config, generate)
for verb in (*VERBS, calibrate, paper):
    app.command()(_with_exit_code(verb))
app.command(context_settings={"allow_interspersed_args": False})(_with_exit_code(capture))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"discotrace {VERSION}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def discotrace(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What would this workload cost on that machine, under that system software?

    Traces of programs are replayed through a modelled TLB, cache and NUMA hierarchy, under a native OS and under the
    Disco virtual machine monitor, and the counts are priced. Start with: discotrace replay traces/pmake.parquet
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(DiscotraceError.exit_code)


def main() -> None:
    """Run the command line. A usage error is one line too, where Typer has four."""
    try:
        sys.exit(app(standalone_mode=False))
    except USAGE_ERROR as error:
        verb = error.ctx.command_path if error.ctx else app.info.name
        _tell(f"error: {error.format_message()} (see {verb} --help)")
        sys.exit(DiscotraceError.exit_code)
