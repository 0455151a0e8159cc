"""What a worker of a cluster does with a task, once it is sure to have the same code and the same files."""

import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import get_worker

from discotrace.analysis.keeping import sources_digest
from discotrace.analysis.sampling.pieces import Pieces
from discotrace.analysis.sweep.blocks import Pricing
from discotrace.analysis.sweep.counting import Counting
from discotrace.analysis.sweep.sampled import Knowing
from discotrace.analysis.sweep.warm import is_warm, warm
from discotrace.analysis.sweep.worker import Reporter
from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.reader import TraceReader
from discotrace.version import VERSION

OFTEN = 2.0  # seconds between two words of how far it is
SHOWN = 8  # letters of a hash, in messages


def code() -> tuple[str, str]:
    """The version of discotrace here, and the hash of its sources."""
    packages = ("discotrace.tracegen", "discotrace.replay", "discotrace.monitor", "discotrace.analysis")
    return VERSION, sources_digest(*packages)


def on_worker(topic: str, key: str, work: bytes | Path, its_code: tuple[str, str], sign: Path | None) -> Any:
    """Carry a task out on a worker of Dask; see ``carry_out``.

    Tells, as events of the topic, when it begins and how many rows are done: ``[key, rows]``.
    """
    worker = get_worker()
    worker.log_event(topic, [key, 0])
    return carry_out(work, its_code, sign, Reporter(lambda _, rows: worker.log_event(topic, [key, rows]), OFTEN))


def carry_out(work: bytes | Path, its_code: tuple[str, str], sign: Path | None, on_rows: Callable[[int], None]) -> Any:
    """Carry a task out. ``work``: its function and argument, pickled, or the file that they are in.

    ``its_code``: that of who sends it; ``sign``: a file that is seen by whoever sees the folder of the task.
    Raises ConfigError or TraceError where the worker is not fit for it, and what the task raises.
    """
    _check_code(its_code)
    if sign is not None and not sign.exists():
        raise ConfigError(f"{here()} does not see the folder {sign.parent}, which other workers see: share it with all")
    function, argument = pickle.loads(work if isinstance(work, bytes) else work.read_bytes())
    if isinstance(argument, Counting):
        _check_policies(argument)
    _compile(argument)
    try:
        return function(argument, on_rows)
    except TraceError as fault:
        _check_trace(argument)
        raise TraceError(f"{fault} (on {here()})") from fault
    except ConfigError as fault:
        raise ConfigError(f"{fault} (on {here()})") from fault


def here() -> str:
    """This process in words."""
    return f"the worker on {socket.gethostname()} (process {os.getpid()})"


def _check_code(expected: tuple[str, str]) -> None:
    found = code()
    if found != expected:
        theirs, ours = (f"{version} (sources {digest[:SHOWN]})" for version, digest in (found, expected))
        raise ConfigError(f"{here()} has discotrace {theirs}, who asks has {ours}: install the same there")


def _check_policies(task: Counting) -> None:
    """Raises ConfigError for a policy that is not the one which was planned with: names say what decides counts."""
    for one in task.wanted:
        if task.key_of(one) != one.key:
            policy = one.configuration.machine.placement.policy
            raise ConfigError(
                f"{here()} has another placement policy {policy} than the sweep was planned with, or none: give it by "
                "a path from the root that all workers see, or install it; a changed one needs new workers"
            )


def _check_trace(argument: Any) -> None:
    """Raises TraceError, with what to do, if the trace of a task cannot be opened here at all."""
    if isinstance(argument, Counting):
        source = argument.wanted[0].trace.source
    elif isinstance(argument, Knowing):
        source = argument.wanted.trace.source
    elif isinstance(argument, Pieces):
        source = argument.source
    else:
        return
    try:
        TraceReader(source).close()
    except TraceError as fault:
        raise TraceError(
            f"{fault} (on {here()}): every worker must find a trace under the same path or URL, give one that all share"
        ) from fault


def _compile(argument: Any) -> None:
    """Compile what a task calls, if nobody has on this computer."""
    systems: set[str] = set()
    if isinstance(argument, Counting):
        systems = {one.system for one in argument.wanted}
    elif isinstance(argument, Pricing):
        systems = {one.system for one in argument.block.replays.values()}
    elif isinstance(argument, Knowing):
        systems = {argument.wanted.system}
    elif isinstance(argument, Pieces):
        systems = {argument.system}
    if not is_warm(sorted(systems)):
        warm(sorted(systems), lambda rows: None)
